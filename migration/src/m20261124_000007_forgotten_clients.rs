//! OAuth clients that registered themselves and were deleted. A registration is no row: the client id itself holds it,
//! so a deleted one has to be remembered until it would have expired.

use sea_orm_migration::{async_trait::async_trait, prelude::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("forgotten_clients")
            .col(ColumnDef::new("client_hash").text().not_null().primary_key())
            .col(ColumnDef::new("expires_at").timestamp_with_time_zone().not_null())
            .take();
        manager.create_table(table).await?;
        let by_time = Index::create()
            .name("idx_forgotten_clients_expires_at")
            .table("forgotten_clients")
            .col("expires_at")
            .take();
        manager.create_index(by_time).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("forgotten_clients").take()).await
    }
}
