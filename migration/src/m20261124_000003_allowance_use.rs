//! Who used the allowance: requests sent per user and span of time. What is older than two days is swept away.

use sea_orm_migration::{async_trait::async_trait, prelude::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("allowance_use")
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("since").timestamp_with_time_zone().not_null())
            .col(ColumnDef::new("requests").integer().not_null())
            .primary_key(Index::create().col("user_id").col("since"))
            .foreign_key(
                ForeignKey::create()
                    .name("fk_allowance_use_user_id")
                    .from("allowance_use", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(table).await?;
        let by_time = Index::create().name("idx_allowance_use_since").table("allowance_use").col("since").take();
        manager.create_index(by_time).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("allowance_use").take()).await
    }
}
