//! The history of the database, oldest first. A migration that was released is never edited.

use sea_orm_migration::{
    IntoSchemaManagerConnection, MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement},
};
pub use sea_orm_migration::{MigrationStatus, MigratorTrait};

mod m20261123_000001_first_tables;
mod m20261123_000002_key_changes;
mod m20261124_000003_allowance_use;
mod m20261124_000004_writes;
mod m20261124_000005_key_toolsets;
mod m20261124_000006_sign_in;
mod m20261124_000007_forgotten_clients;
mod m20261124_000008_account;
mod m20261126_000009_signed_grants;
mod m20261130_000001_gateway_state;
mod m20261130_000002_successors;
mod m20261130_000004_key_hmac;
mod m20261130_000006_key_two_steps;
mod m20261130_000007_revoked_accounts;
mod m20261130_000008_returned_at;
mod predecessor;

/// All migrations. `store` runs them, in one transaction, one process at a time.
#[derive(Debug)]
pub struct Migrator;

#[async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_first_tables::Migration),
            Box::new(m20261123_000002_key_changes::Migration),
            Box::new(m20261124_000003_allowance_use::Migration),
            Box::new(m20261124_000004_writes::Migration),
            Box::new(m20261124_000005_key_toolsets::Migration),
            Box::new(m20261124_000006_sign_in::Migration),
            Box::new(m20261124_000007_forgotten_clients::Migration),
            Box::new(m20261124_000008_account::Migration),
            Box::new(m20261126_000009_signed_grants::Migration),
            Box::new(m20261130_000001_gateway_state::Migration),
            Box::new(m20261130_000002_successors::Migration),
            Box::new(m20261130_000004_key_hmac::Migration),
            Box::new(m20261130_000006_key_two_steps::Migration),
            Box::new(m20261130_000007_revoked_accounts::Migration),
            Box::new(m20261130_000008_returned_at::Migration),
        ]
    }
}

/// Whether the first migration may be applied: an error says what stands in a database without a record of migrations
/// that must not be touched. Changes nothing.
pub async fn may_begin(db: &DatabaseConnection) -> Result<(), DbErr> {
    predecessor::is_here(&SchemaManager::new(db)).await.map(drop)
}

/// Migrations that were applied and that this program does not know, oldest first: a newer program applied them. Changes
/// nothing.
pub async fn unknown_migrations<'c>(db: impl IntoSchemaManagerConnection<'c>) -> Result<Vec<String>, DbErr> {
    let manager = SchemaManager::new(db);
    if !manager.has_table("seaql_migrations").await? {
        return Ok(Vec::new());
    }
    let db = manager.get_connection();
    let question = "SELECT version FROM seaql_migrations ORDER BY version";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), question)).await?;
    let applied = rows.iter().map(|row| row.try_get_by_index::<String>(0)).collect::<Result<Vec<_>, _>>()?;
    let known = Migrator::migrations();
    Ok(applied.into_iter().filter(|name| known.iter().all(|migration| migration.name() != name)).collect())
}

/// Whether the database has this table.
pub async fn has_table(db: &DatabaseConnection, name: &str) -> Result<bool, DbErr> {
    SchemaManager::new(db).has_table(name).await
}
