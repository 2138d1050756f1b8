//! API keys: stored as bcrypt hashes, looked up by the prefix, which is not secret.

use chrono::{DateTime, Utc};
use entity::{Moment, api_keys, users};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Condition, Expr, LockType},
};

use super::{database::Store, error::StoreError, stored_key::StoredKey};
use crate::domain::{KeyId, Scope, ToolDefaults, UserId};

/// An API key about to be stored.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The id of the key.
    pub id: KeyId,
    /// bcrypt hash of the whole key.
    pub hash: String,
    /// The HMAC that makes bcrypt unnecessary ([`crate::crypto::KeyHmac`]); absent if the key's text is unknown.
    pub hmac: Option<String>,
    /// The prefix that the key will be looked up by.
    pub prefix: String,
    /// The name that the owner gave the key.
    pub name: Option<String>,
    /// The scope of the key.
    pub scope: Scope,
    /// The key is invalid from this time on.
    pub expires_at: Option<DateTime<Utc>>,
    /// The key's selection of tools.
    pub view: ToolDefaults,
}

/// The outcome of adding a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyAdded {
    /// The key is stored.
    Added,
    /// The user already has the maximum number of keys.
    TooMany,
    /// The user, or the key that made the request, no longer exists.
    IssuerGone,
}

/// The outcome of removing a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyRemoved {
    /// The key is deleted.
    Removed,
    /// Without the key the user could no longer be managed, so it was kept.
    Last,
    /// The user has no such key.
    NotFound,
    /// The key that made the request no longer exists.
    IssuerGone,
}

pub(super) fn row(user: UserId, key: NewKey, now: DateTime<Utc>) -> api_keys::ActiveModel {
    let NewKey { id, hash, hmac, prefix, name, scope, expires_at, view } = key;
    api_keys::ActiveModel {
        id: Set(id.0),
        user_id: Set(user.0),
        key_hash: Set(hash),
        key_prefix: Set(prefix),
        name: Set(name),
        last_used_at: Set(None),
        created_at: Set(now.into()),
        scope: Set(scope.as_str().to_owned()),
        expires_at: Set(expires_at.map(Moment::from)),
        key_digest: Set(None),
        key_hmac: Set(hmac),
        toolsets: Set(view.toolsets.as_deref().map(str::to_owned)),
        read_only: Set(view.read_only),
        two_steps: Set(view.two_steps),
    }
}

impl Store {
    /// Returns the key with this prefix. Prefixes of this gateway's keys are unique for all practical purposes; if two
    /// keys share one, the older is returned.
    pub async fn key_by_prefix(&self, prefix: &str) -> Result<Option<StoredKey>, StoreError> {
        let query = api_keys::Entity::find()
            .filter(api_keys::Column::KeyPrefix.eq(prefix))
            .order_by_asc(api_keys::Column::CreatedAt)
            .order_by_asc(api_keys::Column::Id);
        Ok(self.run(query.one(&self.db)).await?.map(StoredKey::from))
    }

    /// Returns one key of the user.
    pub async fn key(&self, user: UserId, key: KeyId) -> Result<Option<StoredKey>, StoreError> {
        let query = of(user).filter(api_keys::Column::Id.eq(key.0));
        Ok(self.run(query.one(&self.db)).await?.map(StoredKey::from))
    }

    /// Returns all keys of the user, oldest first.
    pub async fn keys(&self, user: UserId) -> Result<Vec<StoredKey>, StoreError> {
        let query = of(user).order_by_asc(api_keys::Column::CreatedAt).order_by_asc(api_keys::Column::Id);
        Ok(self.run(query.all(&self.db)).await?.into_iter().map(StoredKey::from).collect())
    }

    /// Stores another key of the user if the user has fewer than `cap` keys and the key `issuer` still exists. Without a
    /// issuer the user was authenticated in another way.
    pub async fn add_key(
        &self,
        user: UserId,
        issuer: Option<KeyId>,
        key: NewKey,
        cap: u64,
        now: DateTime<Utc>,
    ) -> Result<KeyAdded, StoreError> {
        self.run(async {
            let transaction = self.begin().await?;
            if !lock_user(&transaction, user, issuer).await? {
                transaction.rollback().await?;
                return Ok(KeyAdded::IssuerGone);
            }
            if of(user).count(&transaction).await? >= cap {
                transaction.rollback().await?;
                return Ok(KeyAdded::TooMany);
            }
            api_keys::Entity::insert(row(user, key, now)).exec_without_returning(&transaction).await?;
            transaction.commit().await?;
            Ok(KeyAdded::Added)
        })
        .await
    }

    /// Deletes a key of the user, unless it is the last valid key with full scope, if the key `issuer` still exists.
    pub async fn remove_key(
        &self,
        user: UserId,
        issuer: KeyId,
        key: KeyId,
        now: DateTime<Utc>,
    ) -> Result<KeyRemoved, StoreError> {
        let good = Condition::any()
            .add(api_keys::Column::ExpiresAt.is_null())
            .add(api_keys::Column::ExpiresAt.gt(Moment::from(now)));
        self.run(async {
            let transaction = self.begin().await?;
            let removed = if !lock_user(&transaction, user, Some(issuer)).await? {
                KeyRemoved::IssuerGone
            } else if of(user).filter(api_keys::Column::Id.eq(key.0)).one(&transaction).await?.is_none() {
                KeyRemoved::NotFound
            } else if of(user)
                .filter(api_keys::Column::Id.ne(key.0))
                .filter(api_keys::Column::Scope.eq(Scope::Full.as_str()))
                .filter(good)
                .one(&transaction)
                .await?
                .is_none()
            {
                KeyRemoved::Last
            } else {
                api_keys::Entity::delete_by_id(key.0).exec(&transaction).await?;
                KeyRemoved::Removed
            };
            if removed == KeyRemoved::Removed {
                transaction.commit().await?;
                self.change_counter.increment();
            } else {
                transaction.rollback().await?;
            }
            Ok(removed)
        })
        .await
    }

    /// Deletes a key of the user, who was authenticated in another way. Returns `false` if there is no such key.
    pub async fn end_key(&self, user: UserId, key: KeyId) -> Result<bool, StoreError> {
        let delete = api_keys::Entity::delete_many()
            .filter(api_keys::Column::Id.eq(key.0))
            .filter(api_keys::Column::UserId.eq(user.0));
        let ended = self.run(delete.exec(&self.db)).await?.rows_affected > 0;
        self.change_counter.increment();
        Ok(ended)
    }

    /// Stores the HMAC that makes bcrypt unnecessary for this key. Returns `false` if the key is gone or its hash is no
    /// longer `hash`, for which the HMAC was made.
    pub async fn store_key_hmac(&self, user: UserId, key: KeyId, hash: &str, hmac: &str) -> Result<bool, StoreError> {
        let update = api_keys::Entity::update_many()
            .col_expr(api_keys::Column::KeyHmac, Expr::value(hmac))
            .filter(api_keys::Column::Id.eq(key.0))
            .filter(api_keys::Column::UserId.eq(user.0))
            .filter(api_keys::Column::KeyHash.eq(hash));
        Ok(self.run(update.exec(&self.db)).await?.rows_affected > 0)
    }

    /// Records a use of the key. The time never moves back. Returns `false` if the key no longer exists.
    pub async fn touch_key(&self, user: UserId, key: KeyId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let at = Moment::from(at);
        // Stores the later time, so that concurrent processes do not overwrite a newer time with an older one.
        let latest = Expr::case(api_keys::Column::LastUsedAt.gt(at), Expr::col(api_keys::Column::LastUsedAt))
            .finally(Expr::value(at));
        let update = api_keys::Entity::update_many()
            .col_expr(api_keys::Column::LastUsedAt, latest.into())
            .filter(api_keys::Column::Id.eq(key.0))
            .filter(api_keys::Column::UserId.eq(user.0));
        let known = self.run(update.exec(&self.db)).await?.rows_affected > 0;
        if !known {
            // The caller used a cached row that no longer exists.
            self.change_counter.increment();
        }
        Ok(known)
    }
}

pub(super) fn of(user: UserId) -> sea_orm::Select<api_keys::Entity> {
    api_keys::Entity::find().filter(api_keys::Column::UserId.eq(user.0))
}

/// Serializes changes to one user's keys; otherwise two concurrent deletions could each keep the other's key as the
/// last one. Returns `false` if the user, or the key that makes the request, no longer exists.
async fn lock_user(transaction: &DatabaseTransaction, user: UserId, issuer: Option<KeyId>) -> Result<bool, DbErr> {
    let owner = users::Entity::find_by_id(user.0).lock(LockType::NoKeyUpdate).one(transaction).await?;
    match issuer {
        None => Ok(owner.is_some()),
        Some(issuer) => Ok(of(user).filter(api_keys::Column::Id.eq(issuer.0)).one(transaction).await?.is_some()),
    }
}
