//! API keys created by the TypeScript server, in the rows that were migrated from it. No new ones can appear.

use entity::api_keys;
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};

use super::{database::Store, error::StoreError, stored_key::StoredKey};
use crate::domain::{KeyId, UserId};

/// The maximum number of rows of one lookup by prefix: each costs a bcrypt comparison.
pub const LEGACY_KEY_CANDIDATES: u64 = 8;

/// The end of the predecessor's prefixes. Prefixes of this gateway consist of letters and digits only.
const ELLIPSIS: &str = "...";

impl Store {
    /// Returns whether there are any. If not, the whole table is read, so call it rarely.
    pub async fn has_legacy_keys(&self) -> Result<bool, StoreError> {
        let query = api_keys::Entity::find()
            .select_only()
            .column(api_keys::Column::Id)
            .filter(api_keys::Column::KeyPrefix.ends_with(ELLIPSIS))
            .into_tuple::<uuid::Uuid>();
        Ok(self.run(query.one(&self.db)).await?.is_some())
    }

    /// Returns the key that was accepted before and recorded under this digest.
    pub async fn predecessor_key_by_digest(&self, digest: &str) -> Result<Option<StoredKey>, StoreError> {
        let query = api_keys::Entity::find().filter(api_keys::Column::KeyDigest.eq(digest));
        Ok(self.run(query.one(&self.db)).await?.map(StoredKey::from))
    }

    /// Returns the keys with this prefix, at most [`LEGACY_KEY_CANDIDATES`]. Keys that this gateway never accepted
    /// come first, since the others are found by their digest; within each group the oldest comes first.
    pub async fn legacy_keys_by_prefix(&self, prefix: &str) -> Result<Vec<StoredKey>, StoreError> {
        if !prefix.ends_with(ELLIPSIS) {
            return Ok(Vec::new());
        }
        let query = api_keys::Entity::find()
            .filter(api_keys::Column::KeyPrefix.eq(prefix))
            .order_by_asc(Expr::col(api_keys::Column::KeyDigest).is_not_null())
            .order_by_asc(api_keys::Column::CreatedAt)
            .order_by_asc(api_keys::Column::Id)
            .limit(LEGACY_KEY_CANDIDATES);
        Ok(self.run(query.all(&self.db)).await?.into_iter().map(StoredKey::from).collect())
    }

    /// Records the digest by which the key will be found from now on.
    pub async fn note_key_digest(&self, user: UserId, key: KeyId, digest: &str) -> Result<bool, StoreError> {
        let update = api_keys::Entity::update_many()
            .col_expr(api_keys::Column::KeyDigest, Expr::value(digest))
            .filter(api_keys::Column::Id.eq(key.0))
            .filter(api_keys::Column::UserId.eq(user.0))
            .filter(api_keys::Column::KeyPrefix.ends_with(ELLIPSIS));
        Ok(self.run(update.exec(&self.db)).await?.rows_affected > 0)
    }
}
