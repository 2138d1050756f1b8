//! When a browser first came back from OwnerRez with an approval and had to wait for its turn: from then on its code ages.

use sea_orm_migration::{async_trait::async_trait, prelude::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: [&str; 2] = ["oauth_states", "sign_in_requests"];

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            let returned_at = ColumnDef::new("returned_at").timestamp_with_time_zone().null().take();
            manager.alter_table(Table::alter().table(table).add_column(returned_at).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            manager.alter_table(Table::alter().table(table).drop_column("returned_at").take()).await?;
        }
        Ok(())
    }
}
