//! The connection pools, and their checks before a connection serves the next caller.
//!
//! A connection must never return to the pool with an open transaction: the next callers' writes would seem to succeed
//! and be rolled back later. Two things can leave one open without an error to any caller. SQLite rolls back by itself
//! if the disk is full, if it cannot read or write, and if memory is short; sqlx's own ROLLBACK then fails, sqlx still
//! counts one transaction, and the next BEGIN becomes a savepoint. On PostgreSQL sqlx forgets a BEGIN whose caller was
//! dropped before the answer came, and a pooler may assign a server connection that another client left in a
//! transaction.

use std::sync::Arc;

use sea_orm::{
    DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector,
    sqlx::{
        self, Connection, PgConnection, SqliteConnection,
        postgres::{PgConnectOptions, PgPoolOptions},
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

use super::{
    change_counter::ChangeCounter,
    error::StoreError,
    refusal_detector,
    timeouts::{ACQUIRE_TIMEOUT, SQLITE_BUSY_TIMEOUT},
};

/// Opens an existing SQLite file. `change_counter` is notified of each connection that replaces another.
pub(super) async fn sqlite_pool(
    path: &std::path::Path,
    change_counter: Arc<ChangeCounter>,
) -> Result<DatabaseConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        // A later connection must not create an empty database if the file was moved away.
        .create_if_missing(false)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL, so that a refreshed token survives a power failure: the previous token can no longer be used.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(SQLITE_BUSY_TIMEOUT);
    // One connection: SQLite has one writer anyway. Waiting in the pool's queue is fair and cheap, whereas SQLite polls
    // and may give up.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |_, _| {
            // The `PRAGMA data_version` of two connections cannot be compared.
            change_counter.increment();
            Box::pin(std::future::ready(Ok(())))
        })
        .after_release(|connection, _| Box::pin(is_sqlite_at_rest(connection)))
        .connect_with(options)
        .await
        .map_err(StoreError::from)?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// Creates the pool without opening a connection.
pub(super) fn postgres_pool(options: PgConnectOptions, max_connections: u32) -> DatabaseConnection {
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|_, _| {
            refusal_detector::note_connection();
            Box::pin(std::future::ready(Ok(())))
        })
        .before_acquire(|_, _| {
            refusal_detector::note_connection();
            Box::pin(std::future::ready(Ok(true)))
        })
        .after_release(|connection, _| Box::pin(is_postgres_at_rest(connection)))
        .connect_lazy_with(options);
    SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
}

/// Returns whether sqlx counts no transaction. If it counts one, either a rollback is still queued, or SQLite has
/// rolled back by itself and sqlx's ROLLBACK has failed.
async fn is_sqlite_at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    // Returns once the queued rollback has run.
    connection.ping().await?;
    if connection.is_in_transaction() {
        log::warn!("SQLite rolled back a transaction: the disk is full or unusable, or memory is short");
        // Opens a transaction for sqlx's ROLLBACK to end. This keeps the connection, because a new one cannot be opened
        // on a full disk, and reads continue. BEGIN fails if a transaction is really open: then the connection is
        // closed.
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
        // This fails, since sqlx counts a transaction; dropping the failed transaction queues the ROLLBACK.
        drop(connection.begin_with("BEGIN").await);
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Returns whether the server has no open transaction on this connection.
///
/// Every response of the server contains this state, but sqlx exposes it only in the outcome of `begin_with`: that
/// returns `BeginFailed` after a statement that left no transaction open. The statement does nothing. In a failed
/// transaction it fails, so that this state is detected too.
async fn is_postgres_at_rest(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        return Ok(false);
    }
    match connection.begin_with("SELECT").await {
        Err(sqlx::Error::BeginFailed) => Ok(true),
        Err(error) => Err(error),
        Ok(_) => {
            log::warn!("replacing a database connection that was returned with an open transaction");
            Ok(false)
        }
    }
}
