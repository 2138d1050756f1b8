//! The guard between a connection and awc's codec. One guard serves one connection, and one connection one request.
//!
//! awc takes the first head that it reads as the final response, gives an HTTP/1.1 response without a length an empty
//! body, and takes the end of the stream for the end of any body. The guard removes the three cases before awc sees
//! them:
//! - It drops heads with status 1xx (RFC 9110 15.2). Status 101 is an error, because no request asks for an upgrade.
//! - It turns a head without length or chunked encoding into HTTP/1.0, whose body awc reads to the end of the stream.
//! - It turns every other end of the stream into an error.

use std::{
    fmt, io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_rt::net::{ActixStream, Ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The maximum number of bytes before the body, including 1xx heads.
const HEAD_LIMIT: usize = 64 * 1024;
/// The maximum number of headers in one head; awc has the same limit.
const HEADERS: usize = 96;
/// The start of every head. The byte after it is the minor version.
const PROTOCOL: &[u8] = b"HTTP/1.";

/// A stream that passes one final response to awc.
pub struct ResponseGuard<S> {
    stream: S,
    state: State,
    /// The bytes of an incomplete head. Empty if a head arrives in one piece, which is the usual case.
    collected: Vec<u8>,
    /// The number of bytes received before the body.
    before_body: usize,
}

#[derive(Clone, Copy)]
enum State {
    /// The final head is incomplete.
    Head,
    /// The final head is complete; `collected` is forwarded from this byte on.
    Collected(usize, BodyEnd),
    /// Received bytes are forwarded.
    Body(BodyEnd),
}

/// How the body ends (RFC 9112 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BodyEnd {
    /// By its length, its last chunk, or the head itself. If awc reads the end of the stream, the response is
    /// truncated.
    Framed,
    /// By the end of the stream.
    Stream,
}

/// The state of the bytes at the start of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Head {
    Partial,
    /// A 1xx head of this many bytes.
    Interim(usize),
    Final {
        length: usize,
        end: BodyEnd,
    },
}

impl<S> ResponseGuard<S> {
    /// Returns a guard over a connection from which nothing has been read.
    pub fn new(stream: S) -> Self {
        Self { stream, state: State::Head, collected: Vec::new(), before_body: 0 }
    }

    /// Processes bytes that arrived before the final head was complete. Returns whether they can be forwarded
    /// unchanged.
    fn inspect(&mut self, received: &mut [u8]) -> io::Result<bool> {
        if received.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.collected.is_empty()
            && let Head::Final { length, end } = read_head(received)?
        {
            self.count(length)?;
            mark(received, end);
            self.state = State::Body(end);
            return Ok(true);
        }
        let complete_line = received.contains(&b'\n');
        self.collected.extend_from_slice(received);
        // A head ends with a line, so a piece without a line end cannot complete it.
        if complete_line {
            self.inspect_collected()?;
        }
        if matches!(self.state, State::Head) && self.before_body + self.collected.len() > HEAD_LIMIT {
            return Err(too_large());
        }
        Ok(false)
    }

    fn inspect_collected(&mut self) -> io::Result<()> {
        let mut at = 0;
        loop {
            let rest = self.collected.get_mut(at..).unwrap_or_default();
            match read_head(rest)? {
                Head::Partial => {
                    self.collected.drain(..at);
                    return Ok(());
                }
                Head::Interim(length) => {
                    at += length;
                    self.count(length)?;
                }
                Head::Final { length, end } => {
                    mark(rest, end);
                    self.count(length)?;
                    self.state = State::Collected(at, end);
                    return Ok(());
                }
            }
        }
    }

    fn count(&mut self, length: usize) -> io::Result<()> {
        self.before_body += length;
        if self.before_body > HEAD_LIMIT { Err(too_large()) } else { Ok(()) }
    }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the response head is too large")
}

/// Makes awc read the body to the end of the stream, if that is how the body ends.
fn mark(head: &mut [u8], end: BodyEnd) {
    if let (BodyEnd::Stream, Some(minor)) = (end, head.get_mut(PROTOCOL.len())) {
        *minor = b'0';
    }
}

/// Reads a head with the parser and the limits of awc's codec.
fn read_head(bytes: &[u8]) -> io::Result<Head> {
    let invalid = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    let known = bytes.len().min(PROTOCOL.len());
    if bytes.get(..known) != PROTOCOL.get(..known) {
        return Err(invalid("this is not an HTTP/1 response"));
    }
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let mut parser = httparse::ParserConfig::default();
    parser.allow_spaces_after_header_name_in_responses(true);
    let parsed = parser.parse_response_with_uninit_headers(&mut response, bytes, &mut headers);
    let length = match parsed.map_err(|_| invalid("the response head cannot be parsed"))? {
        httparse::Status::Partial => return Ok(Head::Partial),
        httparse::Status::Complete(length) => length,
    };
    let status = response.code.unwrap_or_default();
    match status {
        101 => return Err(invalid("the response switches protocols, which was not requested")),
        100..=199 => return Ok(Head::Interim(length)),
        _ => {}
    }
    let mut framed = matches!(status, 204 | 304);
    for header in response.headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            framed = true;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if response.version == Some(0) {
                return Err(invalid("an HTTP/1.0 response has a transfer encoding"));
            }
            framed |= !header.value.trim_ascii().eq_ignore_ascii_case(b"identity");
        }
    }
    Ok(Head::Final { length, end: if framed { BodyEnd::Framed } else { BodyEnd::Stream } })
}

impl<S: AsyncRead + Unpin> AsyncRead for ResponseGuard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let start = buf.filled().len();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            match this.state {
                State::Head => {
                    ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
                    let received = buf.filled_mut().get_mut(start..).unwrap_or_default();
                    if this.inspect(received)? {
                        return Poll::Ready(Ok(()));
                    }
                    buf.set_filled(start);
                }
                State::Collected(at, end) => {
                    let rest = this.collected.get(at..).unwrap_or_default();
                    let (now, later) = rest.split_at(rest.len().min(buf.remaining()));
                    buf.put_slice(now);
                    this.state = if later.is_empty() {
                        this.collected = Vec::new();
                        State::Body(end)
                    } else {
                        State::Collected(at + now.len(), end)
                    };
                    return Poll::Ready(Ok(()));
                }
                State::Body(end) => {
                    ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
                    if end == BodyEnd::Framed && buf.filled().len() == start {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ResponseGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: ActixStream> ActixStream for ResponseGuard<S> {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_read_ready(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_write_ready(cx)
    }
}

impl<S> fmt::Debug for ResponseGuard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never prints the collected bytes: they belong to a user.
        f.write_str("ResponseGuard")
    }
}

#[cfg(test)]
mod tests;
