//! Changes sent to OwnerRez, recorded before they are sent, so that none is made twice by mistake; and which connections
//! turned out to be allowed to read only. Records go after a day, most of them sooner.

use sea_orm_migration::{async_trait::async_trait, prelude::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("writes")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("tool").text().not_null())
            .col(ColumnDef::new("digest").text().not_null())
            .col(ColumnDef::new("idempotency_digest").text().null())
            // What allowed this one write: a draft or a confirmation. No two writes have the same.
            .col(ColumnDef::new("permit_digest").text().null().unique_key())
            .col(ColumnDef::new("touched").text().not_null())
            .col(ColumnDef::new("outcome").text().not_null())
            .col(ColumnDef::new("answer_id").big_integer().null())
            .col(ColumnDef::new("recorded_at").timestamp_with_time_zone().not_null())
            .col(ColumnDef::new("settled_at").timestamp_with_time_zone().null())
            .foreign_key(
                ForeignKey::create()
                    .name("writes_user_id_fkey")
                    .from("writes", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(table).await?;
        let by_user =
            Index::create().name("idx_writes_user_id").table("writes").col("user_id").col("recorded_at").take();
        manager.create_index(by_user).await?;
        let by_time = Index::create().name("idx_writes_recorded_at").table("writes").col("recorded_at").take();
        manager.create_index(by_time).await?;
        let read_only = Table::alter()
            .table("ownerrez_connections")
            .add_column(ColumnDef::new("read_only_at").timestamp_with_time_zone().null())
            .take();
        manager.alter_table(read_only).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Table::alter().table("ownerrez_connections").drop_column("read_only_at").take();
        manager.alter_table(column).await?;
        manager.drop_table(Table::drop().table("writes").take()).await
    }
}
