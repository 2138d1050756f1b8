//! Deleted OAuth clients that had registered themselves. The list is short, because each row is removed when the
//! registration would have expired. Rows belong to no user.

use chrono::{DateTime, Utc};
use entity::{Moment, forgotten_clients as rows};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, sea_query::OnConflict};

use super::{database::Store, error::StoreError};

impl Store {
    /// Records that the client with this hash (SHA-256 of its id in hexadecimal) is deleted. Recording it twice is no
    /// error.
    pub async fn mark_client_deleted(&self, client_hash: &str, expires_at: DateTime<Utc>) -> Result<(), StoreError> {
        let row = rows::ActiveModel { client_hash: Set(client_hash.to_owned()), expires_at: Set(expires_at.into()) };
        let insert = rows::Entity::insert(row)
            .on_conflict(OnConflict::column(rows::Column::ClientHash).do_nothing().to_owned())
            .exec_without_returning(&self.db);
        self.run(insert).await.map(drop)
    }

    /// Returns whether the client with this hash was deleted.
    pub async fn is_client_deleted(&self, client_hash: &str) -> Result<bool, StoreError> {
        Ok(self.run(rows::Entity::find_by_id(client_hash).one(&self.db)).await?.is_some())
    }

    /// Removes clients that would have expired by now and returns their number.
    pub async fn sweep_deleted_clients(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let delete = rows::Entity::delete_many().filter(rows::Column::ExpiresAt.lte(Moment::from(now)));
        Ok(self.run(delete.exec(&self.db)).await?.rows_affected)
    }
}
