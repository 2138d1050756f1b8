//! What a connection to PostgreSQL keeps. A pooler may lend its few connections by the transaction: then locks and
//! notices, which belong to a connection, are lost between two statements, and with some poolers prepared statements, too.

use sea_orm::sqlx::{self, Connection, PgConnection, postgres::PgConnectOptions};
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    StoreError,
    lock::{CHECK_SPACE, answered},
    postgres_options,
};

/// How many others ask for a connection of the pooler's before we believe that nobody gets ours. Two find out a pooler that
/// is idle, whether it lends what came back last or goes round; a third has more luck with one that is busy.
const OTHERS: usize = 3;

/// What connections of a URL keep from one transaction to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Keeps {
    /// Everything: the server itself answers, or a pooler that lends by the session.
    Session,
    /// Prepared statements and nothing else.
    Statements,
    /// Not even those, so that nothing works; and what the pooler said.
    Nothing(String),
}

/// Finds out what a URL's connections keep.
pub async fn what_is_kept(url: &SecretString) -> Result<Keeps, StoreError> {
    let options = postgres_options(url)?;
    answered(async move {
        match kept(&options).await {
            Err(sqlx::Error::Database(refusal)) if is_about_statements(&refusal.code().unwrap_or_default()) => {
                Ok(Keeps::Nothing(refusal.message().to_owned()))
            }
            outcome => outcome,
        }
    })
    .await
}

async fn kept(options: &PgConnectOptions) -> Result<Keeps, sqlx::Error> {
    let mut ours = PgConnection::connect_with(options).await?;
    let before = served_by(&mut ours).await?;
    let mut others = Vec::new();
    let mut kept = Keeps::Session;
    for _ in 0..OTHERS {
        let mut other = PgConnection::connect_with(options).await?;
        // In a transaction it holds on to what it was lent.
        sqlx::raw_sql("BEGIN").execute(&mut other).await?;
        let lent = served_by(&mut other).await?;
        others.push(other);
        // Asked last: where there is one connection in all, the other has it now.
        if lent == before || served_by(&mut ours).await? != before {
            kept = Keeps::Statements;
            break;
        }
    }
    // One that is dropped within its transaction would cost the pooler its connection.
    for mut other in others {
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await?;
        other.close().await?;
    }
    ours.close().await?;
    Ok(kept)
}

/// The server's process behind a connection, asked by a prepared statement, which has the same name in each of ours.
async fn served_by(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await
}

/// A statement that is gone, one of its name that somebody else left behind, one of that name that is another; and what
/// PgBouncer says that lends by the statement.
fn is_about_statements(code: &str) -> bool {
    matches!(code, "26000" | "42P05" | "08P01")
}

/// Whether two URLs lead to one database: a lock that is taken through one is seen through the other.
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
