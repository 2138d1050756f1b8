//! The pause after a 429 of OwnerRez, and the stepwise reopening.

use chrono::{DateTime, TimeDelta, Utc};

use crate::allowance::period::PERIOD;

/// Closes the budget after a 429.
#[derive(Clone, Debug, Default)]
pub(super) struct Throttle {
    closed_until: Option<DateTime<Utc>>,
    closings: u32,
    throttles_in_a_row: u32,
    /// While reopening after a 429: the maximum number of requests in progress.
    reopening: Option<usize>,
}

impl Throttle {
    /// Handles a 429 to a request that was granted after `closings` closings.
    pub(super) fn rejected(&mut self, closings: u32, at: DateTime<Utc>, retry_after: Option<TimeDelta>) {
        let asked = retry_after.map(|wait| wait.max(TimeDelta::seconds(1)).min(PERIOD));
        if closings == self.closings {
            let backoff = TimeDelta::seconds(15 << self.throttles_in_a_row.min(4));
            self.throttles_in_a_row += 1;
            self.closings += 1;
            self.reopening = Some(1);
            self.closed_until = self.closed_until.max(Some(at + asked.unwrap_or(backoff)));
        } else if let Some(asked) = asked {
            // One of several requests in progress together: the same 429, not a further one.
            self.closed_until = self.closed_until.max(Some(at + asked));
        }
    }

    /// Handles another response to a request that was granted after `closings` closings.
    pub(super) fn accepted(&mut self, closings: u32) {
        // Only a request that was granted since the last 429 shows that OwnerRez accepts requests again.
        if closings == self.closings {
            self.throttles_in_a_row = 0;
            self.reopening = self.reopening.map(|at_once| at_once * 2).filter(|at_once| *at_once < 32);
        }
    }

    /// Returns how often the budget has been closed.
    pub(super) fn closings(&self) -> u32 {
        self.closings
    }

    /// Returns when the last pause ends or ended.
    pub(super) fn closed_until(&self) -> Option<DateTime<Utc>> {
        self.closed_until
    }

    /// Returns whether the last pause is over.
    pub(super) fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.closed_until.is_none_or(|until| until <= now)
    }

    /// Returns the first moment from which requests may be sent.
    pub(super) fn opens_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.closed_until.unwrap_or(now).max(now)
    }

    /// Returns how many more requests may be in progress, if their number is limited.
    pub(super) fn left(&self, in_flight: usize) -> Option<usize> {
        self.reopening.map(|at_once| at_once.saturating_sub(in_flight))
    }
}
