//! The stream of one connection, with the deadlines that actix-http does not have.
//!
//! actix-http limits the time of the first request head only, and never how long a client takes to accept an answer.
//! These deadlines are real time: they protect real sockets, whose clients no injected clock moves.

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
    connection::{BodyState, Connection},
    connection_share::ConnectionShare,
};

/// The largest request head in bytes; nginx and Apache take as much.
const HEAD_LIMIT: usize = 32 * 1024;
/// The bytes that are read before actix-http looks at them. It would gather four times as much on each connection.
const AT_ONCE: usize = 32 * 1024;
/// What is sent to a client whose request head takes too long (RFC 9110 section 15.5.9).
const TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
/// What is sent to a client whose request head is too large (RFC 6585 section 5).
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// From the first byte of a request head to its last.
    pub(super) head: Duration,
    /// To accept any more of an answer.
    pub(super) send: Duration,
}

/// A TCP stream that ends when its client takes too long.
pub(super) struct WatchedStream {
    io: TcpStream,
    connection: Rc<Connection>,
    timeouts: Timeouts,
    head: Head,
    /// Since when the client has accepted nothing although there is something to send.
    unsent_since: Option<Instant>,
    /// Armed for the earliest deadline or for an earlier time, at which the deadlines are looked at again. So a timer is
    /// set once in a while, not once for each request.
    timer: Option<Pin<Box<Sleep>>>,
    /// Bytes read since there was nothing more to read.
    at_once: usize,
    ended: bool,
    _share: ConnectionShare,
}

/// The bytes that arrived and have begun no request yet.
#[derive(Default)]
struct Head {
    /// The number of requests that had begun when these bytes came.
    after: u64,
    since: Option<Instant>,
    bytes: usize,
    /// Bytes that came while a request was under way and its body was complete.
    ahead: usize,
    /// Whether actix-http was given the chance to find the end of the head among as many bytes as a head may have.
    was_full: bool,
}

impl WatchedStream {
    pub(super) fn new(io: TcpStream, timeouts: Timeouts, share: ConnectionShare) -> Self {
        Self {
            io,
            connection: Connection::new(),
            timeouts,
            head: Head::default(),
            unsent_since: None,
            timer: None,
            at_once: 0,
            ended: false,
            _share: share,
        }
    }

    /// Returns what the requests on this connection share with it.
    pub(super) fn connection(&self) -> Rc<Connection> {
        self.connection.clone()
    }

    /// Forgets the bytes of a head once its request has begun.
    fn forget_begun(&mut self) {
        let begun = self.connection.begun();
        if self.head.after != begun {
            self.head = Head { after: begun, ..Head::default() };
        }
    }

    fn received(&mut self, bytes: usize) {
        self.forget_begun();
        if !self.connection.is_under_way() {
            self.head.since.get_or_insert_with(Instant::now);
            self.head.bytes += bytes;
        } else if self.connection.body() == BodyState::Complete {
            self.head.ahead += bytes;
        }
    }

    /// Returns since when the client is expected to complete a head, if it is.
    fn head_since(&mut self) -> Option<Instant> {
        self.forget_begun();
        if self.connection.is_under_way() {
            return None;
        }
        let reads_on = self.connection.body() == BodyState::Incomplete { chunked: true };
        if self.head.since.is_none() && (self.head.ahead > 0 || reads_on) {
            self.head.since = Some(Instant::now());
            self.head.bytes = self.head.ahead;
        }
        self.head.since
    }

    /// Whether the client has missed a deadline. Otherwise the task is woken at the next one.
    fn is_overdue(&mut self, context: &mut Context<'_>) -> bool {
        let head = self.head_since().map(|since| since + self.timeouts.head);
        let send = self.unsent_since.map(|since| since + self.timeouts.send);
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
            // It wakes this task in time: a connection belongs to one task.
            Some(_) => return false,
            None => self.timer.insert(Box::pin(sleep_until(deadline))),
        };
        timer.as_mut().poll(context).is_ready()
    }

    /// Ends the connection: actix-http reads the end of the stream. `answer` is sent if no other one is under way.
    fn end(&mut self, answer: &[u8]) -> Poll<io::Result<()>> {
        self.ended = true;
        let reads_on = matches!(self.connection.body(), BodyState::Incomplete { .. });
        let idle = !self.connection.is_under_way() && self.unsent_since.is_none() && !reads_on;
        if idle && let Err(error) = self.io.try_write(answer) {
            log::debug!("a client that took too long gets no answer: {error}");
        }
        Poll::Ready(Ok(()))
    }

    /// Whether as many bytes have come as a head may have.
    fn is_full(&mut self) -> bool {
        self.forget_begun();
        let reads_on = matches!(self.connection.body(), BodyState::Incomplete { .. });
        !self.connection.is_under_way() && !reads_on && self.head.bytes >= HEAD_LIMIT
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
        if this.is_full() {
            if this.head.was_full {
                return this.end(TOO_LARGE);
            }
            // The bytes may be a head and the beginning of a body: actix-http looks at them before it reads on.
            this.head.was_full = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.connection.is_under_way() && this.head.ahead >= HEAD_LIMIT {
            // What comes after the request under way waits in the system's buffer. The answer's end wakes this task.
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
        let bytes = buffer.filled().len() - before;
        this.at_once += bytes;
        this.received(bytes);
        Poll::Ready(outcome)
    }
}

impl AsyncWrite for WatchedStream {
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
        // actix-http flushes whenever it has looked at everything that has arrived.
        if this.connection.lacks_wanted_body() {
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
