//! Which grants belong to a client that signed for its code: it has to sign for everything that follows.

use sea_orm_migration::{async_trait::async_trait, prelude::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let signed = ColumnDef::new("signed").boolean().not_null().default(false).take();
        manager.alter_table(Table::alter().table("oauth_grants").add_column(signed).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("oauth_grants").drop_column("signed").take()).await
    }
}
