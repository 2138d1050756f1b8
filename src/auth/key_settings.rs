//! The settings of the key check.

use chrono::TimeDelta;

/// The limits of the key check.
#[derive(Clone, Copy, Debug)]
pub struct KeySettings {
    /// The bcrypt cost of new keys.
    pub bcrypt_cost: u32,
    /// Limits the concurrent bcrypt computations.
    pub bcrypt_parallel: usize,
    /// Limits the keys that are cached and need no bcrypt.
    pub cache_entries: usize,
    /// The number of failures after which a source is limited.
    pub failures_per_address: u32,
    /// The number of failures with one lookup id after which a source is limited for that id.
    pub failures_per_lookup_id: u32,
    /// How long failures count.
    pub failures_count_for: TimeDelta,
}
