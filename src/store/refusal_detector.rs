//! Detection of a PostgreSQL server that refuses connections.
//!
//! While nothing listens at the server's address, or while the server is starting, sqlx's pool retries for as long as a
//! call may wait for a connection (five seconds). So a call without a connection after a short time checks the server
//! here, and fails at once if the server refuses connections. While the server accepts connections, the call keeps
//! waiting: then the pool is busy.

use std::{
    fmt, io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_orm::{
    DbErr,
    sqlx::{self, Connection, PgConnection, postgres::PgConnectOptions},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{error::StoreError, timeouts::ACQUIRE_TIMEOUT};

/// How long a call waits for a connection before it checks whether the server refuses them.
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// The interval of further checks.
const NEXT_LOOK: Duration = Duration::from_secs(1);
/// How long the result of a check is reused for other calls.
const GOOD_FOR: Duration = Duration::from_millis(250);
/// The server is starting or stopping (`cannot_connect_now`).
const CANNOT_CONNECT_NOW: &str = "57P03";

tokio::task_local! {
    /// Whether the call of this task has had no connection yet. The pool's hooks run within the waiting task.
    static UNCONNECTED: Arc<AtomicBool>;
}

/// Records that the call of this task has a connection.
pub(super) fn note_connection() {
    // A connection that the pool opens by itself belongs to no call.
    let _ = UNCONNECTED.try_with(|unconnected| unconnected.store(false, Ordering::Release));
}

/// Makes a future part of the call of this task, for use in a separate task.
pub(super) fn of_this_call<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let unconnected = UNCONNECTED.try_with(Arc::clone).unwrap_or_default();
    UNCONNECTED.scope(unconnected, work)
}

/// Checks one server, for all calls together.
pub(super) struct RefusalDetector {
    options: PgConnectOptions,
    last: Mutex<Option<(Instant, bool)>>,
}

impl fmt::Debug for RefusalDetector {
    /// Shows nothing of the options, which contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals").finish_non_exhaustive()
    }
}

impl RefusalDetector {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, last: Mutex::default() }
    }

    /// Runs a call, and ends it early while it has no connection and the server refuses connections. Nothing was sent
    /// then.
    pub(super) async fn watch<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, StoreError> {
        let unconnected = Arc::new(AtomicBool::new(true));
        let mut work = pin!(UNCONNECTED.scope(unconnected.clone(), work));
        let mut pause = FIRST_LOOK;
        loop {
            if let Ok(outcome) = timeout(pause, &mut work).await {
                return outcome.map_err(StoreError::from);
            }
            pause = NEXT_LOOK;
            if !unconnected.load(Ordering::Acquire) {
                return work.await.map_err(StoreError::from);
            }
            tokio::select! {
                outcome = &mut work => return outcome.map_err(StoreError::from),
                refused = self.refuses() => if refused && unconnected.load(Ordering::Acquire) {
                    return Err(StoreError::connection_refused());
                },
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the result of a check is valid for a real time")]
    async fn refuses(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, refused)) = *last
            && at.elapsed() < GOOD_FOR
        {
            return refused;
        }
        let refused = match timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(&self.options)).await {
            Ok(Ok(connection)) => {
                let _ = timeout(ACQUIRE_TIMEOUT, connection.close()).await;
                false
            }
            Ok(Err(sqlx::Error::Io(error))) => error.kind() == io::ErrorKind::ConnectionRefused,
            Ok(Err(sqlx::Error::Database(error))) => error.code().is_some_and(|code| code == CANNOT_CONNECT_NOW),
            // On any other error the pool does not retry.
            Ok(Err(_)) | Err(_) => false,
        };
        *last = Some((Instant::now(), refused));
        refused
    }
}
