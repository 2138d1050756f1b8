//! Adds the HMAC by which a process recognises an API key without bcrypt. A row without one is checked with bcrypt once.
//!
//! The column is not among those that the trigger of `m20261123_000002_key_changes` watches: it changes nothing that a
//! process remembers of a key.

use sea_orm_migration::{async_trait::async_trait, prelude::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new("key_hmac").text().null().take();
        manager.alter_table(Table::alter().table("api_keys").add_column(column).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("api_keys").drop_column("key_hmac").take()).await
    }
}
