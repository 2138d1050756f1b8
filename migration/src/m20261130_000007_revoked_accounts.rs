//! Keeps whose account a token is that waits to be revoked: it is not revoked while the account is connected again.

use sea_orm_migration::{async_trait::async_trait, prelude::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let account = ColumnDef::new("account").big_integer().null().take();
        manager.alter_table(Table::alter().table("pending_revocations").add_column(account).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("pending_revocations").drop_column("account").take()).await
    }
}
