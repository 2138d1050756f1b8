//! The sliding window of OwnerRez's rate limit. No I/O, so that the gateway's own budget can be tested against it.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// Admits at most `limit` requests in any half-open interval of length `period`, wherever it begins.
///
/// The real service evaluates continuously, so no bucket is refilled at a fixed time; rejected requests do not move the
/// window forward.
#[derive(Clone, Debug)]
pub struct Window {
    limit: u32,
    period: TimeDelta,
    admitted: VecDeque<DateTime<Utc>>,
}

impl Window {
    /// Creates an empty window.
    pub fn new(limit: u32, period: TimeDelta) -> Self {
        Window { limit, period, admitted: VecDeque::new() }
    }

    /// Changes the limit; requests admitted earlier still count.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Returns whether a request that arrives `now` is admitted; if so, it counts from now on.
    pub fn admit(&mut self, now: DateTime<Utc>) -> bool {
        if self.in_window(now) >= self.limit as usize {
            return false;
        }
        self.admitted.push_back(now);
        true
    }

    /// Returns how many admitted requests count for a request that arrives `now`.
    pub fn in_window(&mut self, now: DateTime<Utc>) -> usize {
        while self.admitted.front().is_some_and(|&oldest| oldest + self.period <= now) {
            self.admitted.pop_front();
        }
        self.admitted.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn second(at: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(at)
    }

    #[test]
    fn the_oldest_request_frees_its_place_exactly_one_period_later() {
        let mut window = Window::new(2, TimeDelta::seconds(300));
        assert!(window.admit(second(0)));
        assert!(window.admit(second(10)));
        assert!(!window.admit(second(299)));
        assert!(window.admit(second(300)));
        assert!(!window.admit(second(301)));
        assert_eq!(window.in_window(second(310)), 1);
    }

    proptest! {
        #[test]
        fn no_interval_holds_more_than_the_limit(gaps in prop::collection::vec(0i64..40, 1..300), limit in 1u32..20) {
            let mut window = Window::new(limit, TimeDelta::seconds(300));
            let mut now = 0;
            let mut admitted = Vec::new();
            for gap in gaps {
                now += gap;
                if window.admit(second(now)) {
                    admitted.push(now);
                }
            }
            for start in &admitted {
                let inside = admitted.iter().filter(|&at| at >= start && *at < start + 300).count();
                prop_assert!(inside <= limit as usize);
            }
        }
    }
}
