//! One call to OwnerRez: the message to the session, and the atomic decision between sending and cancelling.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use actix::prelude::*;
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::{Answer, CallError};
use crate::domain::UpstreamRequest;

/// One request to OwnerRez.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct CallUpstream {
    pub(super) request: Arc<UpstreamRequest>,
    pub(super) deadline: DateTime<Utc>,
    pub(super) departure: Arc<Departure>,
    pub(super) reply: oneshot::Sender<Result<Answer, CallError>>,
}

impl CallUpstream {
    /// Returns whether the caller has gone away.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Completes when the caller has gone away.
    pub(super) async fn abandoned(&mut self) {
        self.reply.closed().await;
    }
}

/// Decides atomically, exactly once, whether a request is sent by the session or cancelled by the caller. So a caller
/// that gets "not sent" can rely on it.
#[derive(Debug, Default)]
pub(super) struct Departure(AtomicU8);

const OPEN: u8 = 0;
const SENT: u8 = 1;
const CALLED_OFF: u8 = 2;

impl Departure {
    /// Claims the right to send. Call it right before the request is sent, on each attempt. If it returns `false`, the
    /// request must not be sent.
    pub(super) fn leave(&self) -> bool {
        self.decide(SENT) == SENT
    }

    /// Cancels the request. Returns `false` if it was sent already: then a write may have happened.
    pub(super) fn call_off(&self) -> bool {
        self.decide(CALLED_OFF) == CALLED_OFF
    }

    fn decide(&self, wish: u8) -> u8 {
        self.0
            .compare_exchange(OPEN, wish, Ordering::AcqRel, Ordering::Acquire)
            .map_or_else(|decided| decided, |_| wish)
    }
}

/// Cancels a request when its caller goes away for any reason.
pub(super) struct CallOff(pub(super) Arc<Departure>);

impl Drop for CallOff {
    fn drop(&mut self) {
        self.0.call_off();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_left_cannot_be_called_off_and_may_leave_again() {
        let departure = Departure::default();
        assert!(departure.leave() && !departure.call_off() && departure.leave());
    }

    #[test]
    fn what_was_called_off_never_leaves() {
        let departure = Arc::new(Departure::default());
        drop(CallOff(departure.clone()));
        assert!(!departure.leave() && departure.call_off());
    }
}
