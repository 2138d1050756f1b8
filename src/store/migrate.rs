//! Bringing the database's shape up to date, by one process at a time.
//!
//! All steps of a run share one transaction: a run that fails or is killed leaves the database as it was, on both
//! databases. The lock lives in the same transaction, so it ends with it, whatever happens.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use migration::{MigrationStatus, Migrator, MigratorTrait, may_begin, unknown_migrations};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};

use super::{Store, StoreError, begin, dropped::DroppedIn, error::is_about_locks, lock, state};

/// How long one attempt waits for another process's run, and for a table that is in use. Short, because a lock that
/// is waited for keeps the table's later readers waiting, and because a stop has to wait for the attempt.
const LOCK_TIMEOUT: &str = "2s";
/// How long a run goes on trying.
const PATIENCE: Duration = Duration::from_secs(60);

impl Store {
    /// Applies all migrations that are missing. Processes that start at once take turns and all succeed.
    pub async fn migrate_up(&self) -> Result<(), StoreError> {
        let work = async {
            let started = Instant::now();
            loop {
                match self.try_to_migrate().await {
                    Err(error) if is_about_locks(&error) && started.elapsed() < PATIENCE => {}
                    outcome => return outcome,
                }
            }
        };
        // The end of the process may come upon it.
        DroppedIn::new(&self.runtime, work).await.map_err(StoreError::from)?;
        self.refuse_newer_schema().await
    }

    async fn try_to_migrate(&self) -> Result<(), DbErr> {
        let transaction = self.begin_migration().await?;
        // A newer program's schema is left as it is. What else is missing there is its own concern.
        if !unknown_migrations(&transaction).await?.is_empty() {
            return transaction.rollback().await;
        }
        let missing = Migrator::get_pending_migrations(&transaction).await?.len();
        Migrator::up(&transaction, None).await?;
        if missing > 0 {
            state::note_schema_version(&transaction).await?;
        }
        transaction.commit().await
    }

    /// Takes back the last `steps` migrations, with the data in what they made.
    pub async fn migrate_down(&self, steps: u32) -> Result<(), StoreError> {
        self.refuse_newer_schema().await?;
        let transaction = self.begin_migration().await?;
        Migrator::down(&transaction, Some(steps)).await?;
        Ok(transaction.commit().await?)
    }

    /// Whether somebody is registered: then taking migrations back can drop what people rely on.
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        self.run(async {
            if !migration::has_table(&self.db, "users").await? {
                return Ok(false);
            }
            let question = Statement::from_string(self.db.get_database_backend(), "SELECT 1 FROM users LIMIT 1");
            Ok(self.db.query_one_raw(question).await?.is_some())
        })
        .await
    }

    /// `Newer`, if a newer program has applied migrations that this one does not know.
    async fn refuse_newer_schema(&self) -> Result<(), StoreError> {
        let unknown = self.run(unknown_migrations(&self.db)).await?;
        let Some(newest) = unknown.last() else { return Ok(()) };
        // A schema from before the row was there, or one that has changed it, names no version.
        let version = self.run(state::schema_version(&self.db)).await.ok().flatten();
        Err(StoreError::newer(version.as_deref(), newest))
    }

    /// Every migration, oldest first, and whether it is applied. Changes nothing, not even in an empty database.
    pub async fn migration_status(&self) -> Result<Vec<(String, bool)>, StoreError> {
        self.refuse_newer_schema().await?;
        let migrations = self.run(Migrator::get_migration_with_status_read_only(&self.db)).await?;
        Ok(migrations
            .iter()
            .map(|migration| (migration.name().to_owned(), migration.status() == MigrationStatus::Applied))
            .collect())
    }

    /// Whether a run would find only what it may alter; otherwise `LeftAlone`. Changes nothing.
    pub async fn may_migrate(&self) -> Result<(), StoreError> {
        let untouched = self.migration_status().await?.iter().all(|(_, applied)| !applied);
        if untouched { self.run(may_begin(&self.db)).await } else { Ok(()) }
    }

    /// Migrations of this program that are not applied. One cheap question, fit to be asked by probes; what a newer
    /// program has applied besides is no concern of ours while it replaces us.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        let query = Statement::from_string(self.db.get_database_backend(), "SELECT version FROM seaql_migrations");
        let applied = self
            .run(async {
                let rows = self.db.query_all_raw(query).await?;
                rows.iter().map(|row| row.try_get_by_index::<String>(0)).collect::<Result<BTreeSet<_>, _>>()
            })
            .await?;
        let ours = Migrator::migrations().into_iter().map(|migration| migration.name().to_owned());
        Ok(ours.filter(|name| !applied.contains(name)).collect())
    }

    /// Not bounded in time like other calls: a migration takes as long as it takes.
    async fn begin_migration(&self) -> Result<DatabaseTransaction, DbErr> {
        // On SQLite this is the lock already.
        let transaction = begin(self.direct.as_ref().unwrap_or(&self.db)).await?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            transaction.execute_unprepared(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")).await?;
            transaction
                .execute_raw(Statement::from_sql_and_values(
                    DbBackend::Postgres,
                    "SELECT pg_advisory_xact_lock($1, 0)",
                    [lock::MIGRATION_SPACE.into()],
                ))
                .await?;
        }
        Ok(transaction)
    }
}
