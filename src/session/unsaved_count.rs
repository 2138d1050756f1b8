//! The number of users whose tokens are not in the database.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The number of users whose tokens are not in the database. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct UnsavedCount(Arc<AtomicUsize>);

impl UnsavedCount {
    /// Returns the current number.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// Counts one more until the returned value is dropped.
    pub(super) fn increment(&self) -> CountedUnsaved {
        self.0.fetch_add(1, Ordering::AcqRel);
        CountedUnsaved(self.clone())
    }
}

/// One of the counted users.
pub(super) struct CountedUnsaved(UnsavedCount);

impl Drop for CountedUnsaved {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
