//! The atomic decision between sending and cancelling one call.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU32, Ordering},
};

/// Decides atomically, exactly once, whether a request is sent by the session or cancelled by the caller. So a caller
/// that gets "not sent" can rely on it.
#[derive(Debug, Default)]
pub(super) struct SendState {
    decision: AtomicU8,
    /// The number of attempts that were sent.
    attempts: AtomicU32,
}

const OPEN: u8 = 0;
const SENT: u8 = 1;
const CANCELLED: u8 = 2;

impl SendState {
    /// Claims the right to send. Call it right before the request is sent, on each attempt. If it returns `false`, the
    /// request must not be sent.
    pub(super) fn try_commit(&self) -> bool {
        let may_send = self.decide(SENT) == SENT;
        self.attempts.fetch_add(u32::from(may_send), Ordering::Relaxed);
        may_send
    }

    /// Returns the number of requests that were sent: more than one if a read or a rejected token was repeated.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Cancels the request. Returns `false` if it was sent already: then a write may have happened.
    pub(super) fn try_cancel(&self) -> bool {
        self.decide(CANCELLED) == CANCELLED
    }

    fn decide(&self, wanted: u8) -> u8 {
        self.decision
            .compare_exchange(OPEN, wanted, Ordering::AcqRel, Ordering::Acquire)
            .map_or_else(|decided| decided, |_| wanted)
    }
}

/// Cancels a request when its caller goes away for any reason.
pub(super) struct CancelOnDrop(pub(super) Arc<SendState>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.try_cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sent_request_cannot_be_cancelled_and_may_be_sent_again() {
        let send_state = SendState::default();
        assert!(send_state.try_commit() && !send_state.try_cancel() && send_state.try_commit());
        assert_eq!(send_state.attempts(), 2);
    }

    #[test]
    fn a_cancelled_request_is_never_sent() {
        let send_state = Arc::new(SendState::default());
        drop(CancelOnDrop(send_state.clone()));
        assert!(!send_state.try_commit() && send_state.try_cancel());
        assert_eq!(send_state.attempts(), 0);
    }
}
