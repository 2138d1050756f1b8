//! The bytes of a connection that belong to no request yet, and the deadline for the rest of them.

use std::{mem, rc::Rc, time::Duration};

use tokio::time::Instant;

use super::connection::{BodyState, Connection};

/// The largest request head, in bytes; nginx and Apache accept as much.
pub(super) const HEAD_LIMIT: usize = 32 * 1024;
/// The end of a body in chunks, without trailers (RFC 9112 section 7.1).
const END_OF_CHUNKS: &[u8; 5] = b"0\r\n\r\n";

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadTimeouts {
    /// The time from the first byte of a request head to its last.
    pub(super) head: Duration,
    /// The time between two requests.
    pub(super) idle: Duration,
}

/// The bytes that arrived and belong to no request yet.
pub(super) struct Head {
    connection: Rc<Connection>,
    timeouts: HeadTimeouts,
    /// The number of requests that had begun when these bytes arrived.
    after: u64,
    /// The start of the time in which the client must send the rest.
    since: Option<Instant>,
    bytes: usize,
    /// The bytes that arrived while a request was under way and its body was complete.
    ahead: usize,
    /// The last bytes that arrived, whatever they belong to.
    last: [u8; END_OF_CHUNKS.len()],
}

impl Head {
    pub(super) fn new(connection: Rc<Connection>, timeouts: HeadTimeouts) -> Self {
        Self { connection, timeouts, after: 0, since: None, bytes: 0, ahead: 0, last: [0; END_OF_CHUNKS.len()] }
    }

    /// Counts bytes that arrived.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.forget_begun();
        if self.connection.is_under_way() {
            if self.connection.body() == BodyState::Complete {
                self.ahead += bytes.len();
            }
        } else {
            if self.reads_on() && self.ends_chunks() {
                // The bytes after the end of a body belong to a head.
                self.connection.complete_body();
                self.since = None;
            }
            if !self.reads_on() {
                self.bytes += bytes.len();
            }
        }
        let known = bytes.len().min(self.last.len());
        self.last.rotate_left(known);
        let kept = self.last.len() - known;
        self.last[kept..].copy_from_slice(&bytes[bytes.len() - known..]);
    }

    /// Returns the deadline for the rest, if the client must send one. While a response is being sent to the client
    /// (`sends`), only the timeout for that response applies.
    pub(super) fn deadline(&mut self, now: Instant, sends: bool) -> Option<Instant> {
        self.forget_begun();
        if self.connection.is_under_way() || sends {
            self.since = None;
            return None;
        }
        self.bytes += mem::take(&mut self.ahead);
        let reads_on = self.reads_on();
        if self.bytes == 0 && !reads_on {
            return None;
        }
        // Only the last bytes indicate whether a body that no handler read is complete. If they are misleading, the
        // connection ends like one without requests.
        let time = if reads_on && self.ends_chunks() { self.timeouts.idle } else { self.timeouts.head };
        Some(*self.since.get_or_insert(now) + time)
    }

    /// Returns whether the bytes have reached the size limit of a head.
    pub(super) fn is_full(&mut self) -> bool {
        self.forget_begun();
        !self.connection.is_under_way() && !self.is_behind_body() && self.bytes >= HEAD_LIMIT
    }

    /// Returns whether so many bytes have arrived behind the request under way that reading must wait until it ends.
    pub(super) fn is_far_ahead(&mut self) -> bool {
        self.forget_begun();
        self.connection.is_under_way() && self.ahead >= HEAD_LIMIT
    }

    /// Returns whether the body of the last request is incomplete, as far as is known.
    pub(super) fn is_behind_body(&self) -> bool {
        matches!(self.connection.body(), BodyState::Incomplete { .. })
    }

    /// Returns whether actix-http continues to read the body of an answered request.
    fn reads_on(&self) -> bool {
        self.connection.body() == BodyState::Incomplete { chunked: true }
    }

    fn ends_chunks(&self) -> bool {
        self.last == *END_OF_CHUNKS
    }

    /// Forgets the bytes of a head once its request has begun.
    fn forget_begun(&mut self) {
        let begun = self.connection.begun();
        if self.after != begun {
            (self.after, self.since, self.bytes, self.ahead) = (begun, None, 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(180);
    const SECOND: Duration = Duration::from_secs(1);

    #[expect(clippy::disallowed_methods, reason = "a deadline needs a moment of the real clock")]
    fn new() -> (Head, Rc<Connection>, Instant) {
        let connection = Connection::new();
        (Head::new(connection.clone(), HeadTimeouts { head: HEAD, idle: IDLE }), connection, Instant::now())
    }

    #[test]
    fn a_head_has_its_time_from_its_first_byte() {
        let (mut head, connection, now) = new();
        assert_eq!(head.deadline(now, false), None);
        head.received(b"GET");
        assert_eq!(head.deadline(now, false), Some(now + HEAD));
        head.received(b" /");
        assert_eq!(head.deadline(now + SECOND, false), Some(now + HEAD), "a further byte gains no time");
        let request = connection.begin(BodyState::Complete);
        assert_eq!(head.deadline(now + SECOND, false), None);
        head.received(b"GET /second");
        drop(request);
        assert_eq!(head.deadline(now + 2 * SECOND, false), Some(now + 2 * SECOND + HEAD), "from the end of the first");
    }

    #[test]
    fn a_head_has_no_deadline_while_an_answer_is_sent() {
        let (mut head, connection, now) = new();
        drop(connection.begin(BodyState::Complete));
        head.received(b"GET");
        assert_eq!(head.deadline(now, false), Some(now + HEAD));
        assert_eq!(head.deadline(now + SECOND, true), None);
        let sent = now + 60 * SECOND;
        assert_eq!(head.deadline(sent, false), Some(sent + HEAD));
    }

    #[test]
    fn the_end_of_a_chunked_body_is_noticed_after_its_answer() {
        for parts in [&[&b"4\r\nmore\r\n0\r\n\r\n"[..]][..], &[b"4\r\nmo", b"re\r\n0", b"\r\n", b"\r\n"]] {
            let (mut head, connection, now) = new();
            drop(connection.begin(BodyState::Incomplete { chunked: true }));
            assert_eq!(head.deadline(now, false), Some(now + HEAD), "the rest is expected");
            for part in parts {
                head.received(part);
            }
            assert_eq!(head.deadline(now + SECOND, false), Some(now + IDLE));
            // The next request.
            head.received(b"GET");
            let later = now + 60 * SECOND;
            assert_eq!(head.deadline(later, false), Some(later + HEAD));
            assert!(!head.is_behind_body());
        }
    }

    #[test]
    fn a_chunked_body_that_came_with_its_head_is_complete() {
        let (mut head, connection, now) = new();
        head.received(b"POST / HTTP/1.1\r\n\r\n4\r\nmore\r\n0\r\n\r\n");
        drop(connection.begin(BodyState::Incomplete { chunked: true }));
        assert_eq!(head.deadline(now, false), Some(now + IDLE));
    }

    #[test]
    fn the_rest_of_an_answered_body_has_the_time_of_a_head() {
        let (mut head, connection, now) = new();
        drop(connection.begin(BodyState::Incomplete { chunked: true }));
        for second in 0..10 {
            assert_eq!(head.deadline(now + second * SECOND, false), Some(now + HEAD));
            head.received(b"1\r\nx\r\n");
        }
        // Body bytes that look like the body's end extend the deadline only until the next byte, which starts a head's
        // timeout again.
        head.received(b"0\r\n\r\n");
        assert_eq!(head.deadline(now + 9 * SECOND, false), Some(now + IDLE));
        head.received(b"x");
        let later = now + 9 * SECOND;
        assert_eq!(head.deadline(later, false), Some(later + HEAD));
        assert_eq!(head.deadline(later + SECOND, false), Some(later + HEAD));
    }

    #[test]
    fn what_comes_behind_a_request_is_bounded_until_that_ends() {
        let (mut head, connection, _) = new();
        let request = connection.begin(BodyState::Complete);
        head.received(&[b'x'; HEAD_LIMIT - 1]);
        assert!(!head.is_far_ahead());
        head.received(b"x");
        assert!(head.is_far_ahead() && !head.is_full());
        let next = connection.begin(BodyState::Complete);
        drop(request);
        assert!(!head.is_far_ahead(), "a part of it has begun the next request");
        drop(next);
    }
}
