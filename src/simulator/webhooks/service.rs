//! The data of webhooks that all threads share without a lock.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Notify, watch};

use super::contract::Contract;

/// Shared data of `notices` and `sender` that does not need the lock of the queue.
pub(in crate::simulator) struct Service {
    pub(in crate::simulator) contract: Contract,
    /// Wakes the sender, because a delivery may be due earlier than before.
    pub(in crate::simulator) wake: Notify,
    /// Changes after each attempt.
    pub(in crate::simulator) settled: watch::Sender<()>,
    last_number: AtomicU64,
}

impl Service {
    pub(in crate::simulator) fn load() -> io::Result<Self> {
        Ok(Service {
            contract: Contract::load()?,
            wake: Notify::new(),
            settled: watch::Sender::new(()),
            last_number: AtomicU64::new(0),
        })
    }

    /// Returns a new number. Numbers continue after a reset, so that an attempt that is then being made matches no new
    /// delivery.
    pub(in crate::simulator) fn new_number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }
}
