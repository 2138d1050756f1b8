//! The one row about the database itself: the program version that created the schema, and a time that is written to
//! prove that the database accepts writes.

use chrono::{DateTime, Utc};
use entity::{Moment, gateway_state as rows};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, sea_query::OnConflict};

use super::{database::Store, error::StoreError};

/// The id of the one row.
const THE_ROW: i16 = 1;

impl Store {
    /// Writes and commits one row: a probe may report that writes are stored only if this succeeds.
    pub async fn prove_commit(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let row =
            rows::ActiveModel { id: Set(THE_ROW), written_at: Set(Some(Moment::from(now))), ..Default::default() };
        let write = rows::Entity::insert(row)
            .on_conflict(OnConflict::column(rows::Column::Id).update_column(rows::Column::WrittenAt).to_owned());
        self.run(async {
            let transaction = self.begin().await?;
            write.exec_without_returning(&transaction).await?;
            transaction.commit().await
        })
        .await
    }
}

/// Records that this program created the current schema.
pub(super) async fn note_schema_version(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let version = Some(env!("CARGO_PKG_VERSION").to_owned());
    let row = rows::ActiveModel { id: Set(THE_ROW), schema_version: Set(version), ..Default::default() };
    let write = rows::Entity::insert(row)
        .on_conflict(OnConflict::column(rows::Column::Id).update_column(rows::Column::SchemaVersion).to_owned());
    write.exec_without_returning(transaction).await.map(drop)
}

/// Returns the version of the program that created the current schema; `None` if it was not recorded.
pub(super) async fn schema_version(db: &impl ConnectionTrait) -> Result<Option<String>, DbErr> {
    let row = rows::Entity::find_by_id(THE_ROW).one(db).await?;
    Ok(row.and_then(|row| row.schema_version))
}
