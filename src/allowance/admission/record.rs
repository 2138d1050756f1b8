//! The history of a connecting network, source or user.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// How long bad codes and successes count.
const RECORD_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// The history of one party. Its size is bounded, because each use costs a permit of the window.
#[derive(Clone, Debug)]
pub(super) struct Record {
    bad: u32,
    bad_at: DateTime<Utc>,
    proven_at: DateTime<Utc>,
    /// The times at which its used permits become free, in order.
    pub(super) uses: VecDeque<DateTime<Utc>>,
    /// Attempts in progress.
    pub(super) busy: u32,
    /// Called places.
    pub(super) called: u32,
    /// All places.
    pub(super) places: u32,
}

impl Default for Record {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Record {
    pub(super) const EMPTY: Self = Self {
        bad: 0,
        bad_at: DateTime::<Utc>::MIN_UTC,
        proven_at: DateTime::<Utc>::MIN_UTC,
        uses: VecDeque::new(),
        busy: 0,
        called: 0,
        places: 0,
    };

    /// Returns the number of bad codes since the last success, or zero if the last of them is too old to count.
    pub(super) fn bad_codes(&self, now: DateTime<Utc>) -> u32 {
        if counts(self.bad_at, now) { self.bad } else { 0 }
    }

    /// Returns whether its last code was valid and recent.
    pub(super) fn is_proven(&self, now: DateTime<Utc>) -> bool {
        self.bad_codes(now) == 0 && counts(self.proven_at, now)
    }

    /// Returns its permits in the window: used, in use or reserved for it.
    pub(super) fn used(&self, now: DateTime<Utc>) -> u32 {
        let used = self.uses.len() - self.uses.partition_point(|free_at| *free_at <= now);
        u32::try_from(used).unwrap_or(u32::MAX).saturating_add(self.busy).saturating_add(self.called)
    }

    pub(super) fn add_bad_code(&mut self, now: DateTime<Utc>) {
        self.bad = self.bad_codes(now).saturating_add(1);
        self.bad_at = now;
    }

    pub(super) fn prove(&mut self, now: DateTime<Utc>) {
        self.bad = 0;
        self.proven_at = now;
    }

    /// Drops uses that no longer count. Returns whether the record is empty.
    pub(super) fn forget(&mut self, now: DateTime<Utc>) -> bool {
        let free = self.uses.partition_point(|free_at| *free_at <= now);
        self.uses.drain(..free);
        let is_idle = self.uses.is_empty() && self.busy == 0 && self.called == 0 && self.places == 0;
        is_idle && self.bad_codes(now) == 0 && !counts(self.proven_at, now)
    }
}

fn counts(since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    since > DateTime::<Utc>::MIN_UTC && now < since + RECORD_LIFETIME
}
