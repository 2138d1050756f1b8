//! The state that a connection's stream shares with the requests on it.

use std::{cell::Cell, rc::Rc};

/// Shared by the stream, which sees bytes, and the middleware, which sees requests. All run on one thread.
#[derive(Debug)]
pub(super) struct Connection {
    begun: Cell<u64>,
    under_way: Cell<bool>,
    body: Cell<BodyState>,
    body_wanted: Cell<bool>,
}

/// The state of the current request's body; after the request ends, that of the last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BodyState {
    /// The body has arrived completely, or the request has none.
    Complete,
    /// The body has not arrived completely, as far as is known.
    Incomplete {
        /// Whether the body is sent in chunks (RFC 9112 section 7.1): actix-http then reads on after the answer,
        /// without limit.
        chunked: bool,
    },
}

/// A request under way: from its head to the last byte of its answer. Dropping it ends the request.
#[derive(Debug)]
pub(super) struct InFlight(Rc<Connection>);

impl Connection {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            begun: Cell::new(0),
            under_way: Cell::new(false),
            body: Cell::new(BodyState::Complete),
            body_wanted: Cell::new(false),
        })
    }

    /// Begins a request.
    pub(super) fn begin(self: &Rc<Self>, body: BodyState) -> InFlight {
        self.begun.set(self.begun.get() + 1);
        self.under_way.set(true);
        self.body.set(body);
        self.body_wanted.set(false);
        InFlight(self.clone())
    }

    /// Returns how many requests have begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun.get()
    }

    /// Returns whether a request is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.get()
    }

    /// Returns the state of the body.
    pub(super) fn body(&self) -> BodyState {
        self.body.get()
    }

    /// Records that a handler waits for the body and must be polled again, even if nothing more arrives.
    pub(super) fn want_body(&self) {
        self.body_wanted.set(true);
    }

    /// Returns once for each [`Self::want_body`] whether the body is still incomplete.
    pub(super) fn lacks_wanted_body(&self) -> bool {
        self.body_wanted.replace(false) && self.body.get() != BodyState::Complete
    }

    /// Records that the body of the current request has arrived completely.
    pub(super) fn complete_body(&self) {
        self.body.set(BodyState::Complete);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.under_way.set(false);
    }
}
