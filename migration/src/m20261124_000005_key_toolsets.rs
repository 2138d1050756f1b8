//! What a key shows of the tools: which toolsets, and whether it only reads. As long as a request says nothing else,
//! that is what its holder gets.

use sea_orm_migration::{async_trait::async_trait, prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The trigger of `m20261123_000002_key_changes`, for one set of columns.
fn heard(columns: &str) -> String {
    format!(
        "DROP TRIGGER ownerrez_gateway_keys_changed ON api_keys;
        CREATE TRIGGER ownerrez_gateway_keys_changed
            AFTER DELETE OR TRUNCATE OR UPDATE OF {columns} ON api_keys
            FOR EACH STATEMENT EXECUTE FUNCTION ownerrez_gateway_keys_changed();"
    )
}

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        let toolsets = Table::alter().table("api_keys").add_column(ColumnDef::new("toolsets").text()).take();
        manager.alter_table(toolsets).await?;
        let read_only = ColumnDef::new("read_only").boolean().not_null().default(false).take();
        manager.alter_table(Table::alter().table("api_keys").add_column(read_only).take()).await?;
        // Processes remember what a key shows, so they have to hear of changes to it.
        on_postgres(manager, "user_id, key_hash, key_prefix, scope, expires_at, toolsets, read_only").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, "user_id, key_hash, key_prefix, scope, expires_at").await?;
        for column in ["read_only", "toolsets"] {
            manager.alter_table(Table::alter().table("api_keys").drop_column(column).take()).await?;
        }
        Ok(())
    }
}

async fn on_postgres(manager: &SchemaManager<'_>, columns: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Postgres {
        manager.get_connection().execute_unprepared(&heard(columns)).await?;
    }
    Ok(())
}
