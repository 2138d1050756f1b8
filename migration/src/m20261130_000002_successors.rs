//! Keeps the unused successor of a grant's refresh token, sealed, and the digest of what all refresh tokens of a grant
//! have in common. `confirmed_hash` stays, unused, because processes of the
//! version before read it while they are replaced one after the other.

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
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(FAMILY_INDEX).table("oauth_grants").to_owned()).await?;
        for column in ["family_hash", "successor"] {
            manager.alter_table(Table::alter().table("oauth_grants").drop_column(column).take()).await?;
        }
        Ok(())
    }
}
