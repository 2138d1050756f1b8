//! Schema migrations, by one process at a time.
//!
//! All steps of a run share one transaction: a run that fails or is killed leaves the database unchanged, on both
//! databases. The lock belongs to the same transaction, so it always ends with it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use migration::{MigrationStatus, Migrator, MigratorTrait, may_begin, unknown_migrations};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};

use super::{
    database::{Store, begin},
    drop_in_runtime::DropInRuntime,
    error::{StoreError, is_about_locks},
    lock, state,
};

/// How long one attempt waits for another process's run, and for a table that is in use. Short, because a waiting lock
/// request blocks the table's later readers, and because a shutdown has to wait for the attempt.
const LOCK_TIMEOUT: &str = "2s";
/// How long a run keeps retrying.
const PATIENCE: Duration = Duration::from_secs(60);

impl Store {
    /// Applies all pending migrations. Processes that start at the same time run one after the other, and all succeed.
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
        // The process may end in the middle of it.
        DropInRuntime::new(&self.runtime, work).await.map_err(StoreError::from)?;
        self.refuse_newer_schema().await
    }

    async fn try_to_migrate(&self) -> Result<(), DbErr> {
        let transaction = self.begin_migration().await?;
        // A newer program's schema is left unchanged. Migrations that are missing there are left to that program.
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

    /// Reverts the last `steps` migrations, including the data in what they created.
    pub async fn migrate_down(&self, steps: u32) -> Result<(), StoreError> {
        self.refuse_newer_schema().await?;
        let transaction = self.begin_migration().await?;
        Migrator::down(&transaction, Some(steps)).await?;
        Ok(transaction.commit().await?)
    }

    /// Returns whether there are registered users, whose data reverting migrations could delete.
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

    /// Returns `Newer` if a newer program has applied migrations that this one does not know.
    async fn refuse_newer_schema(&self) -> Result<(), StoreError> {
        let unknown = self.run(unknown_migrations(&self.db)).await?;
        let Some(newest) = unknown.last() else { return Ok(()) };
        // No version is recorded if the schema is older than the row, or if a newer program has changed the row.
        let version = self.run(state::schema_version(&self.db)).await.ok().flatten();
        Err(StoreError::newer(version.as_deref(), newest))
    }

    /// Returns all migrations, oldest first, and whether each is applied. Changes nothing, not even in an empty
    /// database.
    pub async fn migration_status(&self) -> Result<Vec<(String, bool)>, StoreError> {
        self.refuse_newer_schema().await?;
        let migrations = self.run(Migrator::get_migration_with_status_read_only(&self.db)).await?;
        Ok(migrations
            .iter()
            .map(|migration| (migration.name().to_owned(), migration.status() == MigrationStatus::Applied))
            .collect())
    }

    /// Checks whether a run would find only what it may alter; otherwise returns `MigrationRefused`. Changes nothing.
    pub async fn may_migrate(&self) -> Result<(), StoreError> {
        let untouched = self.migration_status().await?.iter().all(|(_, applied)| !applied);
        if untouched { self.run(may_begin(&self.db)).await } else { Ok(()) }
    }

    /// Returns the migrations of this program that are not applied, by one cheap query that is suitable for probes.
    /// Additional migrations of a newer program are ignored, so that probes pass while that program replaces this one.
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

    /// Has no time limit, unlike other calls: a migration takes as long as it needs.
    async fn begin_migration(&self) -> Result<DatabaseTransaction, DbErr> {
        // On SQLite the transaction itself is the lock.
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
