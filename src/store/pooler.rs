//! Detection of the pool mode of a PostgreSQL connection. A pooler in transaction mode assigns its few connections per
//! transaction: locks and notifications, which belong to a connection, are then lost between two statements, and with
//! some poolers prepared statements too.

use sea_orm::sqlx::{self, Connection, PgConnection, postgres::PgConnectOptions};
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    error::StoreError,
    lock::{CHECK_SPACE, answered},
    postgres_options::postgres_options,
};

/// How many other clients request a connection before the pooler is believed to assign connections per session. Two
/// detect an idle pooler, whether it assigns the last returned connection or cycles through all; a third makes it
/// likelier to detect a busy one.
const OTHER_CONNECTIONS: usize = 3;

/// What the connections of a URL keep from one transaction to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PoolMode {
    /// Everything: the server itself, or a pooler in session mode.
    Session,
    /// Prepared statements and nothing else.
    Transaction,
    /// Not even those, so that nothing works; with the pooler's error message.
    NoPreparedStatements(String),
}

/// Detects what a URL's connections keep.
pub async fn detect_pool_mode(url: &SecretString) -> Result<PoolMode, StoreError> {
    let options = postgres_options(url)?;
    answered(async move {
        match probe_pool_mode(&options).await {
            Err(sqlx::Error::Database(refusal)) if is_prepared_statement_error(&refusal.code().unwrap_or_default()) => {
                Ok(PoolMode::NoPreparedStatements(refusal.message().to_owned()))
            }
            outcome => outcome,
        }
    })
    .await
}

async fn probe_pool_mode(options: &PgConnectOptions) -> Result<PoolMode, sqlx::Error> {
    let mut ours = PgConnection::connect_with(options).await?;
    let before = backend_pid(&mut ours).await?;
    let mut others = Vec::new();
    let mut mode = PoolMode::Session;
    for _ in 0..OTHER_CONNECTIONS {
        let mut other = PgConnection::connect_with(options).await?;
        // Within a transaction it keeps the assigned connection.
        sqlx::raw_sql("BEGIN").execute(&mut other).await?;
        let lent = backend_pid(&mut other).await?;
        others.push(other);
        // Checked last: if the pooler has only one connection, the other client has it now.
        if lent == before || backend_pid(&mut ours).await? != before {
            mode = PoolMode::Transaction;
            break;
        }
    }
    // A client dropped within its transaction would cost the pooler its server connection.
    for mut other in others {
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await?;
        other.close().await?;
    }
    ours.close().await?;
    Ok(mode)
}

/// Returns the server process behind a connection. Uses a prepared statement, which has the same name on each
/// connection.
async fn backend_pid(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await
}

/// Returns whether the error is about prepared statements: the statement does not exist, its name is taken by a
/// statement of another client, or the statement of that name is a different one; or PgBouncer runs in statement mode.
fn is_prepared_statement_error(code: &str) -> bool {
    matches!(code, "26000" | "42P05" | "08P01")
}

/// Returns whether two URLs lead to one database: a lock taken through one is visible through the other.
pub async fn is_one_database(one: &SecretString, other: &SecretString) -> Result<bool, StoreError> {
    let (one, other) = (postgres_options(one)?, postgres_options(other)?);
    let [a, b, c, d, ..] = Uuid::new_v4().into_bytes();
    // Without its sign, since pg_locks shows it as an unsigned number.
    let number = i32::from_be_bytes([a, b, c, d]) & i32::MAX;
    answered(async move {
        let (mut one, mut other) = (PgConnection::connect_with(&one).await?, PgConnection::connect_with(&other).await?);
        let mut transaction = one.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1, $2)")
            .bind(CHECK_SPACE)
            .bind(number)
            .execute(&mut *transaction)
            .await?;
        let seen = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database \
             WHERE datname = current_database() AND locktype = 'advisory' AND granted \
             AND classid::bigint = $1 AND objid::bigint = $2 AND objsubid = 2)",
        )
        .bind(i64::from(CHECK_SPACE))
        .bind(i64::from(number))
        .fetch_one(&mut other)
        .await?;
        transaction.rollback().await?;
        one.close().await?;
        other.close().await?;
        Ok(seen)
    })
    .await
}
