//! One row about the database itself: which program made its schema, for programs that are older than it; and a time that
//! probes write to prove that the database can store something.

use sea_orm_migration::{async_trait::async_trait, prelude::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("gateway_state")
            .col(ColumnDef::new("id").small_integer().not_null().primary_key())
            .col(ColumnDef::new("written_at").timestamp_with_time_zone())
            .col(ColumnDef::new("schema_version").text())
            .take();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("gateway_state").take()).await
    }
}
