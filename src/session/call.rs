//! One call on its way from whoever asks to OwnerRez: the message, and who decides whether its request leaves.

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
    /// Nobody waits for the outcome any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Completes when that is so.
    pub(super) async fn abandoned(&mut self) {
        self.reply.closed().await;
    }
}

/// Whether a request leaves is decided once, by whoever comes first: the session that sends it or the caller who gives it
/// up. So a caller who was told that nothing was sent can rely on it.
#[derive(Debug, Default)]
pub(super) struct Departure(AtomicU8);

const OPEN: u8 = 0;
const SENT: u8 = 1;
const CALLED_OFF: u8 = 2;

impl Departure {
    /// To be asked right before the request leaves, at each of its attempts. False: it must not.
    pub(super) fn leave(&self) -> bool {
        self.decide(SENT) == SENT
    }

    /// Gives it up. False where it has left already: then a write may have happened.
    pub(super) fn call_off(&self) -> bool {
        self.decide(CALLED_OFF) == CALLED_OFF
    }

    fn decide(&self, wish: u8) -> u8 {
        self.0
            .compare_exchange(OPEN, wish, Ordering::AcqRel, Ordering::Acquire)
            .map_or_else(|decided| decided, |_| wish)
    }
}

/// Calls a request off when whoever waits for it goes away, in whatever way.
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
