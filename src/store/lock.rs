//! The process lock: one process per database and slot.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    time::Duration,
};

use sea_orm::sqlx::{self, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{sync::Mutex, time::timeout};

use super::{
    database_target::DatabaseTarget, error::StoreError, postgres_options::postgres_options,
    private_file::create_private_file, timeouts::ACQUIRE_TIMEOUT,
};

/// First half of the keys of the gateway's advisory locks. Advisory locks are per database; these numbers separate the
/// gateway's kinds of locks from each other and, most likely, from those of other programs in the same database.
const PROCESS_SPACE: i32 = 0x6f72_6770;
pub(super) const MIGRATION_SPACE: i32 = 0x6f72_676d;
pub(super) const CHECK_SPACE: i32 = 0x6f72_6763;

/// The time limit of every request of the lock to the server.
const ANSWER_TIMEOUT: Duration = ACQUIRE_TIMEOUT;

/// The lock of the one process that may use a slot of this database; released when dropped, and when the process dies.
#[derive(Debug)]
pub struct ProcessLock(LockHandle);

#[derive(Debug)]
enum LockHandle {
    /// The kernel's lock on a file next to the database. It lasts as long as the file is open.
    File(#[expect(dead_code, reason = "held open, never read")] File),
    /// A session-level advisory lock. It lasts as long as this connection, which is never replaced by a new one.
    Session { connection: Mutex<PgConnection>, slot: i32 },
}

impl ProcessLock {
    /// Takes the lock. Returns `None` if another process has it. On SQLite there is one lock for all slots, since only
    /// one process runs.
    pub async fn try_acquire(target: &DatabaseTarget, slot: i32) -> Result<Option<ProcessLock>, StoreError> {
        match target {
            DatabaseTarget::Sqlite { path } => {
                lock_file_next_to(path).map(|file| file.map(LockHandle::File).map(ProcessLock))
            }
            DatabaseTarget::Postgres { url, direct_url, .. } => {
                let options = postgres_options(direct_url.as_ref().unwrap_or(url))?;
                answered(open_session(options, slot))
                    .await
                    .map(|acquired| {
                        acquired.map(|connection| LockHandle::Session { connection: Mutex::new(connection), slot })
                    })
                    .map(|acquired| acquired.map(ProcessLock))
            }
        }
    }

    /// Returns whether this process still has the lock. `false` also if the server does not respond: its side of the
    /// connection may be gone, and the lock with it.
    pub async fn is_held(&self) -> bool {
        match &self.0 {
            LockHandle::File(_) => true,
            LockHandle::Session { connection, slot } => {
                answered(async { still_locked(&mut *connection.lock().await, *slot).await }).await.unwrap_or(false)
            }
        }
    }

    /// Releases the lock and waits for the server's confirmation, so that a successor can take it at once.
    pub async fn release(self) -> Result<(), StoreError> {
        match self.0 {
            LockHandle::File(_) => Ok(()),
            LockHandle::Session { connection, .. } => answered(connection.into_inner().close()).await,
        }
    }
}

pub(super) async fn answered<T>(question: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match timeout(ANSWER_TIMEOUT, question).await {
        Ok(answer) => answer.map_err(StoreError::from),
        Err(_) => Err(StoreError::timed_out(ANSWER_TIMEOUT)),
    }
}

async fn open_session(options: PgConnectOptions, slot: i32) -> Result<Option<PgConnection>, sqlx::Error> {
    let mut connection = PgConnection::connect_with(&options).await?;
    // If this machine vanishes, the server should notice within about a minute, not after the two hours of the kernel's
    // default, because until then no other process can take the lock.
    for setting in ["tcp_keepalives_idle = 20", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3"] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SET {setting}"))).execute(&mut connection).await?;
    }
    let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)")
        .bind(PROCESS_SPACE)
        .bind(slot)
        .fetch_one(&mut connection)
        .await?;
    if taken {
        return Ok(Some(connection));
    }
    connection.close().await?;
    Ok(None)
}

async fn still_locked(connection: &mut PgConnection, slot: i32) -> Result<bool, sqlx::Error> {
    // pg_locks shows both halves as unsigned numbers (oid); both are positive here unless the slot is negative.
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() \
         AND classid::bigint = $1 AND objid::bigint = $2 AND objsubid = 2)",
    )
    .bind(i64::from(PROCESS_SPACE))
    .bind(i64::from(slot.cast_unsigned()))
    .fetch_one(connection)
    .await
}

fn lock_file_next_to(database: &Path) -> Result<Option<File>, StoreError> {
    // Next to the file itself, not next to a link to it, so that all names of one database share one lock.
    let mut path = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    path.push(".lock");
    let path = Path::new(&path);
    let cannot = |error| StoreError::target(format!("{} cannot be used: {error}", path.display()));
    create_private_file(path).map_err(cannot)?;
    let file = OpenOptions::new().write(true).open(path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}
