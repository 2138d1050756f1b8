//! The permits for connecting. The admission in front of the budget asks for them before it admits an attempt.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::{Account, Budget, PERIOD, count};

/// The permits for connecting at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConnectingPermits {
    /// Slots that connecting occupies, including callers that wait for one.
    pub used: u32,
    /// Permits that connecting would get now, one after the other.
    pub left: u32,
}

impl Budget {
    /// Returns the permits for connecting at this moment. Call it after an event of the same moment.
    pub fn permits_for_connecting(&self) -> ConnectingPermits {
        let waiting = self.waiting.get(&Account::Connecting).map_or(0, VecDeque::len);
        let used = self.used(Account::Connecting).saturating_add(count(waiting));
        let is_open = self.active && self.closed_until.is_none_or(|until| until <= self.latest);
        let at_once = self.reopening.map_or(u32::MAX, |at_once| count(at_once.saturating_sub(self.in_flight.len())));
        let left = self.left_for_connecting(used, self.free().saturating_sub(count(waiting)));
        ConnectingPermits { used, left: if is_open { left.min(at_once) } else { 0 } }
    }

    /// Returns the permits for connecting from now on if no account takes any. Each entry is valid until the next one.
    /// `None` if this process may not spend.
    pub fn forecast_for_connecting(&self) -> Option<Vec<(DateTime<Utc>, ConnectingPermits)>> {
        if !self.active {
            return None;
        }
        let waiting = self.waiting.get(&Account::Connecting).map_or(0, VecDeque::len);
        let opens = self.closed_until.unwrap_or(self.latest).max(self.latest);
        let (mut free, mut used) = (self.free(), self.used(Account::Connecting).saturating_add(count(waiting)));
        let permits = |used: u32, free: u32| ConnectingPermits {
            used,
            left: self.left_for_connecting(used, free.saturating_sub(count(waiting))),
        };
        let mut forecast = vec![(self.latest, self.permits_for_connecting()), (opens, permits(used, free))];
        let mut last = opens;
        for (at, releases) in &self.releases {
            for release in releases {
                free = free.saturating_add(release.slots);
                if release.account == Some(Account::Connecting) {
                    used = used.saturating_sub(release.slots);
                }
            }
            last = last.max(*at);
            forecast.push((last, permits(used, free)));
        }
        // By then the responses of all requests in progress are old enough.
        forecast.push((last.max(opens + PERIOD), permits(0, self.limit)));
        Some(forecast)
    }

    /// Returns the number of permits for connecting, given its usage and the number of free slots.
    fn left_for_connecting(&self, used: u32, free: u32) -> u32 {
        let (part, most) = ((self.limit / 20).max(1), (self.limit / 2).max(1));
        let mut left = 0;
        for (start, end) in [(0, part), (part, part * 2), (part * 2, most)] {
            // All permits of one stage leave the same number of slots to others.
            let kept = self.fairness_reserve(Account::Connecting, start);
            let end = end.min(most);
            left += end.saturating_sub(used + left).min(free.saturating_sub(left + kept));
            if used + left < end {
                break;
            }
        }
        left
    }
}
