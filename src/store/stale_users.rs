//! Users who registered and never connected an OwnerRez account.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{Moment, api_keys, oauth_states, ownerrez_connections, users};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query, SelectStatement},
};
use uuid::Uuid;

use super::{database::Store, error::StoreError};

/// A user who used a key within this time is not deleted. Longer than any browser flow takes: no other row shows its
/// last part, when the link is consumed and OwnerRez has not responded yet.
pub const IN_USE_FOR: TimeDelta = TimeDelta::hours(2);

impl Store {
    /// Deletes at most `limit` users who registered before `registered_before`, never connected an account and are not
    /// about to, with all their rows, and returns their number.
    pub async fn sweep_stale_users(
        &self,
        registered_before: DateTime<Utc>,
        now: DateTime<Utc>,
        limit: u64,
    ) -> Result<u64, StoreError> {
        let idle = idle(registered_before.into(), now);
        // Locked first, so that the deletion, a separate statement, sees every existing link and connection: adding one
        // locks its user. Users with such a transaction in progress are skipped.
        let candidates = users::Entity::find()
            .select_only()
            .column(users::Column::Id)
            .filter(idle.clone())
            .order_by_asc(users::Column::CreatedAt)
            .limit(limit)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .into_tuple::<Uuid>();
        self.run(async {
            let transaction = self.begin().await?;
            let found = candidates.all(&transaction).await?;
            if found.is_empty() {
                transaction.rollback().await?;
                return Ok(0);
            }
            let delete = users::Entity::delete_many().filter(users::Column::Id.is_in(found)).filter(idle);
            let gone = delete.exec(&transaction).await?.rows_affected;
            transaction.commit().await?;
            self.change_counter.increment();
            Ok(gone)
        })
        .await
    }
}

fn idle(registered_before: Moment, now: DateTime<Utc>) -> Condition {
    Condition::all()
        .add(users::Column::FirstConnectedAt.is_null())
        .add(users::Column::CreatedAt.lt(registered_before))
        .add(none(
            Query::select().from(ownerrez_connections::Entity).and_where(owned(ownerrez_connections::Column::UserId)),
        ))
        .add(none(
            Query::select()
                .from(oauth_states::Entity)
                .and_where(owned(oauth_states::Column::UserId))
                .and_where(oauth_states::Column::ExpiresAt.gt(Moment::from(now))),
        ))
        .add(none(
            Query::select()
                .from(api_keys::Entity)
                .and_where(owned(api_keys::Column::UserId))
                .and_where(api_keys::Column::LastUsedAt.gt(Moment::from(now - IN_USE_FOR))),
        ))
}

fn owned(column: impl ColumnTrait) -> Expr {
    Expr::col(column.as_column_ref()).equals((users::Entity, users::Column::Id))
}

fn none(rows: &mut SelectStatement) -> Expr {
    Expr::exists(rows.expr(Expr::val(1)).take()).not()
}
