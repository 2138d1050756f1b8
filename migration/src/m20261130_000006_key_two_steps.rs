//! Whether changes that need a person's consent take two steps under a key, instead of a question that its client shows.

use sea_orm_migration::{async_trait::async_trait, prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The columns whose change processes have to hear of: what they remember of a key.
const HEARD_BEFORE: &str = "user_id, key_hash, key_prefix, scope, expires_at, toolsets, read_only";

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let two_steps = ColumnDef::new("two_steps").boolean().not_null().default(false).take();
        manager.alter_table(Table::alter().table("api_keys").add_column(two_steps).take()).await?;
        on_postgres(manager, &format!("{HEARD_BEFORE}, two_steps")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, HEARD_BEFORE).await?;
        manager.alter_table(Table::alter().table("api_keys").drop_column("two_steps").take()).await
    }
}

/// Replaces the trigger of `m20261123_000002_key_changes` by one for these columns.
async fn on_postgres(manager: &SchemaManager<'_>, columns: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Postgres {
        let trigger = format!(
            "DROP TRIGGER ownerrez_gateway_keys_changed ON api_keys;
            CREATE TRIGGER ownerrez_gateway_keys_changed
                AFTER DELETE OR TRUNCATE OR UPDATE OF {columns} ON api_keys
                FOR EACH STATEMENT EXECUTE FUNCTION ownerrez_gateway_keys_changed();"
        );
        manager.get_connection().execute_unprepared(&trigger).await?;
    }
    Ok(())
}
