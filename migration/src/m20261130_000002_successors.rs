//! Keeps the unused successor of a grant's refresh token, sealed, and the digest of what all refresh tokens of a grant
//! have in common. `confirmed_hash` goes: the tokens of one generation are no longer told apart.

use sea_orm_migration::{async_trait::async_trait, prelude::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const FAMILY_INDEX: &str = "idx_oauth_grants_family_hash";

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite alters one column at a time.
        for column in ["successor", "family_hash"] {
            let added = ColumnDef::new(column).text().null().take();
            manager.alter_table(Table::alter().table("oauth_grants").add_column(added).take()).await?;
        }
        let index = Index::create().name(FAMILY_INDEX).table("oauth_grants").col("family_hash").take();
        manager.create_index(index).await?;
        manager.alter_table(Table::alter().table("oauth_grants").drop_column("confirmed_hash").take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let confirmed = ColumnDef::new("confirmed_hash").text().null().take();
        manager.alter_table(Table::alter().table("oauth_grants").add_column(confirmed).take()).await?;
        manager.drop_index(Index::drop().name(FAMILY_INDEX).table("oauth_grants").to_owned()).await?;
        for column in ["family_hash", "successor"] {
            manager.alter_table(Table::alter().table("oauth_grants").drop_column(column).take()).await?;
        }
        Ok(())
    }
}
