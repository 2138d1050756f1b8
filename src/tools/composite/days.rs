//! Days and nights, without a request: overlaps, free nights, and the current day in a time zone.

use chrono::{DateTime, Days as Step, NaiveDate, Utc};
use chrono_tz::Tz;

/// Days from the first to the last, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Days {
    pub(super) first: NaiveDate,
    pub(super) last: NaiveDate,
}

/// The nights of a stay: from the night after the day of arrival to the one before the day of departure. A stay that
/// ends on a day does not include the night of that day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Nights {
    pub(super) arrival: NaiveDate,
    pub(super) departure: NaiveDate,
}

impl Days {
    pub(super) fn contains(self, day: NaiveDate) -> bool {
        self.first <= day && day <= self.last
    }

    /// Returns the nights that begin on these days.
    pub(super) fn nights(self) -> Nights {
        Nights { arrival: self.first, departure: later(self.last, 1) }
    }
}

impl Nights {
    pub(super) fn count(self) -> i64 {
        (self.departure - self.arrival).num_days().max(0)
    }

    /// Returns the nights that belong to both.
    pub(super) fn common(self, other: Nights) -> Option<Nights> {
        let arrival = self.arrival.max(other.arrival);
        let departure = self.departure.min(other.departure);
        (arrival < departure).then_some(Nights { arrival, departure })
    }

    pub(super) fn overlaps(self, other: Nights) -> bool {
        self.common(other).is_some()
    }

    /// Returns each night by the day on which it begins.
    pub(super) fn each(self) -> impl Iterator<Item = NaiveDate> {
        self.arrival.iter_days().take_while(move |night| *night < self.departure)
    }
}

/// Returns the day this many days later, at most the last day of the calendar.
pub(super) fn later(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Step::new(days)).unwrap_or(NaiveDate::MAX)
}

/// Returns the day this many days earlier, at least the first day of the calendar.
pub(super) fn earlier(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_sub_days(Step::new(days)).unwrap_or(NaiveDate::MIN)
}

/// Returns the longest free stretches of `within`, in order.
pub(super) fn free(within: Nights, taken: &[Nights]) -> Vec<Nights> {
    let mut taken: Vec<Nights> = taken.iter().filter_map(|one| one.common(within)).collect();
    taken.sort_by_key(|one| one.arrival);
    let mut found = Vec::new();
    let mut from = within.arrival;
    for one in taken {
        if from < one.arrival {
            found.push(Nights { arrival: from, departure: one.arrival });
        }
        from = from.max(one.departure);
    }
    if from < within.departure {
        found.push(Nights { arrival: from, departure: within.departure });
    }
    found
}

/// Returns how many nights of `within` are taken, each counted once.
pub(super) fn taken_nights(within: Nights, taken: &[Nights]) -> i64 {
    within.count() - free(within, taken).into_iter().map(Nights::count).sum::<i64>()
}

/// Returns the current day in a time zone.
pub(super) fn today(now: DateTime<Utc>, zone: Tz) -> NaiveDate {
    now.with_timezone(&zone).date_naive()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn day(number: u64) -> NaiveDate {
        later(NaiveDate::from_ymd_opt(2026, 2, 20).unwrap(), number)
    }

    prop_compose! {
        fn nights()(from in 0u64..60, length in 1u64..12) -> Nights {
            Nights { arrival: day(from), departure: day(from + length) }
        }
    }

    proptest! {
        #[test]
        fn every_night_is_free_or_taken(within in nights(), taken in prop::collection::vec(nights(), 0..8)) {
            let stretches = free(within, &taken);
            let is_taken = |night: NaiveDate| taken.iter().any(|one| one.each().any(|other| other == night));
            for night in within.each() {
                let is_free = stretches.iter().any(|one| one.each().any(|other| other == night));
                prop_assert_eq!(is_free, !is_taken(night));
            }
            // No stretch is outside, empty, or adjacent to the next one.
            for one in &stretches {
                prop_assert!(one.count() > 0 && one.common(within) == Some(*one));
            }
            prop_assert!(stretches.windows(2).all(|two| two[0].departure < two[1].arrival));
            let counted = within.each().filter(|night| is_taken(*night)).count();
            prop_assert_eq!(taken_nights(within, &taken), i64::try_from(counted).unwrap());
        }

        #[test]
        fn stays_overlap_when_they_share_a_night(one in nights(), other in nights()) {
            let shared = one.each().filter(|night| other.each().any(|there| there == *night)).count();
            prop_assert_eq!(one.overlaps(other), shared > 0);
            prop_assert_eq!(one.overlaps(other), other.overlaps(one));
            prop_assert_eq!(one.common(other).map_or(0, Nights::count), i64::try_from(shared).unwrap());
        }
    }

    #[test]
    fn who_leaves_makes_room_for_who_comes_that_day() {
        let (first, second) =
            (Nights { arrival: day(1), departure: day(4) }, Nights { arrival: day(4), departure: day(5) });
        assert!(!first.overlaps(second));
        assert!(!first.each().any(|night| night == day(4)));
    }

    #[test]
    fn it_is_not_the_same_day_everywhere() {
        let now = Utc.with_ymd_and_hms(2026, 6, 15, 3, 30, 0).unwrap();
        assert_eq!(today(now, Tz::America__New_York).to_string(), "2026-06-14");
        assert_eq!(today(now, Tz::Europe__Lisbon).to_string(), "2026-06-15");
        assert_eq!(today(now, Tz::UTC).to_string(), "2026-06-15");
    }

    #[test]
    fn the_end_of_the_calendar_is_no_trap() {
        assert_eq!(later(NaiveDate::MAX, 3), NaiveDate::MAX);
        assert_eq!(earlier(NaiveDate::MIN, 3), NaiveDate::MIN);
    }
}
