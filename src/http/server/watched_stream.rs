//! The stream of one connection, with the deadlines that actix-http does not have.
//!
//! actix-http limits only the time of the first request head, and never the time that a client takes to accept a
//! response. These deadlines use real time: they protect real sockets, whose clients ignore the injected clock.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::rt::net::TcpStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    connection::Connection,
    head::{Head, HeadTimeouts},
    source_quota::SourceReservation,
};

/// The bytes that are read before actix-http processes them. It would buffer four times as much on each connection.
const AT_ONCE: usize = 32 * 1024;
/// The response to a client whose request head takes too long (RFC 9110 section 15.5.9).
const TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
/// The response to a client whose request head is too large (RFC 6585 section 5).
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// The timeouts for request heads.
    pub(super) head: HeadTimeouts,
    /// The time to accept any more of a response.
    pub(super) send: Duration,
}

/// A TCP stream that ends if its client takes too long.
pub(super) struct WatchedStream {
    io: TcpStream,
    connection: Rc<Connection>,
    send_timeout: Duration,
    head: Head,
    /// Whether actix-http has had a chance to find the end of the head, after as many bytes as a head may have.
    was_full: bool,
    /// Whether bytes are left in the system's buffer until the request under way ends.
    held_back: bool,
    /// The time since which the client has accepted nothing although there are bytes to send.
    unsent_since: Option<Instant>,
    /// Set to the earliest deadline or an earlier time, at which the deadlines are checked again. So a timer is set
    /// only occasionally, not once per request.
    timer: Option<Pin<Box<Sleep>>>,
    /// The bytes read since the last time that there was nothing to read.
    at_once: usize,
    ended: bool,
    _share: SourceReservation,
}

impl WatchedStream {
    pub(super) fn new(io: TcpStream, timeouts: Timeouts, share: SourceReservation) -> Self {
        let connection = Connection::new();
        Self {
            io,
            send_timeout: timeouts.send,
            head: Head::new(connection.clone(), timeouts.head),
            connection,
            was_full: false,
            held_back: false,
            unsent_since: None,
            timer: None,
            at_once: 0,
            ended: false,
            _share: share,
        }
    }

    /// Returns the state that this connection shares with its requests.
    pub(super) fn connection(&self) -> Rc<Connection> {
        self.connection.clone()
    }

    /// Returns whether the client has missed a deadline. Otherwise the task is woken at the next one.
    #[expect(clippy::disallowed_methods, reason = "the deadline protects a real socket")]
    fn is_overdue(&mut self, context: &mut Context<'_>) -> bool {
        let head = self.head.deadline(Instant::now(), self.unsent_since.is_some());
        let send = self.unsent_since.map(|since| since + self.send_timeout);
        let deadline = match (head, send) {
            (None, None) => return false,
            (Some(head), Some(send)) => head.min(send),
            (head, send) => match head.or(send) {
                Some(deadline) => deadline,
                None => return false,
            },
        };
        let timer = match &mut self.timer {
            Some(timer) if timer.is_elapsed() => {
                if timer.deadline() >= deadline {
                    return true;
                }
                timer.as_mut().reset(deadline);
                timer
            }
            Some(timer) if timer.deadline() > deadline => {
                timer.as_mut().reset(deadline);
                timer
            }
            // The timer fires early enough, and wakes this task, since a connection belongs to one task.
            Some(_) => return false,
            None => self.timer.insert(Box::pin(sleep_until(deadline))),
        };
        timer.as_mut().poll(context).is_ready()
    }

    /// Ends the connection: actix-http reads the end of the stream. `answer` is sent unless another one is under way.
    fn end(&mut self, answer: &[u8]) -> Poll<io::Result<()>> {
        self.ended = true;
        let idle = !self.connection.is_under_way() && self.unsent_since.is_none() && !self.head.is_behind_body();
        if idle && let Err(error) = self.io.try_write(answer) {
            log::debug!("cannot send the last response to a client: {error}");
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(Ok(()));
        }
        if this.is_overdue(context) {
            return this.end(TIMEOUT);
        }
        let is_full = this.head.is_full();
        if is_full && this.was_full {
            return this.end(TOO_LARGE);
        }
        this.was_full = is_full;
        if is_full {
            // The bytes may be a head and the beginning of a body, so actix-http processes them before more is read.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.head.is_far_ahead() {
            // The bytes after the request under way stay in the system's buffer. `poll_flush` wakes this task.
            this.held_back = true;
            return Poll::Pending;
        }
        if this.at_once >= AT_ONCE {
            this.at_once = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let Poll::Ready(outcome) = Pin::new(&mut this.io).poll_read(context, buffer) else {
            this.at_once = 0;
            return Poll::Pending;
        };
        let bytes = &buffer.filled()[before..];
        this.at_once += bytes.len();
        this.head.received(bytes);
        Poll::Ready(outcome)
    }
}

impl AsyncWrite for WatchedStream {
    #[expect(clippy::disallowed_methods, reason = "the deadline protects a real socket")]
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Poll::Ready(written) = Pin::new(&mut this.io).poll_write(context, bytes) {
            this.unsent_since = None;
            return Poll::Ready(written);
        }
        this.unsent_since.get_or_insert_with(Instant::now);
        if this.is_overdue(context) { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // actix-http flushes whenever it has processed everything that has arrived.
        if this.connection.lacks_wanted_body() {
            context.waker().wake_by_ref();
        }
        // The request under way may have ended since the last read, so the next one may be read.
        if this.held_back && !this.head.is_far_ahead() {
            this.held_back = false;
            context.waker().wake_by_ref();
        }
        // A request may have ended since the last read, so its client may have a deadline from now on.
        if !this.ended && this.is_overdue(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut this.io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::timeout,
    };

    use super::*;
    use crate::http::server::source_quota::SourceQuota;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(20);

    /// The timeout of the incomplete head starts when the client has accepted the response before it.
    #[actix_web::test]
    async fn a_half_head_does_not_cut_an_answer_that_is_being_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (io, _) = listener.accept().await.unwrap();
        let timeouts = Timeouts { head: HeadTimeouts { head: SHORT, idle: LONG }, send: LONG };
        let share = SourceQuota::new(1, 1).take(IpAddr::from([127, 0, 0, 1]).into(), 1).unwrap();
        let mut stream = WatchedStream::new(io, timeouts, share);
        let mut sent = 0;
        while let Ok(bytes) = timeout(SHORT, stream.write(&[0; 65_536])).await {
            sent += bytes.unwrap();
        }
        client.write_all(b"GET").await.unwrap();
        let mut head = [0; 8];
        assert_eq!(stream.read(&mut head).await.unwrap(), 3);
        let early = timeout(3 * SHORT, stream.read(&mut head)).await;
        assert!(early.is_err(), "{early:?} though the answer is on its way");
        client.read_exact(&mut vec![0; sent]).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        assert_eq!(timeout(LONG, stream.read(&mut head)).await.unwrap().unwrap(), 0, "the half head took too long");
    }
}
