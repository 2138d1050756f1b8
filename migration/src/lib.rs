//! The history of the database, oldest first. A migration that was released is never edited.

pub use sea_orm_migration::{MigrationStatus, MigratorTrait};
use sea_orm_migration::{
    MigrationTrait, SchemaManager,
    async_trait::async_trait,
    sea_orm::{DatabaseConnection, DbErr},
};

mod m20261123_000001_first_tables;
mod m20261123_000002_key_changes;
mod m20261124_000003_allowance_use;
mod m20261124_000004_writes;
mod m20261124_000005_key_toolsets;
mod m20261124_000006_sign_in;
mod m20261124_000007_forgotten_clients;
mod m20261124_000008_account;
mod m20261126_000009_signed_grants;
mod m20261130_000002_successors;
mod m20261130_000006_key_two_steps;
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
            Box::new(m20261130_000002_successors::Migration),
            Box::new(m20261130_000006_key_two_steps::Migration),
        ]
    }
}

/// Whether the first migration may be applied: an error says what stands in a database without a record of migrations
/// that must not be touched. Changes nothing.
pub async fn may_begin(db: &DatabaseConnection) -> Result<(), DbErr> {
    predecessor::is_here(&SchemaManager::new(db)).await.map(drop)
}
