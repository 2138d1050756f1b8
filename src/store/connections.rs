//! Users' OwnerRez accounts: encrypted tokens, and the rules for replacing them.
//!
//! Every change of the tokens names the connection and the version that it replaces. Of two sessions (in one process or
//! in several) that work on the same tokens, only the first succeeds.

use chrono::{DateTime, Utc};
use entity::{Moment, ownerrez_connections as rows, pending_revocations, users};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, UpdateMany,
    sea_query::{DeleteStatement, Expr, ExprTrait, Func, OnConflict, Query},
};
use uuid::Uuid;

use super::{
    connection::Connection,
    database::Store,
    error::StoreError,
    revocations,
    sealed_grant::{SealedGrant, SealedTokens},
};
use crate::domain::{AccountId, Sealed, TokenKind, UserId};

impl Store {
    /// Returns the user's connection, working or rejected.
    pub async fn connection(&self, user: UserId) -> Result<Option<Connection>, StoreError> {
        let query = rows::Entity::find().filter(rows::Column::UserId.eq(user.0));
        Ok(self.run(query.one(&self.db)).await?.map(Connection::from))
    }

    /// Stores a new authorization, and on the first one its time. It replaces a rejected connection (with a new id and
    /// the next version). Returns `false`, and changes nothing, if the user has a working connection.
    pub async fn save_connection(
        &self,
        user: UserId,
        grant: SealedGrant,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let replaces_rejected =
            replacing().action_and_where(Expr::col((rows::Entity, rows::Column::RejectedAt)).is_not_null()).to_owned();
        let insert = rows::Entity::insert(new_row(user, grant, now)).on_conflict(replaces_rejected).into_query();
        let first = first_connected(user, now);
        self.run(async {
            let transaction = self.begin().await?;
            let saved = transaction.execute(&insert).await?.rows_affected() > 0;
            if saved {
                first.exec(&transaction).await?;
            }
            transaction.commit().await?;
            Ok(saved)
        })
        .await
    }

    /// Deletes the user's connection and records a task to revoke its token at OwnerRez, both in one transaction.
    /// Returns `false` if there is no connection. The token of a rejected connection is recorded too: OwnerRez answers
    /// that it does not know it, which is fine.
    pub async fn disconnect(&self, user: UserId, revocation_id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let delete = delete_returning(user);
        self.run(async {
            let transaction = self.begin().await?;
            let Some(row) = transaction.query_one(&delete).await? else {
                transaction.rollback().await?;
                return Ok(false);
            };
            let gone = Connection::from(rows::Model::from_query_result(&row, "")?);
            if let Some(task) = revocations::of_connection(user, revocation_id, gone, now) {
                pending_revocations::Entity::insert(task).exec_without_returning(&transaction).await?;
            }
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Claims the right to refresh these tokens until `until`. Returns `false` if they have changed or if another lease
    /// is still valid. A lease only avoids needless refreshes; the version protects the tokens.
    pub async fn take_lease(
        &self,
        user: UserId,
        connection: Uuid,
        version: i64,
        holder: Uuid,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let free = Condition::any()
            .add(rows::Column::LeaseUntil.is_null())
            .add(rows::Column::LeaseUntil.lte(Moment::from(now)));
        let update = exactly(user, connection, version)
            .col_expr(rows::Column::LeaseHolder, Expr::value(holder))
            .col_expr(rows::Column::LeaseUntil, Expr::value(Moment::from(until)))
            .filter(free);
        self.changed(update).await
    }

    /// Releases the lease, if this holder still has it.
    pub async fn release_lease(&self, user: UserId, connection: Uuid, holder: Uuid) -> Result<bool, StoreError> {
        let update = without_lease(of(user, connection)).filter(rows::Column::LeaseHolder.eq(holder));
        self.changed(update).await
    }

    /// Replaces the tokens of this version, marks the connection as working and ends its lease. Returns `false` if the
    /// tokens have changed.
    pub async fn store_refreshed(
        &self,
        user: UserId,
        connection: Uuid,
        version: i64,
        tokens: SealedTokens,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let SealedTokens { kind: _, access, refresh, obtained_at, expires_at, renew_at } = tokens;
        let update = next_version(user, connection, version, now)
            .col_expr(rows::Column::AccessToken, Expr::value(access.0))
            .col_expr(rows::Column::RefreshToken, Expr::value(refresh.map(|token| token.0)))
            .col_expr(rows::Column::ObtainedAt, Expr::value(Moment::from(obtained_at)))
            .col_expr(rows::Column::ExpiresAt, Expr::value(expires_at.map(Moment::from)))
            .col_expr(rows::Column::RenewAt, Expr::value(renew_at.map(Moment::from)))
            .col_expr(rows::Column::RejectedAt, Expr::value(None::<Moment>));
        self.changed(update).await
    }

    /// Stores the same tokens of this version under another encryption key. Neither increases the version nor ends a
    /// lease: a session that is refreshing the tokens must be able to store the result. Returns `false` if the tokens
    /// have changed.
    pub async fn store_re_encrypted(
        &self,
        user: UserId,
        connection: Uuid,
        version: i64,
        access: Sealed,
        refresh: Option<Sealed>,
    ) -> Result<bool, StoreError> {
        let update = exactly(user, connection, version)
            .col_expr(rows::Column::AccessToken, Expr::value(access.0))
            .col_expr(rows::Column::RefreshToken, Expr::value(refresh.map(|token| token.0)));
        self.changed(update).await
    }

    /// Deletes a refresh token that is no longer usable; the access token stays until it expires.
    pub async fn drop_refresh_token(
        &self,
        user: UserId,
        connection: Uuid,
        version: i64,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = next_version(user, connection, version, now)
            .col_expr(rows::Column::RefreshToken, Expr::value(None::<String>))
            .col_expr(rows::Column::RenewAt, Expr::value(None::<Moment>));
        self.changed(update).await
    }

    /// Records that OwnerRez no longer accepts the grant.
    pub async fn mark_rejected(
        &self,
        user: UserId,
        connection: Uuid,
        version: i64,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = next_version(user, connection, version, now)
            .col_expr(rows::Column::RejectedAt, Expr::value(Moment::from(now)));
        self.changed(update).await
    }

    /// Records that OwnerRez rejected a write because the grant is read-only. Tokens, version and lease stay unchanged.
    pub async fn mark_read_only(&self, user: UserId, connection: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let update = of(user, connection).col_expr(rows::Column::ReadOnlyAt, Expr::value(Moment::from(now)));
        self.changed(update).await
    }

    /// Returns users whose tokens are due for renewal, the longest overdue first, without disabled users.
    pub async fn due_renewals(&self, now: DateTime<Utc>, limit: u64) -> Result<Vec<UserId>, StoreError> {
        let kept_out = Query::select()
            .column(users::Column::Id)
            .from(users::Entity)
            .and_where(Expr::col(users::Column::DisabledAt).is_not_null())
            .take();
        let query = rows::Entity::find()
            .select_only()
            .column(rows::Column::UserId)
            .filter(rows::Column::RenewAt.lte(Moment::from(now)))
            .filter(rows::Column::RejectedAt.is_null())
            .filter(rows::Column::RefreshToken.is_not_null())
            .filter(rows::Column::UserId.not_in_subquery(kept_out))
            .order_by_asc(rows::Column::RenewAt)
            .limit(limit)
            .into_tuple::<Uuid>();
        Ok(self.run(query.all(&self.db)).await?.into_iter().map(UserId).collect())
    }

    /// Postpones the renewal after a failure. A connection without renewals stays without.
    pub async fn postpone_renewal(
        &self,
        user: UserId,
        connection: Uuid,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = of(user, connection)
            .col_expr(rows::Column::RenewAt, Expr::value(Moment::from(until)))
            .filter(rows::Column::RenewAt.is_not_null());
        self.changed(update).await
    }

    /// Returns the number of OwnerRez accounts that are connected and not rejected. Each user whose account is unknown
    /// counts as one.
    pub async fn connected_accounts(&self) -> Result<u64, StoreError> {
        let account = || Expr::col(rows::Column::UserIdOwnerrez);
        let query = Query::select()
            .expr_as(Func::count_distinct(account()), "known")
            .expr_as(Func::count(account()), "with_known")
            .expr_as(Func::count(Expr::col(rows::Column::Id)), "connections")
            .from(rows::Entity)
            .and_where(Expr::col(rows::Column::RejectedAt).is_null())
            .take();
        let count = self
            .run(async {
                let Some(row) = self.db.query_one(&query).await? else { return Ok(0) };
                let known: i64 = row.try_get("", "known")?;
                let with_known: i64 = row.try_get("", "with_known")?;
                let connections: i64 = row.try_get("", "connections")?;
                Ok(known + connections - with_known)
            })
            .await?;
        u64::try_from(count).map_err(|_| StoreError::corrupt("a count is negative"))
    }

    /// Returns whether any user has a working connection to this account, or to one that is not known.
    pub async fn is_account_connected(&self, account: AccountId) -> Result<bool, StoreError> {
        let may_be_it = Condition::any()
            .add(rows::Column::UserIdOwnerrez.eq(account.0))
            .add(rows::Column::UserIdOwnerrez.is_null());
        let query = rows::Entity::find().filter(may_be_it).filter(rows::Column::RejectedAt.is_null()).limit(1);
        Ok(self.run(query.one(&self.db)).await?.is_some())
    }

    /// Returns whether a working connection may depend on the grant of a connection that `user` had to `account`. A
    /// connection of `user` counts unless it certainly belongs to another account; a connection of another user counts
    /// only if it certainly belongs to this account. Connections by personal access token depend on no grant.
    pub async fn is_connected_again(&self, user: UserId, account: Option<AccountId>) -> Result<bool, StoreError> {
        let own = Condition::all().add(rows::Column::UserId.eq(user.0));
        let depends = match account {
            None => own,
            Some(account) => Condition::any()
                .add(rows::Column::UserIdOwnerrez.eq(account.0))
                .add(own.add(rows::Column::UserIdOwnerrez.is_null())),
        };
        let query = rows::Entity::find()
            .filter(depends)
            .filter(rows::Column::RejectedAt.is_null())
            .filter(rows::Column::TokenType.ne(TokenKind::Basic.as_str()))
            .limit(1);
        Ok(self.run(query.one(&self.db)).await?.is_some())
    }

    async fn changed(&self, update: UpdateMany<rows::Entity>) -> Result<bool, StoreError> {
        Ok(self.run(update.exec(&self.db)).await?.rows_affected > 0)
    }
}

/// Returns the row of a connection that has just been authorized.
pub(super) fn new_row(user: UserId, grant: SealedGrant, now: DateTime<Utc>) -> rows::ActiveModel {
    let SealedGrant { account, tokens } = grant;
    let SealedTokens { kind, access, refresh, obtained_at, expires_at, renew_at } = tokens;
    let now = Moment::from(now);
    rows::ActiveModel {
        id: Set(Uuid::new_v4()),
        user_id: Set(user.0),
        access_token: Set(access.0),
        refresh_token: Set(refresh.map(|token| token.0)),
        token_type: Set(kind.as_str().to_owned()),
        user_id_ownerrez: Set(account.map(|account| account.0)),
        expires_at: Set(expires_at.map(Moment::from)),
        created_at: Set(now),
        updated_at: Set(now),
        obtained_at: Set(obtained_at.into()),
        renew_at: Set(renew_at.map(Moment::from)),
        rejected_at: Set(None),
        read_only_at: Set(None),
        version: Set(0),
        lease_holder: Set(None),
        lease_until: Set(None),
    }
}

/// Replaces the user's existing connection, with a new id and the next version.
pub(super) fn replacing() -> OnConflict {
    OnConflict::column(rows::Column::UserId)
        .update_columns([
            rows::Column::Id,
            rows::Column::AccessToken,
            rows::Column::RefreshToken,
            rows::Column::TokenType,
            rows::Column::UserIdOwnerrez,
            rows::Column::ExpiresAt,
            rows::Column::CreatedAt,
            rows::Column::UpdatedAt,
            rows::Column::ObtainedAt,
            rows::Column::RenewAt,
            rows::Column::RejectedAt,
            rows::Column::ReadOnlyAt,
            rows::Column::LeaseHolder,
            rows::Column::LeaseUntil,
        ])
        .value(rows::Column::Version, Expr::col((rows::Entity, rows::Column::Version)).add(1))
        .to_owned()
}

/// Records when the user first connected an account, if this is the first time.
pub(super) fn first_connected(user: UserId, now: DateTime<Utc>) -> UpdateMany<users::Entity> {
    users::Entity::update_many()
        .col_expr(users::Column::FirstConnectedAt, Expr::value(Moment::from(now)))
        .filter(users::Column::Id.eq(user.0))
        .filter(users::Column::FirstConnectedAt.is_null())
}

/// Deletes the user's connection and returns its row.
pub(super) fn delete_returning(user: UserId) -> DeleteStatement {
    Query::delete()
        .from_table(rows::Entity)
        .and_where(Expr::col(rows::Column::UserId).eq(user.0))
        .returning_all()
        .take()
}

/// Updates the user's connection, if it is still this one.
fn of(user: UserId, connection: Uuid) -> UpdateMany<rows::Entity> {
    rows::Entity::update_many().filter(rows::Column::Id.eq(connection)).filter(rows::Column::UserId.eq(user.0))
}

/// The same, if its tokens still have this version.
fn exactly(user: UserId, connection: Uuid, version: i64) -> UpdateMany<rows::Entity> {
    of(user, connection).filter(rows::Column::Version.eq(version))
}

/// The same, increasing the version and ending the lease, as every change of the tokens does.
fn next_version(user: UserId, connection: Uuid, version: i64, now: DateTime<Utc>) -> UpdateMany<rows::Entity> {
    without_lease(exactly(user, connection, version))
        .col_expr(rows::Column::Version, Expr::col(rows::Column::Version).add(1))
        .col_expr(rows::Column::UpdatedAt, Expr::value(Moment::from(now)))
}

fn without_lease(update: UpdateMany<rows::Entity>) -> UpdateMany<rows::Entity> {
    update
        .col_expr(rows::Column::LeaseHolder, Expr::value(None::<Uuid>))
        .col_expr(rows::Column::LeaseUntil, Expr::value(None::<Moment>))
}
