//! Users: the tenants that all other rows refer to.

use chrono::{DateTime, Utc};
use entity::{Moment, api_keys, ownerrez_connections, pending_revocations, users};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{
    connections,
    database::Store,
    error::StoreError,
    keys::{self, NewKey},
    revocations,
};
use crate::domain::UserId;

impl Store {
    /// Stores a new user with the first key, both or neither.
    pub async fn register_user(&self, user: UserId, key: NewKey, now: DateTime<Utc>) -> Result<(), StoreError> {
        let user_row = users::ActiveModel {
            id: Set(user.0),
            created_at: Set(now.into()),
            first_connected_at: Set(None),
            disabled_at: Set(None),
        };
        let key_row = keys::row(user, key, now);
        self.run(async {
            let transaction = self.begin().await?;
            users::Entity::insert(user_row).exec_without_returning(&transaction).await?;
            api_keys::Entity::insert(key_row).exec_without_returning(&transaction).await?;
            transaction.commit().await
        })
        .await
    }

    /// Returns whether the user exists.
    pub async fn has_user(&self, user: UserId) -> Result<bool, StoreError> {
        let query = users::Entity::find_by_id(user.0);
        Ok(self.run(query.one(&self.db)).await?.is_some())
    }

    /// Returns when an operator disabled the user; `None` if the user is enabled.
    pub async fn disabled_since(&self, user: UserId) -> Result<Option<DateTime<Utc>>, StoreError> {
        let query = users::Entity::find()
            .select_only()
            .column(users::Column::DisabledAt)
            .filter(users::Column::Id.eq(user.0))
            .into_tuple::<Option<Moment>>();
        Ok(self.run(query.one(&self.db)).await?.flatten().map(Into::into))
    }

    /// Deletes the user with keys, links and connection, and records a task to revoke the token at OwnerRez, all or
    /// nothing. Returns `None` if there is no such user; otherwise whether there was a connection.
    pub async fn delete_user(
        &self,
        user: UserId,
        revocation_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Option<bool>, StoreError> {
        // Locked first: a caller that stores a new connection meanwhile waits, and then finds that the user no longer
        // exists.
        let lock = users::Entity::find_by_id(user.0).lock_exclusive();
        let connection = connections::delete_returning(user);
        self.run(async {
            let transaction = self.begin().await?;
            if lock.one(&transaction).await?.is_none() {
                transaction.rollback().await?;
                return Ok(None);
            }
            let gone = transaction.query_one(&connection).await?;
            let gone = gone.map(|row| ownerrez_connections::Model::from_query_result(&row, "")).transpose()?;
            let connected = gone.is_some();
            let task = gone.and_then(|row| revocations::of_connection(user, revocation_id, row.into(), now));
            if let Some(task) = task {
                pending_revocations::Entity::insert(task).exec_without_returning(&transaction).await?;
            }
            users::Entity::delete_by_id(user.0).exec(&transaction).await?;
            transaction.commit().await?;
            self.change_counter.increment();
            Ok(Some(connected))
        })
        .await
    }
}
