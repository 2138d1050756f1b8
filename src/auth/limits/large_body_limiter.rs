//! The limit on large messages.

use chrono::{DateTime, TimeDelta, Utc};

use super::{fixed_window_counter::FixedWindowCounter, too_many::TooMany};
use crate::domain::UserId;

/// Counts large messages to `/mcp` by user. Parsing one takes as long as hundreds of ordinary calls.
pub struct LargeBodyLimiter(FixedWindowCounter<UserId>);

impl LargeBodyLimiter {
    /// Messages of more bytes than this are counted.
    pub(crate) const THRESHOLD: usize = 16 * 1024;

    /// Allows `per_minute` large messages within a minute.
    pub fn new(per_minute: u32) -> Self {
        Self(FixedWindowCounter::new(per_minute, TimeDelta::minutes(1)))
    }

    /// Counts a message of that many bytes before it is parsed.
    pub(crate) fn admit(&self, user: UserId, bytes: usize, now: DateTime<Utc>) -> Result<(), TooMany> {
        if bytes <= Self::THRESHOLD {
            return Ok(());
        }
        self.0.admit(user, now).map_err(TooMany::LargeBodies)
    }
}
