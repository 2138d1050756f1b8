//! Writes to OwnerRez: recorded before they are sent, and their outcome after. A row contains the user, the record, the
//! tool and the time; of the written data it contains only a keyed digest.
//!
//! A write is compared with the recent ones while the user's row is locked. So of two concurrent identical calls, in
//! one process or in several, one is recorded and the other finds it.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{Moment, users, writes as rows};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, LockType},
};
use uuid::Uuid;

use super::{database::Store, error::StoreError};
use crate::domain::UserId;

/// For this long after a write was made, an identical write is not sent again.
const REPEATED_WITHIN: TimeDelta = TimeDelta::seconds(60);
/// The same if the outcome is unknown: longer than the longest call (`sessions.call_deadline_seconds`).
const UNKNOWN_WITHIN: TimeDelta = TimeDelta::minutes(15);
/// The same if the caller gave an idempotency key.
const KEYED_WITHIN: TimeDelta = TimeDelta::hours(24);
/// Longer than the validity of any draft or confirmation, and than any call takes.
const KEPT_FOR: TimeDelta = TimeDelta::hours(1);

const SENT: &str = "sent";
const DONE: &str = "done";
const UNKNOWN: &str = "unknown";

/// A write about to be sent.
#[derive(Clone, Debug)]
pub struct NewWrite {
    /// The id of the write.
    pub id: Uuid,
    /// Name of the tool.
    pub tool: String,
    /// Digests of the user, the tool and the request, that of the current encryption key first; never empty.
    pub digests: Vec<String>,
    /// Digests of the caller's idempotency key, that of the current encryption key first; empty without one.
    pub idempotency: Vec<String>,
    /// Digest of the draft or the confirmation that allows the write: each allows one write.
    pub permit: Option<String>,
    /// The records that the write changes, as far as they are known in advance.
    pub touched: Vec<String>,
    /// Whether the caller wants the write sent even if an identical one may have been made just now.
    pub again: bool,
}

/// A write that was recorded earlier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WriteRecord {
    /// Name of the tool.
    pub tool: String,
    /// Whether it is known that the write was made.
    pub done: bool,
    /// The id in OwnerRez's response.
    pub answer_id: Option<i64>,
    /// When it was recorded, immediately before it was sent.
    pub recorded_at: DateTime<Utc>,
}

/// The result of trying to record a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// The write is recorded and may be sent.
    Recorded,
    /// It repeats this write, which was made just now or with the same idempotency key.
    Repeats(WriteRecord),
    /// Its draft or confirmation has already allowed this write.
    PermitUsed(WriteRecord),
    /// Its idempotency key belongs to this write, which is different.
    KeyTaken(WriteRecord),
    /// The user no longer exists.
    NoUser,
}

/// The outcome of a write.
#[derive(Clone, Debug)]
pub struct SettledWrite {
    /// Whether it is known that the write was made.
    pub done: bool,
    /// The id in OwnerRez's response.
    pub answer_id: Option<i64>,
    /// The records that it changed.
    pub touched: Vec<String>,
}

impl From<&rows::Model> for WriteRecord {
    fn from(row: &rows::Model) -> Self {
        WriteRecord {
            tool: row.tool.clone(),
            done: row.outcome == DONE,
            answer_id: row.answer_id,
            recorded_at: row.recorded_at.into(),
        }
    }
}

impl Store {
    /// Records a write, unless it was made already.
    pub async fn claim_write(&self, user: UserId, write: &NewWrite, now: DateTime<Utc>) -> Result<Claim, StoreError> {
        let row = rows::ActiveModel {
            id: Set(write.id),
            user_id: Set(user.0),
            tool: Set(write.tool.clone()),
            digest: Set(write.digests.first().cloned().unwrap_or_default()),
            idempotency_digest: Set(write.idempotency.first().cloned()),
            permit_digest: Set(write.permit.clone()),
            touched: Set(write.touched.join(" ")),
            outcome: Set(SENT.to_owned()),
            answer_id: Set(None),
            recorded_at: Set(now.into()),
            settled_at: Set(None),
        };
        self.run(async {
            let transaction = self.begin().await?;
            let owner = users::Entity::find_by_id(user.0).lock(LockType::NoKeyUpdate).one(&transaction).await?;
            if owner.is_none() {
                transaction.rollback().await?;
                return Ok(Claim::NoUser);
            }
            let known = candidates(user, write, now).all(&transaction).await?;
            if let Some(found) = earlier(&known, write, now) {
                transaction.rollback().await?;
                return Ok(found);
            }
            rows::Entity::insert(row).exec_without_returning(&transaction).await?;
            transaction.commit().await?;
            Ok(Claim::Recorded)
        })
        .await
    }

    /// Returns the earlier write for which [`Store::claim_write`] would reject this one. Records nothing.
    pub async fn earlier_write(
        &self,
        user: UserId,
        write: &NewWrite,
        now: DateTime<Utc>,
    ) -> Result<Option<Claim>, StoreError> {
        let known = self.run(candidates(user, write, now).all(&self.db)).await?;
        Ok(earlier(&known, write, now))
    }

    /// Records the outcome of a write. Returns `false` if it is recorded already, or if the record is gone.
    pub async fn settle_write(
        &self,
        user: UserId,
        id: Uuid,
        settled: SettledWrite,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let SettledWrite { done, answer_id, touched } = settled;
        let update = rows::Entity::update_many()
            .col_expr(rows::Column::Outcome, Expr::value(if done { DONE } else { UNKNOWN }))
            .col_expr(rows::Column::AnswerId, Expr::value(answer_id))
            .col_expr(rows::Column::Touched, Expr::value(touched.join(" ")))
            .col_expr(rows::Column::SettledAt, Expr::value(Moment::from(now)))
            .filter(rows::Column::Id.eq(id))
            .filter(rows::Column::UserId.eq(user.0))
            .filter(rows::Column::Outcome.eq(SENT));
        Ok(self.run(update.exec(&self.db)).await?.rows_affected > 0)
    }

    /// Deletes the record of a write that was not made: nothing was sent, or OwnerRez rejected it.
    pub async fn forget_write(&self, user: UserId, id: Uuid) -> Result<bool, StoreError> {
        let delete = rows::Entity::delete_many()
            .filter(rows::Column::Id.eq(id))
            .filter(rows::Column::UserId.eq(user.0))
            .filter(rows::Column::Outcome.eq(SENT));
        Ok(self.run(delete.exec(&self.db)).await?.rows_affected > 0)
    }

    /// Deletes records of all users that are no longer needed and returns their number.
    pub async fn sweep_writes(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let before = |span: TimeDelta| rows::Column::RecordedAt.lt(Moment::from(now - span));
        let unkeyed = Condition::all().add(rows::Column::IdempotencyDigest.is_null()).add(before(KEPT_FOR));
        let delete =
            rows::Entity::delete_many().filter(Condition::any().add(unkeyed).add(before(KEYED_WITHIN + KEPT_FOR)));
        Ok(self.run(delete.exec(&self.db)).await?.rows_affected)
    }
}

/// Selects the records that may conflict with a write, latest first.
fn candidates(user: UserId, write: &NewWrite, now: DateTime<Utc>) -> Select<rows::Entity> {
    let mut any = Condition::any().add(rows::Column::RecordedAt.gt(Moment::from(now - UNKNOWN_WITHIN)));
    if !write.idempotency.is_empty() {
        let within = rows::Column::RecordedAt.gt(Moment::from(now - KEYED_WITHIN));
        let keyed = rows::Column::IdempotencyDigest.is_in(&write.idempotency);
        any = any.add(Condition::all().add(keyed).add(within));
    }
    if let Some(permit) = &write.permit {
        any = any.add(rows::Column::PermitDigest.eq(permit));
    }
    rows::Entity::find()
        .filter(rows::Column::UserId.eq(user.0))
        .filter(any)
        .order_by_desc(rows::Column::RecordedAt)
        .order_by_desc(rows::Column::Id)
}

/// Returns the conflict of a write with an earlier one. `known` has the latest first.
fn earlier(known: &[rows::Model], write: &NewWrite, now: DateTime<Utc>) -> Option<Claim> {
    let same = |row: &rows::Model| row.tool == write.tool && write.digests.contains(&row.digest);
    let keyed = |row: &&rows::Model| row.idempotency_digest.as_ref().is_some_and(|key| write.idempotency.contains(key));
    if let Some(row) = known.iter().find(keyed) {
        if !same(row) {
            return Some(Claim::KeyTaken(row.into()));
        }
        if !write.again {
            return Some(Claim::Repeats(row.into()));
        }
    }
    if !write.again
        && let Some(row) = just_made(known, write, same, now)
    {
        return Some(Claim::Repeats(row.into()));
    }
    let used = known.iter().find(|row| write.permit.is_some() && row.permit_digest == write.permit);
    used.map(|row| Claim::PermitUsed(row.into()))
}

/// Returns the same write, if it was made just now and no later write changed the same record.
fn just_made<'a>(
    known: &'a [rows::Model],
    write: &NewWrite,
    same: impl Fn(&rows::Model) -> bool,
    now: DateTime<Utc>,
) -> Option<&'a rows::Model> {
    let (at, row) = known.iter().enumerate().find(|(_, row)| same(row))?;
    // Two idempotency keys mean that two writes are intended.
    if !write.idempotency.is_empty() && row.idempotency_digest.is_some() {
        return None;
    }
    let (ended, window) = match row.settled_at {
        Some(settled) if row.outcome == DONE => (settled, REPEATED_WITHIN),
        _ => (row.recorded_at, UNKNOWN_WITHIN),
    };
    if DateTime::<Utc>::from(ended) + window <= now {
        return None;
    }
    let changed = |record: &str| row.touched.split(' ').any(|one| one == record);
    let between = known[..at].iter().any(|later| later.touched.split(' ').any(|one| !one.is_empty() && changed(one)));
    (!between).then_some(row)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Builds a recorded write from small numbers: its content, its idempotency key and its permit (0 for none), the
    /// records it changes, its outcome, and how many seconds ago it was recorded and settled.
    fn row(said: u8, key: u8, permit: u8, touched: &[u8], outcome: &str, ago: i64) -> rows::Model {
        let recorded_at = (DateTime::UNIX_EPOCH - TimeDelta::seconds(ago)).into();
        rows::Model {
            id: Uuid::nil(),
            user_id: Uuid::nil(),
            tool: "tool".to_owned(),
            digest: format!("d{said}"),
            idempotency_digest: (key > 0).then(|| format!("k{key}")),
            permit_digest: (permit > 0).then(|| format!("p{permit}")),
            touched: touched.iter().map(|record| format!("guests/{record}")).collect::<Vec<_>>().join(" "),
            outcome: outcome.to_owned(),
            answer_id: None,
            recorded_at,
            settled_at: (outcome != SENT).then_some(recorded_at),
        }
    }

    fn wish(said: u8, key: u8, permit: u8, again: bool) -> NewWrite {
        NewWrite {
            id: Uuid::nil(),
            tool: "tool".to_owned(),
            // The second digest was made with an older encryption key of the deployment.
            digests: vec!["new".to_owned(), format!("d{said}")],
            idempotency: (key > 0).then(|| format!("k{key}")).into_iter().collect(),
            permit: (permit > 0).then(|| format!("p{permit}")),
            touched: Vec::new(),
            again,
        }
    }

    fn any_row() -> impl Strategy<Value = rows::Model> {
        let outcome = proptest::sample::select(vec![SENT, DONE, UNKNOWN]);
        (1..4u8, 0..3u8, 0..3u8, proptest::collection::vec(1..4u8, 0..3), outcome, 0..2000i64)
            .prop_map(|(said, key, permit, touched, outcome, ago)| row(said, key, permit, &touched, outcome, ago))
    }

    proptest! {
        #[test]
        fn what_stands_in_the_way_is_what_the_rules_say(
            mut known in proptest::collection::vec(any_row(), 0..8),
            said in 1..4u8, key in 0..3u8, permit in 0..3u8, again: bool,
        ) {
            known.sort_by_key(|row| std::cmp::Reverse(row.recorded_at));
            let wish = wish(said, key, permit, again);
            let same = |row: &rows::Model| row.digest == format!("d{said}");
            let keyed = |row: &rows::Model| key > 0 && row.idempotency_digest == Some(format!("k{key}"));
            match earlier(&known, &wish, DateTime::UNIX_EPOCH) {
                Some(Claim::Repeats(_)) => prop_assert!(!again && known.iter().any(same)),
                Some(Claim::KeyTaken(_)) => prop_assert!(known.iter().any(|row| keyed(row) && !same(row))),
                Some(Claim::PermitUsed(_)) => {
                    prop_assert!(known.iter().any(|row| permit > 0 && row.permit_digest == wish.permit));
                }
                Some(other) => prop_assert!(false, "{:?}", other),
                None => {
                    // Whatever the other values, no permit allows a second write and no idempotency key a second
                    // meaning.
                    prop_assert!(known.iter().all(|row| permit == 0 || row.permit_digest != wish.permit));
                    let latest = known.iter().find(|row| keyed(row));
                    prop_assert!(latest.is_none_or(|row| same(row) && again));
                    // No write follows the latest one, so an identical write is never sent right after it.
                    let fresh = |row: &rows::Model| DateTime::<Utc>::from(row.recorded_at) > DateTime::UNIX_EPOCH - REPEATED_WITHIN;
                    let one_key = |row: &rows::Model| key == 0 || row.idempotency_digest.is_none();
                    prop_assert!(again || known.first().is_none_or(|row| !(same(row) && fresh(row) && one_key(row))));
                }
            }
        }
    }

    #[test]
    fn windows_end_when_they_should() {
        let stands = |outcome: &str, ago: i64| {
            earlier(&[row(1, 0, 0, &[1], outcome, ago)], &wish(1, 0, 0, false), DateTime::UNIX_EPOCH).is_some()
        };
        assert!(stands(DONE, 59) && !stands(DONE, 60));
        for unknown in [SENT, UNKNOWN] {
            assert!(stands(unknown, 15 * 60 - 1) && !stands(unknown, 15 * 60), "{unknown}");
        }
    }

    #[test]
    fn only_a_change_to_the_same_record_counts_as_in_between() {
        let stands = |between: &[u8]| {
            let known = [row(2, 0, 0, between, DONE, 1), row(1, 0, 0, &[1, 2], DONE, 2)];
            earlier(&known, &wish(1, 0, 0, false), DateTime::UNIX_EPOCH).is_some()
        };
        assert!(stands(&[]) && stands(&[3]) && !stands(&[2]) && !stands(&[3, 1]));
    }
}
