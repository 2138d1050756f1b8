//! The database: PostgreSQL, or SQLite for a single process. Only this module uses sea_orm and the entities.
//!
//! Rules of this module:
//! - Every method takes the user id first and returns "not found" (`None`, `false`) for rows of other users. Exceptions
//!   are lookups by a credential (key prefix, state, code, token) and the background sweeps.
//! - `now` is a parameter, and callers supply all times; nothing here reads a clock.
//! - Tokens are passed in and returned encrypted.
//! - A change that several processes may attempt at the same time is one statement whose filter contains the expected
//!   state, or a short transaction. No transaction waits for anything but the database.

mod account;
mod admin;
mod allowance;
mod callback_states;
mod connections;
mod damage;
mod deleted_clients;
mod drop_in_runtime;
mod error;
mod grants;
mod invalidation;
mod keys;
mod last_uses;
mod legacy_keys;
mod links;
mod lock;
mod migrate;
mod pool;
mod pooler;
mod refresh;
mod refusal_detector;
mod revalidating_cache;
mod revocations;
mod sign_in;
mod single_account;
mod stale_users;
mod state;
#[cfg(test)]
mod tests;
mod usage;
mod users;
mod writes;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait, sqlx::postgres::PgConnectOptions,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;

use self::{
    damage::Damage, drop_in_runtime::DropInRuntime, invalidation::ChangeCounter, refusal_detector::RefusalDetector,
};

pub use account::{KeyMoved, NewSession};
pub use admin::{ConnectionOverview, IdentityOverview, SealedRow, SealedTable, UserOverview};
pub use callback_states::{CallbackState, FirstReturn};
pub use connections::{Connection, SealedGrant, SealedTokens};
pub use error::{Cause, StoreError};
pub use grants::{NewGrant, Redemption, StoredCode, StoredGrant};
pub use invalidation::{Generation, InvalidationListener, listen_for_invalidations};
pub use keys::{KEY_NAME_LIMIT, KeyAdded, KeyRemoved, NewKey, StoredKey};
pub use last_uses::{LastUses, UsedCredential};
pub use legacy_keys::LEGACY_KEY_CANDIDATES;
pub use links::{ConnectLink, NewConnectLink};
pub use lock::ProcessLock;
pub use pooler::{PoolMode, detect_pool_mode, is_one_database};
pub use refresh::{FirstRefresh, KnownRefresh, NewSuccessor, Rotated};
pub use revalidating_cache::{CacheLookup, RevalidatingCache};
pub use revocations::PendingRevocation;
pub use sign_in::{AccountAccess, NewSignIn};
pub use stale_users::IN_USE_FOR;
pub use usage::Used;
pub use writes::{Claim, NewWrite, SettledWrite, WriteRecord};

/// How long a call waits for a free connection, and so how long it takes to notice an unavailable database.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The total time that a call may take. Without it, callers of a database whose machine vanished would wait for as long
/// as the kernel retransmits.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long SQLite waits for another process (an operator command) to finish its write.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The location of the database.
#[derive(Clone, Debug)]
pub enum DatabaseTarget {
    /// A file. It is created if missing, together with its directory.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A server.
    Postgres {
        /// `postgres://…`, including the password.
        url: SecretString,
        /// The URL of the same server without the pooler that `url` may go through.
        direct_url: Option<SecretString>,
        /// The maximum number of connections that this process opens for its calls; locks use separate ones.
        max_connections: u32,
    },
}

/// The database. Cheap to clone; all clones share one pool.
#[derive(Clone, Debug)]
pub struct Store {
    db: DatabaseConnection,
    /// Connections that bypass the pooler, if `db` goes through one.
    direct: Option<DatabaseConnection>,
    /// Detects that the server behind `db` refuses connections; PostgreSQL only.
    refusal_detector: Option<Arc<RefusalDetector>>,
    change_counter: Arc<ChangeCounter>,
    damage: Arc<Damage>,
    /// The runtime on which connections are returned to the pool.
    runtime: Handle,
}

impl Store {
    /// Opens the database. SQLite is opened immediately, PostgreSQL on the first call, so that the process can start
    /// while the server is unavailable.
    pub async fn connect(target: &DatabaseTarget) -> Result<Store, StoreError> {
        // The pools are built here instead of by sea_orm's `Database::connect`, which puts the whole URL, including the
        // password, into its error text and into a trace span.
        let (mut direct, mut refusal_detector) = (None, None);
        let change_counter = Arc::<ChangeCounter>::default();
        let db = match target {
            DatabaseTarget::Sqlite { path } => {
                create_private_file(path)
                    .map_err(|error| StoreError::target(format!("{} cannot be used: {error}", path.display())))?;
                pool::sqlite_pool(path, change_counter.clone()).await?
            }
            DatabaseTarget::Postgres { url, direct_url, max_connections } => {
                direct = direct_url
                    .as_ref()
                    .map(postgres_options)
                    .transpose()?
                    .map(|options| pool::postgres_pool(options, 1));
                let options = postgres_options(url)?;
                refusal_detector = Some(Arc::new(RefusalDetector::new(options.clone())));
                pool::postgres_pool(options, (*max_connections).max(1))
            }
        };
        Ok(Store { db, direct, refusal_detector, change_counter, damage: Arc::default(), runtime: Handle::current() })
    }

    /// Checks that the database responds.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.run(self.db.ping()).await
    }

    /// Closes the pool once its calls are done. Later calls, also through clones, return `Unavailable`.
    pub async fn close(&self) -> Result<(), StoreError> {
        if let Some(direct) = &self.direct {
            self.run(direct.close_by_ref()).await?;
        }
        self.run(self.db.close_by_ref()).await
    }

    /// Runs a call to the database with a time limit and classifies its error. Every call goes through this function.
    async fn run<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, StoreError> {
        let bounded = tokio::time::timeout(CALL_TIMEOUT, self.watch(work));
        let outcome = DropInRuntime::new(&self.runtime, bounded).await;
        let outcome = outcome.unwrap_or_else(|_| Err(StoreError::timed_out(CALL_TIMEOUT)));
        if let Err(StoreError::Damaged(cause)) = &outcome {
            self.damage.note(cause);
        }
        outcome
    }

    /// Ends a call early that waits for a connection while the server refuses connections.
    async fn watch<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, StoreError> {
        match &self.refusal_detector {
            Some(refusal_detector) => refusal_detector.watch(work).await,
            None => work.await.map_err(StoreError::from),
        }
    }

    /// Starts a transaction that may write. A transaction that is dropped without commit is rolled back.
    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        begin(&self.db).await
    }
}

async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    // On SQLite a deferred transaction that first reads and then writes fails at once, without waiting, if another
    // process has written in between; an immediate one waits at its start. PostgreSQL ignores this option.
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let db = db.clone();
    // Runs in a separate task, because it must not be cancelled when the caller is dropped: sqlx 0.9 forgets a BEGIN
    // that was sent and not yet answered, and returns the connection to the pool with that transaction open. Later
    // writes on that connection would seem to succeed and be rolled back eventually.
    match tokio::spawn(refusal_detector::of_this_call(async move { db.begin_with_options(options).await })).await {
        Ok(transaction) => transaction,
        Err(error) => Err(DbErr::Conn(RuntimeErr::Internal(error.to_string()))),
    }
}

fn postgres_options(url: &SecretString) -> Result<PgConnectOptions, StoreError> {
    match url.expose_secret().parse::<PgConnectOptions>() {
        // Poolers reject this parameter by default. It affects only numbers in text form, which the gateway never
        // reads.
        Ok(options) => Ok(options.application_name("ownerrez-gateway").extra_float_digits(None)),
        // The error is left out: it may quote parts of the URL.
        Err(_) => Err(StoreError::target("the PostgreSQL URL cannot be parsed".to_owned())),
    }
}

/// Creates the file if it is missing, readable only by the gateway's account. SQLite gives the files that it creates
/// next to it the same permissions.
fn create_private_file(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(directory)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
