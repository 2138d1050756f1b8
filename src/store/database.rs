//! The handle to the database, and the one function that every call goes through.

use std::sync::Arc;

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::runtime::Handle;

use super::{
    change_counter::ChangeCounter,
    damage::Damage,
    database_target::DatabaseTarget,
    drop_in_runtime::DropInRuntime,
    error::StoreError,
    pool::{postgres_pool, sqlite_pool},
    postgres_options::postgres_options,
    private_file::create_private_file,
    refusal_detector::{RefusalDetector, of_this_call},
    timeouts::CALL_TIMEOUT,
};

/// The database. Cheap to clone; all clones share one pool.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) db: DatabaseConnection,
    /// Connections that bypass the pooler, if `db` goes through one.
    pub(super) direct: Option<DatabaseConnection>,
    /// Detects that the server behind `db` refuses connections; PostgreSQL only.
    refusal_detector: Option<Arc<RefusalDetector>>,
    pub(super) change_counter: Arc<ChangeCounter>,
    pub(super) damage: Arc<Damage>,
    /// The runtime on which connections are returned to the pool.
    pub(super) runtime: Handle,
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
                sqlite_pool(path, change_counter.clone()).await?
            }
            DatabaseTarget::Postgres { url, direct_url, max_connections } => {
                direct =
                    direct_url.as_ref().map(postgres_options).transpose()?.map(|options| postgres_pool(options, 1));
                let options = postgres_options(url)?;
                refusal_detector = Some(Arc::new(RefusalDetector::new(options.clone())));
                postgres_pool(options, (*max_connections).max(1))
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
    pub(super) async fn run<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, StoreError> {
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
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        begin(&self.db).await
    }
}

/// Starts a transaction that may write, on this database.
pub(super) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
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
    match tokio::spawn(of_this_call(async move { db.begin_with_options(options).await })).await {
        Ok(transaction) => transaction,
        Err(error) => Err(DbErr::Conn(RuntimeErr::Internal(error.to_string()))),
    }
}
