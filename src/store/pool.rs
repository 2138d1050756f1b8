//! The pools, and what they check before a connection serves the next caller.
//!
//! A connection must never come back with a transaction open: what the next callers write would seem to succeed and be
//! rolled back later. Two things can leave one open without an error to any caller. SQLite rolls back by itself when the
//! disk is full, when it cannot read or write, and when memory is short; sqlx's own ROLLBACK then fails, sqlx goes on to
//! count one transaction, and the next BEGIN becomes a savepoint. On PostgreSQL sqlx forgets a BEGIN whose caller left
//! before the answer came, and a pooler may hand over a server connection that another client left in a transaction.

use std::sync::Arc;

use sea_orm::{
    DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector,
    sqlx::{
        self, Connection, PgConnection, SqliteConnection,
        postgres::{PgConnectOptions, PgPoolOptions},
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

use super::{ACQUIRE_TIMEOUT, SQLITE_BUSY_TIMEOUT, StoreError, changes::Heard, refusal};

/// Opens an SQLite file that exists. `heard` learns of each connection that replaces another.
pub(super) async fn sqlite_pool(path: &std::path::Path, heard: Arc<Heard>) -> Result<DatabaseConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        // A later connection must not make an empty database where the file was moved away.
        .create_if_missing(false)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL, so that a refreshed token survives a power failure: its predecessor is used up.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(SQLITE_BUSY_TIMEOUT);
    // One connection: SQLite has one writer anyway, and waiting for it in the pool's queue is fair and
    // cheap, where waiting in SQLite polls and may give up.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |_, _| {
            // `PRAGMA data_version` cannot be compared between two connections.
            heard.change();
            Box::pin(std::future::ready(Ok(())))
        })
        .after_release(|connection, _| Box::pin(is_sqlite_at_rest(connection)))
        .connect_with(options)
        .await
        .map_err(StoreError::from)?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// Opens no connection yet.
pub(super) fn postgres_pool(options: PgConnectOptions, max_connections: u32) -> DatabaseConnection {
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|_, _| {
            refusal::note_connection();
            Box::pin(std::future::ready(Ok(())))
        })
        .before_acquire(|_, _| {
            refusal::note_connection();
            Box::pin(std::future::ready(Ok(true)))
        })
        .after_release(|connection, _| Box::pin(is_postgres_at_rest(connection)))
        .connect_lazy_with(options);
    SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
}

/// Whether sqlx counts no transaction. If it counts one, a rollback may still be queued; or SQLite has rolled back by itself,
/// and sqlx's ROLLBACK has failed.
async fn is_sqlite_at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    // Answers when the queued rollback has run.
    connection.ping().await?;
    if connection.is_in_transaction() {
        log::warn!("SQLite ended a transaction by itself: its disk is full or cannot be used, or memory is short");
        // sqlx's ROLLBACK gets a transaction to end. This keeps the connection, because a new one cannot be opened on a full
        // disk, and reads go on. BEGIN fails where a transaction is really open: then the connection is closed.
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
        // Refused, since sqlx counts a transaction; what the refusal drops queues the ROLLBACK.
        drop(connection.begin_with("BEGIN").await);
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Whether the server has no transaction open on this connection.
///
/// Every answer of the server says so, but sqlx shows it nowhere else than in the outcome of `begin_with`: that reports
/// `BeginFailed` after a statement that left no transaction open. The statement does nothing, and it fails in a transaction
/// that has failed, so that this state is noticed too.
async fn is_postgres_at_rest(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        return Ok(false);
    }
    match connection.begin_with("SELECT").await {
        Err(sqlx::Error::BeginFailed) => Ok(true),
        Err(error) => Err(error),
        Ok(_) => {
            log::warn!("a connection to the database was replaced: its last user left a transaction open");
            Ok(false)
        }
    }
}
