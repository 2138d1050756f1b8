//! Decides when rejected tokens end a connection.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// A token counts as just issued for this long. Rejections that end a connection span at least this time.
pub(super) const FRESH: TimeDelta = TimeDelta::minutes(5);
/// The number of uncertain rejections that end a connection.
const MIN_REJECTIONS: u32 = 3;
/// The age after which rejections may be lost with their session.
const KEPT: TimeDelta = TimeDelta::hours(1);

/// Rejections of a connection's tokens that are not certain evidence individually: OwnerRez rejected a token that it
/// had just issued, and so contradicts itself, or it did not name the token as the reason. Any response that accepts a
/// token resets the count. The count is kept in the session only: after a restart the connection ends some minutes
/// later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rejections {
    connection: Uuid,
    /// The time of the first rejection that counts.
    first: DateTime<Utc>,
    count: u32,
}

impl Rejections {
    /// Records one more, and returns whether those that count are enough.
    pub(super) fn note(noted: &mut Option<Self>, connection: Uuid, counts: bool, now: DateTime<Utc>) -> bool {
        let before = noted.filter(|before| before.connection == connection && before.count > 0);
        let mut rejections = before.unwrap_or(Self { connection, first: now, count: 0 });
        rejections.count = rejections.count.saturating_add(u32::from(counts));
        *noted = Some(rejections);
        counts && rejections.count >= MIN_REJECTIONS && now - rejections.first >= FRESH
    }

    /// Returns whether any are recorded for this connection.
    pub(super) fn concern(&self, connection: Uuid) -> bool {
        self.connection == connection
    }

    /// Returns whether they are too old to matter.
    pub(super) fn are_old(&self, now: DateTime<Utc>) -> bool {
        now - self.first > KEPT
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Only three rejections or more, five minutes or more from the first to the last, are enough.
        #[test]
        fn neither_many_at_once_nor_few_over_hours_are_enough(pauses in vec(0_i64..400, 1..12)) {
            let (mut noted, mut now) = (None, DateTime::UNIX_EPOCH);
            let first = now + TimeDelta::seconds(pauses[0]);
            for (index, pause) in pauses.iter().enumerate() {
                now += TimeDelta::seconds(*pause);
                let enough = Rejections::note(&mut noted, Uuid::nil(), true, now);
                prop_assert_eq!(enough, index >= 2 && now - first >= FRESH);
            }
        }
    }

    #[test]
    fn refusals_that_do_not_count_end_nothing() {
        let (mut noted, mut now) = (None, DateTime::UNIX_EPOCH);
        for _ in 0..50 {
            assert!(!Rejections::note(&mut noted, Uuid::nil(), false, now));
            now += TimeDelta::minutes(1);
        }
        assert!(!Rejections::note(&mut noted, Uuid::nil(), true, now), "the first that counts");
    }

    #[test]
    fn a_new_connection_begins_a_new_count() {
        let (mut noted, later) = (None, DateTime::UNIX_EPOCH + FRESH);
        for _ in 0..5 {
            Rejections::note(&mut noted, Uuid::nil(), true, DateTime::UNIX_EPOCH);
        }
        assert!(!Rejections::note(&mut noted, Uuid::max(), true, later));
        assert!(noted.is_some_and(|noted| noted.concern(Uuid::max()) && !noted.concern(Uuid::nil())));
    }
}
