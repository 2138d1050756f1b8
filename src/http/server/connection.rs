//! What a connection's stream and the requests on it know of each other.

use std::{cell::Cell, rc::Rc};

/// Shared by the stream, which sees bytes, and the middleware, which sees requests. All run on one thread.
#[derive(Debug)]
pub(super) struct Connection {
    begun: Cell<u64>,
    under_way: Cell<bool>,
    body: Cell<BodyState>,
}

/// How much of the current request's body has arrived; once the request is over, of the last one's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BodyState {
    /// All of it, or the request has no body.
    Complete,
    /// Not all of it, as far as is known.
    Incomplete {
        /// Sent in chunks (RFC 9112 section 7.1): actix-http then reads on after the answer, however long that takes.
        chunked: bool,
    },
}

/// A request under way: from its head to the last byte of its answer. Dropping it ends the request.
#[derive(Debug)]
pub(super) struct UnderWay(Rc<Connection>);

impl Connection {
    pub(super) fn new() -> Rc<Self> {
        let (begun, under_way, body) = (Cell::new(0), Cell::new(false), Cell::new(BodyState::Complete));
        Rc::new(Self { begun, under_way, body })
    }

    /// Begins a request.
    pub(super) fn begin(self: &Rc<Self>, body: BodyState) -> UnderWay {
        self.begun.set(self.begun.get() + 1);
        self.under_way.set(true);
        self.body.set(body);
        UnderWay(self.clone())
    }

    /// Returns how many requests have begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun.get()
    }

    /// Returns whether a request is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.get()
    }

    /// Returns what has arrived of the body.
    pub(super) fn body(&self) -> BodyState {
        self.body.get()
    }

    /// Notes that the whole body of the current request has arrived.
    pub(super) fn complete_body(&self) {
        self.body.set(BodyState::Complete);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.set(false);
    }
}
