//! API keys: stored as bcrypt hashes, found by the part of the key that is no secret.

use chrono::{DateTime, Utc};
use entity::{Moment, api_keys, users};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Condition, Expr, LockType},
};

use super::{Store, StoreError};
use crate::domain::{KeyId, KeyView, Scope, UserId, plain_name};

/// Of a key's name so many characters are stored and shown.
pub const KEY_NAME_LIMIT: usize = 100;

/// An API key about to be stored.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Which key.
    pub id: KeyId,
    /// bcrypt hash of the whole key.
    pub hash: String,
    /// The HMAC that makes bcrypt needless ([`crate::crypto::KeyHmac`]); absent where the key's text is unknown.
    pub hmac: Option<String>,
    /// What it will be looked up by.
    pub prefix: String,
    /// What its owner calls it.
    pub name: Option<String>,
    /// What it may do.
    pub scope: Scope,
    /// From then on it opens nothing.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it shows of the tools.
    pub view: KeyView,
}

/// An API key as it was stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredKey {
    /// Which key.
    pub id: KeyId,
    /// Whose it is.
    pub user: UserId,
    /// bcrypt hash of the whole key.
    pub hash: String,
    /// The HMAC that makes bcrypt needless; absent until bcrypt has accepted the key once.
    pub hmac: Option<String>,
    /// What it is looked up by.
    pub prefix: String,
    /// What its owner calls it.
    pub name: Option<String>,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last opened the door.
    pub last_used_at: Option<DateTime<Utc>>,
    /// From then on it opens nothing.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it shows of the tools.
    pub view: KeyView,
}

impl StoredKey {
    /// The beginning of the key, as lists and pages show it: the predecessor stored its own with dots at the end.
    pub fn beginning(&self) -> &str {
        self.prefix.trim_end_matches('.')
    }
}

impl From<api_keys::Model> for StoredKey {
    fn from(row: api_keys::Model) -> Self {
        let api_keys::Model {
            id,
            user_id,
            key_hash,
            key_prefix,
            name,
            last_used_at,
            created_at,
            scope,
            expires_at,
            key_digest: _,
            key_hmac,
            toolsets,
            read_only,
            two_steps,
        } = row;
        StoredKey {
            id: KeyId(id),
            user: UserId(user_id),
            hash: key_hash,
            hmac: key_hmac,
            prefix: key_prefix,
            // Names of the predecessor, or of hands in the database, were not cleaned before they were stored.
            name: name.and_then(|name| plain_name(&name, KEY_NAME_LIMIT)),
            // A word that this version does not know gives the least.
            scope: if scope == Scope::Full.as_str() { Scope::Full } else { Scope::Read },
            created_at: created_at.into(),
            last_used_at: last_used_at.map(Into::into),
            expires_at: expires_at.map(Into::into),
            view: KeyView { toolsets: toolsets.map(Into::into), read_only, two_steps },
        }
    }
}

/// What became of a new key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyAdded {
    /// It is stored.
    Added,
    /// The user has as many as one may have.
    TooMany,
    /// The user, or the key that asked for it, is gone.
    NoMaker,
}

/// What became of a key that was to be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyRemoved {
    /// It is gone.
    Removed,
    /// Without it nobody could manage the user any more: it was left alone.
    Last,
    /// The user has no such key.
    NotFound,
    /// The key that asked for it is gone itself.
    NoMaker,
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
    /// The key that is looked up by this prefix. Prefixes of our own keys are unique for all practical purposes;
    /// should two keys share one, the older is found.
    pub async fn key_by_prefix(&self, prefix: &str) -> Result<Option<StoredKey>, StoreError> {
        let query = api_keys::Entity::find()
            .filter(api_keys::Column::KeyPrefix.eq(prefix))
            .order_by_asc(api_keys::Column::CreatedAt)
            .order_by_asc(api_keys::Column::Id);
        Ok(self.run(query.one(&self.db)).await?.map(StoredKey::from))
    }

    /// One key of the user.
    pub async fn key(&self, user: UserId, key: KeyId) -> Result<Option<StoredKey>, StoreError> {
        let query = of(user).filter(api_keys::Column::Id.eq(key.0));
        Ok(self.run(query.one(&self.db)).await?.map(StoredKey::from))
    }

    /// Every key of the user, the oldest first.
    pub async fn keys(&self, user: UserId) -> Result<Vec<StoredKey>, StoreError> {
        let query = of(user).order_by_asc(api_keys::Column::CreatedAt).order_by_asc(api_keys::Column::Id);
        Ok(self.run(query.all(&self.db)).await?.into_iter().map(StoredKey::from).collect())
    }

    /// Stores another key of the user who has fewer than `cap`, if the key `maker` still exists. Without a maker it is for
    /// that user who proved otherwise who they are.
    pub async fn add_key(
        &self,
        user: UserId,
        maker: Option<KeyId>,
        key: NewKey,
        cap: u64,
        now: DateTime<Utc>,
    ) -> Result<KeyAdded, StoreError> {
        self.run(async {
            let transaction = self.begin().await?;
            if !take_turn(&transaction, user, maker).await? {
                transaction.rollback().await?;
                return Ok(KeyAdded::NoMaker);
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

    /// Removes a key of the user, unless it is the last full one that is still good, if the key `maker` still exists.
    pub async fn remove_key(
        &self,
        user: UserId,
        maker: KeyId,
        key: KeyId,
        now: DateTime<Utc>,
    ) -> Result<KeyRemoved, StoreError> {
        let good = Condition::any()
            .add(api_keys::Column::ExpiresAt.is_null())
            .add(api_keys::Column::ExpiresAt.gt(Moment::from(now)));
        self.run(async {
            let transaction = self.begin().await?;
            let removed = if !take_turn(&transaction, user, Some(maker)).await? {
                KeyRemoved::NoMaker
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
                self.heard.change();
            } else {
                transaction.rollback().await?;
            }
            Ok(removed)
        })
        .await
    }

    /// Removes a key of the user, for that user who proved otherwise who they are. `false`: there is no such key.
    pub async fn end_key(&self, user: UserId, key: KeyId) -> Result<bool, StoreError> {
        let delete = api_keys::Entity::delete_many()
            .filter(api_keys::Column::Id.eq(key.0))
            .filter(api_keys::Column::UserId.eq(user.0));
        let ended = self.run(delete.exec(&self.db)).await?.rows_affected > 0;
        self.heard.change();
        Ok(ended)
    }

    /// Stores the HMAC that makes bcrypt needless for this key. `false` when the key is gone, or its hash is another one by
    /// now: the HMAC was made for `hash`.
    pub async fn store_key_hmac(&self, user: UserId, key: KeyId, hash: &str, hmac: &str) -> Result<bool, StoreError> {
        let update = api_keys::Entity::update_many()
            .col_expr(api_keys::Column::KeyHmac, Expr::value(hmac))
            .filter(api_keys::Column::Id.eq(key.0))
            .filter(api_keys::Column::UserId.eq(user.0))
            .filter(api_keys::Column::KeyHash.eq(hash));
        Ok(self.run(update.exec(&self.db)).await?.rows_affected > 0)
    }

    /// Notes that the key was used. Never moves the note back. `false` when there is no such key any more.
    pub async fn touch_key(&self, user: UserId, key: KeyId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let at = Moment::from(at);
        // The later of both, so that processes whose notes cross do not undo each other's.
        let latest = Expr::case(api_keys::Column::LastUsedAt.gt(at), Expr::col(api_keys::Column::LastUsedAt))
            .finally(Expr::value(at));
        let update = api_keys::Entity::update_many()
            .col_expr(api_keys::Column::LastUsedAt, latest.into())
            .filter(api_keys::Column::Id.eq(key.0))
            .filter(api_keys::Column::UserId.eq(user.0));
        let known = self.run(update.exec(&self.db)).await?.rows_affected > 0;
        if !known {
            // Whoever used it believed in a row that is gone.
            self.heard.change();
        }
        Ok(known)
    }
}

pub(super) fn of(user: UserId) -> sea_orm::Select<api_keys::Entity> {
    api_keys::Entity::find().filter(api_keys::Column::UserId.eq(user.0))
}

/// Makes changes to one user's keys take turns, or two could each leave the other's as the last one. `false` when the
/// user, or the key that asks for the change, is gone by now.
async fn take_turn(transaction: &DatabaseTransaction, user: UserId, maker: Option<KeyId>) -> Result<bool, DbErr> {
    let owner = users::Entity::find_by_id(user.0).lock(LockType::NoKeyUpdate).one(transaction).await?;
    match maker {
        None => Ok(owner.is_some()),
        Some(maker) => Ok(of(user).filter(api_keys::Column::Id.eq(maker.0)).one(transaction).await?.is_some()),
    }
}
