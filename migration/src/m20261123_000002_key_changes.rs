//! Says on a channel when a key or a user was changed or removed, by whatever hand, so that every process of the
//! gateway forgets what it remembers of that key. SQLite needs nothing: there the gateway sees that the file changed.

use sea_orm_migration::{async_trait::async_trait, prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = "
CREATE FUNCTION ownerrez_gateway_keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('ownerrez_gateway_keys', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER ownerrez_gateway_keys_changed
    AFTER DELETE OR TRUNCATE OR UPDATE OF user_id, key_hash, key_prefix, scope, expires_at ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION ownerrez_gateway_keys_changed();
CREATE TRIGGER ownerrez_gateway_keys_changed
    AFTER DELETE OR TRUNCATE OR UPDATE OF disabled_at ON users
    FOR EACH STATEMENT EXECUTE FUNCTION ownerrez_gateway_keys_changed();
";

const DOWN: &str = "
DROP TRIGGER ownerrez_gateway_keys_changed ON users;
DROP TRIGGER ownerrez_gateway_keys_changed ON api_keys;
DROP FUNCTION ownerrez_gateway_keys_changed();
";

#[async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, DOWN).await
    }
}

async fn on_postgres(manager: &SchemaManager<'_>, statements: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Postgres {
        manager.get_connection().execute_unprepared(statements).await?;
    }
    Ok(())
}
