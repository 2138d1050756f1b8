//! When refused tokens end a connection.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// A token is just issued for this long. Refusals that end a connection are spread over as much.
pub(super) const FRESH: TimeDelta = TimeDelta::minutes(5);
/// So many uncertain refusals end a connection.
const REFUSALS: u32 = 3;
/// What was noted longer ago than this may be forgotten with its session.
const KEPT: TimeDelta = TimeDelta::hours(1);

/// The refusals of a connection's tokens of which no single one is certain. OwnerRez refused a token that it had just issued,
/// and so contradicts itself, or it did not name the token as the reason. Any answer that accepts a token ends the count. It
/// is kept by the session only: after a restart the end comes some minutes later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusals {
    connection: Uuid,
    /// When the first one was noted that counts.
    first: DateTime<Utc>,
    count: u32,
}

impl Refusals {
    /// Notes one more, and returns whether those that count are enough by now.
    pub(super) fn note(noted: &mut Option<Self>, connection: Uuid, counts: bool, now: DateTime<Utc>) -> bool {
        let before = noted.filter(|before| before.connection == connection && before.count > 0);
        let mut refusals = before.unwrap_or(Self { connection, first: now, count: 0 });
        refusals.count = refusals.count.saturating_add(u32::from(counts));
        *noted = Some(refusals);
        counts && refusals.count >= REFUSALS && now - refusals.first >= FRESH
    }

    /// Whether any are noted for this connection.
    pub(super) fn concern(&self, connection: Uuid) -> bool {
        self.connection == connection
    }

    /// Whether they are of no use any more.
    pub(super) fn are_old(&self, now: DateTime<Utc>) -> bool {
        now - self.first > KEPT
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Only three refusals or more, five minutes or more from the first to the last, are enough.
        #[test]
        fn neither_many_at_once_nor_few_over_hours_are_enough(pauses in vec(0_i64..400, 1..12)) {
            let (mut noted, mut now) = (None, DateTime::UNIX_EPOCH);
            let first = now + TimeDelta::seconds(pauses[0]);
            for (index, pause) in pauses.iter().enumerate() {
                now += TimeDelta::seconds(*pause);
                let enough = Refusals::note(&mut noted, Uuid::nil(), true, now);
                prop_assert_eq!(enough, index >= 2 && now - first >= FRESH);
            }
        }
    }

    #[test]
    fn refusals_that_do_not_count_end_nothing() {
        let (mut noted, mut now) = (None, DateTime::UNIX_EPOCH);
        for _ in 0..50 {
            assert!(!Refusals::note(&mut noted, Uuid::nil(), false, now));
            now += TimeDelta::minutes(1);
        }
        assert!(!Refusals::note(&mut noted, Uuid::nil(), true, now), "the first that counts");
    }

    #[test]
    fn a_new_connection_begins_a_new_count() {
        let (mut noted, later) = (None, DateTime::UNIX_EPOCH + FRESH);
        for _ in 0..5 {
            Refusals::note(&mut noted, Uuid::nil(), true, DateTime::UNIX_EPOCH);
        }
        assert!(!Refusals::note(&mut noted, Uuid::max(), true, later));
        assert!(noted.is_some_and(|noted| noted.concern(Uuid::max()) && !noted.concern(Uuid::nil())));
    }
}
