//! Errors of the database, in the two kinds that callers handle differently: temporary, or a fault.

use std::{fmt, time::Duration};

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, sqlx};

/// A failed call to the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is unavailable, overloaded or locked: the same call may succeed later. It is unknown whether a
    /// write took effect.
    #[error("the database is unavailable")]
    Unavailable(#[source] Cause),
    /// The database rejected the statement: a bug of the gateway, or a foreign schema.
    #[error("the database rejected a statement")]
    Query(#[source] Cause),
    /// A row contains data that the gateway never writes.
    #[error("the database contains a row that cannot be read")]
    Corrupt(#[source] Cause),
    /// A migration found data that it must not change, and changed nothing.
    #[error("the database was not changed")]
    MigrationRefused(#[source] Cause),
    /// The database itself reports that its content is damaged. Only a restore repairs that.
    #[error("the database is damaged")]
    Damaged(#[source] Cause),
    /// A newer program has changed the schema.
    #[error("the database schema is newer than this program")]
    Newer(#[source] Cause),
    /// The configured database cannot be used at all.
    #[error("the configured database cannot be used")]
    Target(#[source] Cause),
}

impl StoreError {
    pub(super) fn target(text: String) -> Self {
        StoreError::Target(Cause(text))
    }

    pub(super) fn timed_out(limit: Duration) -> Self {
        StoreError::Unavailable(Cause(format!("no response within {} s", limit.as_secs())))
    }

    /// `version` is that of the program that applied `newest`, a migration that this program does not know.
    pub(super) fn newer(version: Option<&str>, newest: &str) -> Self {
        let own = env!("CARGO_PKG_VERSION");
        StoreError::Newer(Cause(match version {
            Some(version) if version != own => format!("start version {version} or newer (this one is {own})"),
            Some(_) => format!("start a newer build of version {own}, which contains the migration {newest}"),
            None => {
                format!("start the version that applied the migration {newest}, or a newer one (this one is {own})")
            }
        }))
    }

    /// Nothing listens at the server's address, or the server does not accept connections yet.
    pub(super) fn connection_refused() -> Self {
        StoreError::Unavailable(Cause("the server refuses connections".to_owned()))
    }

    /// An expected heartbeat did not arrive on the connection.
    pub(super) fn missed_heartbeat() -> Self {
        StoreError::Unavailable(Cause("its notifications do not arrive".to_owned()))
    }

    pub(super) fn corrupt(text: impl Into<String>) -> Self {
        StoreError::Corrupt(Cause(text.into()))
    }
}

/// The text of the driver's error, for the log.
///
/// Only the text, because the driver's error values contain more in `Debug`: PostgreSQL's `detail` quotes whole rows.
#[derive(Clone)]
pub struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Cause {}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if let DbErr::Migration(why) = error {
            return StoreError::MigrationRefused(Cause(why));
        }
        let cause = Cause(error.to_string());
        match &error {
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout | ConnAcquireErr::ConnectionClosed)
            | DbErr::Conn(RuntimeErr::Internal(_)) => StoreError::Unavailable(cause),
            DbErr::Conn(RuntimeErr::SqlxError(error))
            | DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => kind_of(error)(cause),
            DbErr::Type(_) | DbErr::TryIntoErr { .. } | DbErr::Json(_) => StoreError::Corrupt(cause),
            _ => StoreError::Query(cause),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        kind_of(&error)(Cause(error.to_string()))
    }
}

fn kind_of(error: &sqlx::Error) -> fn(Cause) -> StoreError {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => StoreError::Unavailable,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreError::Corrupt,
        sqlx::Error::Database(refusal) => {
            let code = refusal.code().unwrap_or_default();
            if refusal.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                kind_of_sqlite(&code)
            } else {
                kind_of_postgres(&code)
            }
        }
        _ => StoreError::Query,
    }
}

/// Returns whether the error is due to a lock of another process or program.
pub(super) fn is_about_locks(error: &DbErr) -> bool {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    // PostgreSQL: lock_not_available, deadlock_detected. SQLite: BUSY, LOCKED and their extended codes.
    code.is_some_and(|code| {
        matches!(&*code, "55P03" | "40P01") || code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
    })
}

/// Returns the kind of a PostgreSQL error: a state of the server, damage, or a fault of the statement.
fn kind_of_postgres(code: &str) -> fn(Cause) -> StoreError {
    let class = code.get(..2).unwrap_or_default();
    // data_corrupted, index_corrupted.
    if matches!(code, "XX001" | "XX002") {
        return StoreError::Damaged;
    }
    // 08 connection; 53 out of connections, memory or disk; 57 shut down, starting or cancelled (57P01 … 57P03, 57014);
    // 58 its disk; 28 and 3D: authentication failure or no such database, which the operator fixes without a restart of
    // the gateway; 40 rolled back because of other transactions; 55P03 a lock held by another transaction; 55000 a
    // database that accepts no connections; 25006 a standby during failover.
    let passes =
        matches!(class, "08" | "53" | "57" | "58" | "28" | "3D" | "40") || matches!(code, "55P03" | "55000" | "25006");
    if passes { StoreError::Unavailable } else { StoreError::Query }
}

/// The same for SQLite, whose extended codes contain the primary code in the lowest byte.
fn kind_of_sqlite(code: &str) -> fn(Cause) -> StoreError {
    match code.parse::<u32>().map(|code| code & 0xff) {
        // BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL.
        Ok(5..=10 | 13..=15) => StoreError::Unavailable,
        // CORRUPT, NOTADB.
        Ok(11 | 26) => StoreError::Damaged,
        _ => StoreError::Query,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_the_server_are_no_faults_of_the_statement() {
        let of = |kind: fn(Cause) -> StoreError| kind(Cause(String::new()));
        for code in ["57P01", "57P02", "57P03", "53300", "08006", "40001", "40P01", "55P03", "28P01", "3D000", "55000"]
        {
            assert!(matches!(of(kind_of_postgres(code)), StoreError::Unavailable(_)), "{code}");
        }
        for code in ["23505", "23503", "42P01", "42601", ""] {
            assert!(matches!(of(kind_of_postgres(code)), StoreError::Query(_)), "{code}");
        }
        for code in ["5", "6", "7", "8", "261", "517", "778", "13"] {
            assert!(matches!(of(kind_of_sqlite(code)), StoreError::Unavailable(_)), "{code}");
        }
        for code in ["1", "787", "2067", "1555", ""] {
            assert!(matches!(of(kind_of_sqlite(code)), StoreError::Query(_)), "{code}");
        }
        for kind in [kind_of_postgres("XX001"), kind_of_postgres("XX002"), kind_of_sqlite("11"), kind_of_sqlite("779")]
        {
            assert!(matches!(of(kind), StoreError::Damaged(_)));
        }
        assert!(matches!(of(kind_of_sqlite("26")), StoreError::Damaged(_)));
    }

    #[test]
    fn an_older_program_names_the_version_to_start() {
        let said = |version| match StoreError::newer(version, "m9999_later") {
            StoreError::Newer(cause) => cause.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(said(Some("9.8.7")).starts_with("start version 9.8.7 or newer"));
        assert!(said(Some(env!("CARGO_PKG_VERSION"))).contains("m9999_later"));
        assert!(said(None).contains("m9999_later"));
    }
}
