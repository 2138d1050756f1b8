//! Tokens of removed connections that still have to be revoked at OwnerRez.

use chrono::{DateTime, Utc};
use entity::{Moment, pending_revocations as rows};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::{connection::Connection, database::Store, error::StoreError};
use crate::domain::{AccountId, Sealed, TokenKind, UserId};

/// A token to revoke.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingRevocation {
    /// The id of the task.
    pub id: Uuid,
    /// The owner of the token; the user may be gone.
    pub user: UserId,
    /// The OwnerRez account of the token, if known.
    pub account: Option<AccountId>,
    /// The access token.
    pub access: Sealed,
    /// The number of attempts.
    pub attempts: u32,
}

impl From<rows::Model> for PendingRevocation {
    fn from(row: rows::Model) -> Self {
        let rows::Model { id, user_id, account, access_token, created_at: _, attempts, next_attempt_at: _ } = row;
        PendingRevocation {
            id,
            user: UserId(user_id),
            account: account.map(AccountId),
            access: Sealed(access_token),
            attempts: u32::try_from(attempts).unwrap_or(0),
        }
    }
}

/// Returns the revocation task of a removed connection. `None` for a personal access token: only its owner can revoke
/// it, in OwnerRez.
pub(super) fn of_connection(user: UserId, id: Uuid, gone: Connection, now: DateTime<Utc>) -> Option<rows::ActiveModel> {
    (gone.token_kind == TokenKind::Bearer).then(|| row(user, id, gone.account, gone.access, now))
}

/// Returns a task that is due at once.
fn row(user: UserId, id: Uuid, account: Option<AccountId>, access: Sealed, now: DateTime<Utc>) -> rows::ActiveModel {
    rows::ActiveModel {
        id: Set(id),
        user_id: Set(user.0),
        account: Set(account.map(|account| account.0)),
        access_token: Set(access.0),
        created_at: Set(now.into()),
        attempts: Set(0),
        next_attempt_at: Set(now.into()),
    }
}

impl Store {
    /// Adds a token to revoke, due at once: for tokens that never became a connection.
    pub async fn add_revocation(
        &self,
        user: UserId,
        id: Uuid,
        account: Option<AccountId>,
        access: Sealed,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let insert = rows::Entity::insert(row(user, id, account, access, now));
        self.run(insert.exec_without_returning(&self.db)).await.map(drop)
    }

    /// Returns the due tokens of all users, the longest due first.
    pub async fn due_revocations(&self, now: DateTime<Utc>, limit: u64) -> Result<Vec<PendingRevocation>, StoreError> {
        let query = rows::Entity::find()
            .filter(rows::Column::NextAttemptAt.lte(Moment::from(now)))
            .order_by_asc(rows::Column::NextAttemptAt)
            .order_by_asc(rows::Column::Id)
            .limit(limit);
        Ok(self.run(query.all(&self.db)).await?.into_iter().map(PendingRevocation::from).collect())
    }

    /// Postpones a task after a failed attempt.
    pub async fn postpone_revocation(
        &self,
        id: Uuid,
        attempts: u32,
        next_attempt_at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = rows::Entity::update_many()
            .col_expr(rows::Column::Attempts, Expr::value(i32::try_from(attempts).unwrap_or(i32::MAX)))
            .col_expr(rows::Column::NextAttemptAt, Expr::value(Moment::from(next_attempt_at)))
            .filter(rows::Column::Id.eq(id));
        Ok(self.run(update.exec(&self.db)).await?.rows_affected > 0)
    }

    /// Deletes a task that is done, or that cannot be done.
    pub async fn finish_revocation(&self, id: Uuid) -> Result<bool, StoreError> {
        Ok(self.run(rows::Entity::delete_by_id(id).exec(&self.db)).await?.rows_affected > 0)
    }
}
