//! The account page: its browser sessions, and the transfer of API keys to the signed-in user.

use chrono::{DateTime, Utc};
use entity::{
    Moment, account_sessions as sessions, api_keys, identities, oauth_states, ownerrez_connections as connections,
    users,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, LockType, Query},
};

use super::{database::Store, error::StoreError, keys};
use crate::domain::{AccountId, KeyId, SignedInUser, UserId};

/// A browser session about to be stored.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// SHA-256 of its cookie in hexadecimal.
    pub token_hash: String,
    /// The signed-in user.
    pub holder: SignedInUser,
    /// The time of the sign-in.
    pub created_at: DateTime<Utc>,
    /// The expiry time.
    pub expires_at: DateTime<Utc>,
}

/// The outcome of a key transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyMoved {
    /// The key belongs to the new owner.
    Moved {
        /// No credential of the previous owner was left, so that user was deleted.
        user_deleted: bool,
    },
    /// The previous owner is connected to another account, or to one that is not known.
    OtherAccount,
    /// The new owner already has the maximum number of keys.
    TooMany,
    /// The key, or one of the users, no longer exists.
    Gone,
}

impl Store {
    /// Stores a browser session. Returns `false` if the user no longer exists.
    pub async fn open_session(&self, session: NewSession) -> Result<bool, StoreError> {
        let NewSession { token_hash, holder: SignedInUser { user, account }, created_at, expires_at } = session;
        let row = sessions::ActiveModel {
            token_hash: Set(token_hash),
            user_id: Set(user.0),
            user_id_ownerrez: Set(account.0),
            created_at: Set(created_at.into()),
            expires_at: Set(expires_at.into()),
        };
        self.run(async {
            let transaction = self.begin().await?;
            let owner = users::Entity::find_by_id(user.0).lock(LockType::KeyShare).one(&transaction).await?;
            if owner.is_none() {
                transaction.rollback().await?;
                return Ok(false);
            }
            sessions::Entity::insert(row).exec_without_returning(&transaction).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Returns the user signed in with this cookie, unless the session has expired or an operator disabled the user.
    pub async fn session(&self, token_hash: &str, now: DateTime<Utc>) -> Result<Option<SignedInUser>, StoreError> {
        let kept_out = Query::select()
            .column(users::Column::Id)
            .from(users::Entity)
            .and_where(users::Column::DisabledAt.is_not_null())
            .take();
        let query = sessions::Entity::find_by_id(token_hash)
            .filter(sessions::Column::ExpiresAt.gt(Moment::from(now)))
            .filter(sessions::Column::UserId.not_in_subquery(kept_out));
        let row = self.run(query.one(&self.db)).await?;
        Ok(row.map(|row| SignedInUser { user: UserId(row.user_id), account: AccountId(row.user_id_ownerrez) }))
    }

    /// Deletes a browser session. Returns `false` if there was none.
    pub async fn close_session(&self, token_hash: &str) -> Result<bool, StoreError> {
        let delete = sessions::Entity::delete_by_id(token_hash);
        Ok(self.run(delete.exec(&self.db)).await?.rows_affected > 0)
    }

    /// Deletes expired sessions of all users and returns their number.
    pub async fn sweep_sessions(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let delete = sessions::Entity::delete_many().filter(sessions::Column::ExpiresAt.lte(Moment::from(now)));
        Ok(self.run(delete.exec(&self.db)).await?.rows_affected)
    }

    /// Transfers the key of `from`, and nothing else, to a signed-in user, who may have `cap` keys. If `from` then has
    /// neither a valid key nor an identity, `from` is deleted together with its connection. The tokens of that
    /// connection are not revoked at OwnerRez, because they belong to the same account.
    pub async fn move_key(
        &self,
        to: SignedInUser,
        from: UserId,
        key: KeyId,
        cap: u64,
        now: DateTime<Utc>,
    ) -> Result<KeyMoved, StoreError> {
        self.run(async {
            let transaction = self.begin().await?;
            let moved = transfer_key(&transaction, to, from, key, cap, now).await?;
            if matches!(moved, KeyMoved::Moved { .. }) {
                transaction.commit().await?;
                self.change_counter.increment();
            } else {
                transaction.rollback().await?;
            }
            Ok(moved)
        })
        .await
    }
}

async fn transfer_key(
    transaction: &DatabaseTransaction,
    to: SignedInUser,
    from: UserId,
    key: KeyId,
    cap: u64,
    now: DateTime<Utc>,
) -> Result<KeyMoved, DbErr> {
    // Locked in a fixed order, so that two opposite transfers do not deadlock.
    let both = users::Entity::find()
        .filter(users::Column::Id.is_in([to.user.0, from.0]))
        .order_by_asc(users::Column::Id)
        .lock_exclusive()
        .all(transaction)
        .await?;
    let theirs = keys::of(from).filter(api_keys::Column::Id.eq(key.0)).one(transaction).await?;
    if both.len() < 2 || theirs.is_none() {
        return Ok(KeyMoved::Gone);
    }
    let connection = connections::Entity::find()
        .filter(connections::Column::UserId.eq(from.0))
        .lock_exclusive()
        .one(transaction)
        .await?;
    if connection.is_some_and(|connection| connection.user_id_ownerrez != Some(to.account.0)) {
        return Ok(KeyMoved::OtherAccount);
    }
    if keys::of(to.user).count(transaction).await? >= cap {
        return Ok(KeyMoved::TooMany);
    }
    // The connect links of the key would connect an account to the previous owner.
    oauth_states::Entity::delete_many().filter(oauth_states::Column::KeyId.eq(key.0)).exec(transaction).await?;
    api_keys::Entity::update_many()
        .col_expr(api_keys::Column::UserId, Expr::value(to.user.0))
        .filter(api_keys::Column::Id.eq(key.0))
        .exec(transaction)
        .await?;
    let good = Condition::any()
        .add(api_keys::Column::ExpiresAt.is_null())
        .add(api_keys::Column::ExpiresAt.gt(Moment::from(now)));
    let keys_left = keys::of(from).filter(good).count(transaction).await?;
    let identities_left =
        identities::Entity::find().filter(identities::Column::UserId.eq(from.0)).count(transaction).await?;
    let user_deleted = keys_left + identities_left == 0;
    if user_deleted {
        users::Entity::delete_by_id(from.0).exec(transaction).await?;
    }
    Ok(KeyMoved::Moved { user_deleted })
}
