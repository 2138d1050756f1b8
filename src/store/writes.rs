//! Changes on their way to OwnerRez: recorded before they are sent, and their outcome after. A row says who changed which
//! record by which tool and when; of what was said there is a keyed digest only.
//!
//! Whether a change is one that was just made is decided while the user's row is locked, so that of two calls that ask at
//! once, in one process or in several, one is recorded and the other finds it.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{Moment, users, writes as rows};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, LockType},
};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::UserId;

/// For this long after it was made a change that comes again is not made again.
const REPEATED_WITHIN: TimeDelta = TimeDelta::seconds(60);
/// The same where nobody knows whether it was made: longer than the longest call (`sessions.call_deadline_seconds`).
const UNKNOWN_WITHIN: TimeDelta = TimeDelta::minutes(15);
/// The same where the caller named the change by an idempotency key.
const KEYED_WITHIN: TimeDelta = TimeDelta::hours(24);
/// Longer than any draft or confirmation is good, and than any call lasts.
const KEPT_FOR: TimeDelta = TimeDelta::hours(1);

const SENT: &str = "sent";
const DONE: &str = "done";
const UNKNOWN: &str = "unknown";

/// A change about to be sent.
#[derive(Clone, Debug)]
pub struct NewWrite {
    /// Which.
    pub id: Uuid,
    /// Name of the tool.
    pub tool: String,
    /// Digest of the user, the tool and the request, the current key's first; never empty.
    pub digests: Vec<String>,
    /// Digest of the caller's idempotency key, the current key's first; empty without one.
    pub idempotency: Vec<String>,
    /// Digest of the draft or the confirmation that allows it: each allows one change.
    pub permit: Option<String>,
    /// The records it changes, as far as they are known before.
    pub touched: Vec<String>,
    /// The caller wants it made although it may have been made just now.
    pub again: bool,
}

/// A change that was recorded earlier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WriteRecord {
    /// Name of the tool.
    pub tool: String,
    /// Whether it is known that the change was made.
    pub done: bool,
    /// The id in OwnerRez's answer.
    pub answer_id: Option<i64>,
    /// When it was recorded, right before it was sent.
    pub recorded_at: DateTime<Utc>,
}

/// What became of the wish to record a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// It is recorded and may be sent.
    Recorded,
    /// It is the same as this one, which was made just now or under the same idempotency key.
    Repeats(WriteRecord),
    /// Its draft or confirmation has allowed this one already.
    PermitUsed(WriteRecord),
    /// Its idempotency key belongs to this one, which is another.
    KeyTaken(WriteRecord),
    /// There is no such user any more.
    NoUser,
}

/// How a change ended.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Whether it is known that the change was made.
    pub done: bool,
    /// The id in OwnerRez's answer.
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
    /// Records a change, unless it was made already.
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

    /// What [`Store::claim_write`] would find in the way of this change. Records nothing.
    pub async fn earlier_write(
        &self,
        user: UserId,
        write: &NewWrite,
        now: DateTime<Utc>,
    ) -> Result<Option<Claim>, StoreError> {
        let known = self.run(candidates(user, write, now).all(&self.db)).await?;
        Ok(earlier(&known, write, now))
    }

    /// Records the outcome of a change. `false` when it is recorded already, or the record is gone.
    pub async fn settle_write(
        &self,
        user: UserId,
        id: Uuid,
        settled: Settled,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let Settled { done, answer_id, touched } = settled;
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

    /// Removes the record of a change that was not made: nothing was sent, or OwnerRez refused it.
    pub async fn forget_write(&self, user: UserId, id: Uuid) -> Result<bool, StoreError> {
        let delete = rows::Entity::delete_many()
            .filter(rows::Column::Id.eq(id))
            .filter(rows::Column::UserId.eq(user.0))
            .filter(rows::Column::Outcome.eq(SENT));
        Ok(self.run(delete.exec(&self.db)).await?.rows_affected > 0)
    }

    /// Removes everyone's records that nothing can ask for any more; says how many.
    pub async fn sweep_writes(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let before = |span: TimeDelta| rows::Column::RecordedAt.lt(Moment::from(now - span));
        let unkeyed = Condition::all().add(rows::Column::IdempotencyDigest.is_null()).add(before(KEPT_FOR));
        let delete =
            rows::Entity::delete_many().filter(Condition::any().add(unkeyed).add(before(KEYED_WITHIN + KEPT_FOR)));
        Ok(self.run(delete.exec(&self.db)).await?.rows_affected)
    }
}

/// The records that may stand in the way, the latest first.
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

/// What stands in the way of a change. `known` has the latest first.
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

/// The same change, made just now, with none in between that changed the same record.
fn just_made<'a>(
    known: &'a [rows::Model],
    write: &NewWrite,
    same: impl Fn(&rows::Model) -> bool,
    now: DateTime<Utc>,
) -> Option<&'a rows::Model> {
    let (at, row) = known.iter().enumerate().find(|(_, row)| same(row))?;
    // Two keys say that two changes are meant.
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
