//! The grants that are in use: selecting and extending them.

use chrono::{DateTime, Utc};
use entity::{Moment, oauth_grants as grants};
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, Select, sea_query::Expr};

use crate::domain::GrantId;

/// Selects the grants of all users whose codes were redeemed and that have not expired, oldest first.
pub(super) fn live_grants(now: DateTime<Utc>) -> Select<grants::Entity> {
    grants::Entity::find()
        .filter(grants::Column::ExpiresAt.gt(Moment::from(now)))
        .filter(grants::Column::LastUsedAt.is_not_null())
        .order_by_asc(grants::Column::CreatedAt)
        .order_by_asc(grants::Column::Id)
}

/// Records a use of the grant and extends it.
pub(super) async fn live_until(
    transaction: &DatabaseTransaction,
    grant: GrantId,
    ends_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    grants::Entity::update_many()
        .col_expr(grants::Column::ExpiresAt, Expr::value(Moment::from(ends_at)))
        .col_expr(grants::Column::LastUsedAt, Expr::value(Moment::from(now)))
        .filter(grants::Column::Id.eq(grant.0))
        .exec(transaction)
        .await
        .map(drop)
}
