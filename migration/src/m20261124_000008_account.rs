//! Who is signed in to the account page: a row for as long as a browser's cookie is good.

use sea_orm_migration::{async_trait::async_trait, prelude::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut goes_with_the_user = ForeignKey::create()
            .name("account_sessions_user_id_fkey")
            .from("account_sessions", "user_id")
            .to("users", "id")
            .on_delete(ForeignKeyAction::Cascade)
            .take();
        let table = Table::create()
            .table("account_sessions")
            .col(ColumnDef::new("token_hash").text().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("user_id_ownerrez").big_integer().not_null())
            .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
            .col(ColumnDef::new("expires_at").timestamp_with_time_zone().not_null())
            .foreign_key(&mut goes_with_the_user)
            .take();
        manager.create_table(table).await?;
        for column in ["user_id", "expires_at"] {
            let name = format!("idx_account_sessions_{column}");
            manager.create_index(Index::create().name(name).table("account_sessions").col(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("account_sessions").take()).await
    }
}
