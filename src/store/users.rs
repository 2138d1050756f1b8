//! Users and their API keys.

use chrono::{DateTime, Utc};
use entity::{Moment, api_keys, users};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::Expr};

use super::{Store, StoreError};
use crate::domain::{KeyId, UserId};

/// An API key about to be stored.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Which key.
    pub id: KeyId,
    /// bcrypt hash of the whole key.
    pub hash: String,
    /// What it will be looked up by.
    pub prefix: String,
    /// What its owner calls it.
    pub name: Option<String>,
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
    /// What it is looked up by.
    pub prefix: String,
    /// What its owner calls it.
    pub name: Option<String>,
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
            last_used_at: _,
            created_at: _,
            scope: _,
            expires_at: _,
            key_digest: _,
        } = row;
        StoredKey { id: KeyId(id), user: UserId(user_id), hash: key_hash, prefix: key_prefix, name }
    }
}

impl Store {
    /// Stores a new user with the first key: both or neither.
    pub async fn register_user(&self, user: UserId, key: NewKey, now: DateTime<Utc>) -> Result<(), StoreError> {
        let now = Moment::from(now);
        let NewKey { id, hash, prefix, name } = key;
        let user_row = users::ActiveModel {
            id: Set(user.0),
            created_at: Set(now),
            first_connected_at: Set(None),
            disabled_at: Set(None),
        };
        let key_row = api_keys::ActiveModel {
            id: Set(id.0),
            user_id: Set(user.0),
            key_hash: Set(hash),
            key_prefix: Set(prefix),
            name: Set(name),
            last_used_at: Set(None),
            created_at: Set(now),
            scope: Set("full".to_owned()),
            expires_at: Set(None),
            key_digest: Set(None),
        };
        self.run(async {
            let transaction = self.begin().await?;
            users::Entity::insert(user_row).exec_without_returning(&transaction).await?;
            api_keys::Entity::insert(key_row).exec_without_returning(&transaction).await?;
            transaction.commit().await
        })
        .await
    }

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
        let query = api_keys::Entity::find_by_id(key.0).filter(api_keys::Column::UserId.eq(user.0));
        Ok(self.run(query.one(&self.db)).await?.map(StoredKey::from))
    }

    /// Notes that the key was used. Never moves the note back.
    pub async fn touch_key(&self, user: UserId, key: KeyId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let at = Moment::from(at);
        // The later of both, so that processes whose notes cross do not undo each other's.
        let latest = Expr::case(api_keys::Column::LastUsedAt.gt(at), Expr::col(api_keys::Column::LastUsedAt))
            .finally(Expr::value(at));
        let update = api_keys::Entity::update_many()
            .col_expr(api_keys::Column::LastUsedAt, latest.into())
            .filter(api_keys::Column::Id.eq(key.0))
            .filter(api_keys::Column::UserId.eq(user.0));
        Ok(self.run(update.exec(&self.db)).await?.rows_affected > 0)
    }
}
