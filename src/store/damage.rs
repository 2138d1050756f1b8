//! The number of calls that reported damage to the database's content.

use std::sync::atomic::{AtomicU64, Ordering};

use super::error::Cause;

/// The number of calls of this process that reported damage.
#[derive(Debug, Default)]
pub(super) struct Damage(AtomicU64);

impl Damage {
    pub(super) fn note(&self, cause: &Cause) {
        if self.0.fetch_add(1, Ordering::AcqRel) == 0 {
            log::error!("the database is damaged: {cause}; stop the gateway and restore the database from a backup");
        }
    }

    /// Returns the number.
    pub(super) fn calls(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}
