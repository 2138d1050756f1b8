//! Invalidation: how a process learns that keys, grants or users were changed by another process, an operator command
//! or direct edits of the database. A cached key or grant is valid only while the process is known to receive
//! notifications of changes.
//!
//! On PostgreSQL triggers notify a channel. Every process sends its own notification every few seconds; receiving it
//! proves that the process still listens. A pooler that does not keep sessions, or a connection that failed silently,
//! does not pass this proof. On SQLite the database counts the writes of other connections.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, Statement,
    sqlx::postgres::{PgListener, PgPoolOptions},
};
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::{
    change_counter::{ChangeCounter, Generation},
    database::Store,
    database_target::DatabaseTarget,
    error::StoreError,
    postgres_options::postgres_options,
    timeouts::ACQUIRE_TIMEOUT,
};
use crate::domain::{SharedClock, error_chain};

/// The channel that the triggers of `api_keys`, `oauth_grants` and `users` notify. A migration contains it as well.
const CHANNEL: &str = "ownerrez_gateway_keys";
const HEARTBEAT_INTERVAL: TimeDelta = TimeDelta::seconds(3);
const RETRY: TimeDelta = TimeDelta::seconds(2);
/// How soon the gateway notices on SQLite what an operator command changed.
const POLL_INTERVAL: TimeDelta = TimeDelta::seconds(1);

/// Receives notifications of changes. Stops listening when dropped.
#[derive(Debug)]
pub struct InvalidationListener {
    change_counter: Arc<ChangeCounter>,
    task: AbortHandle,
}

impl InvalidationListener {
    /// Returns the current state; to be recorded before reading data that is to be cached.
    pub fn generation(&self) -> Generation {
        self.change_counter.generation()
    }

    /// Returns whether data read then is still valid. `false` also while changes cannot be received.
    pub fn is_current(&self, generation: Generation, now: DateTime<Utc>) -> bool {
        generation == self.generation() && now.timestamp_millis() < self.change_counter.trusted_until()
    }
}

impl InvalidationListener {
    /// Stops listening. From then on no cached data is valid.
    pub fn end(&self) {
        self.task.abort();
        self.change_counter.end_trust();
    }
}

/// A connection that receives changes. The validity of cached data ends with it, for whatever reason it ends: an error,
/// a panic, or the end of the task.
struct TrustGuard<'a>(&'a ChangeCounter);

impl Drop for TrustGuard<'_> {
    fn drop(&mut self) {
        self.0.end_trust();
    }
}

impl Drop for InvalidationListener {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts listening in the background.
pub fn listen_for_invalidations(store: &Store, target: &DatabaseTarget, clock: SharedClock) -> InvalidationListener {
    let change_counter = store.change_counter.clone();
    let (store, target) = (store.clone(), target.clone());
    let task = tokio::spawn(async move {
        match target {
            DatabaseTarget::Sqlite { .. } => poll_sqlite(&store, &clock).await,
            DatabaseTarget::Postgres { .. } => listen(&store, &target, &clock).await,
        }
    });
    InvalidationListener { change_counter, task: task.abort_handle() }
}

async fn poll_sqlite(store: &Store, clock: &SharedClock) {
    let _listening = TrustGuard(&store.change_counter);
    let (mut last, mut logged) = (None, false);
    loop {
        let now = clock.now();
        match store.data_version().await {
            Ok(version) => {
                logged = false;
                if last.replace(version).is_some_and(|last| last != version) {
                    store.change_counter.increment();
                }
                store.change_counter.trust_from(now);
            }
            Err(error) => {
                store.change_counter.end_trust();
                if !std::mem::replace(&mut logged, true) {
                    log::warn!("cannot detect API-key changes; falling back to a database lookup per request: {error}");
                }
            }
        }
        clock.sleep_until(now + POLL_INTERVAL).await;
    }
}

async fn listen(store: &Store, target: &DatabaseTarget, clock: &SharedClock) {
    let mut logged = false;
    loop {
        let mut confirmed = false;
        if let Err(error) = listen_once(store, target, clock, &mut confirmed).await {
            if confirmed {
                logged = false;
            }
            if !std::mem::replace(&mut logged, true) {
                // The likeliest cause, which only the operator can fix.
                let hint = match target {
                    DatabaseTarget::Postgres { direct_url: None, .. } => "; behind a pooler, set DATABASE_DIRECT_URL",
                    _ => "",
                };
                let why = error_chain(&error);
                log::warn!("cannot detect API-key changes; falling back to a database lookup per request: {why}{hint}");
            }
        }
        clock.sleep_until(clock.now() + RETRY).await;
    }
}

/// Listens until the connection ends. Sets `confirmed` once the connection is proven to receive changes.
async fn listen_once(
    store: &Store,
    target: &DatabaseTarget,
    clock: &SharedClock,
    confirmed: &mut bool,
) -> Result<(), StoreError> {
    let DatabaseTarget::Postgres { url, direct_url, .. } = target else { return Ok(()) };
    let change_counter = &store.change_counter;
    // A separate connection, so that the common pool does not lose one.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(postgres_options(direct_url.as_ref().unwrap_or(url))?);
    let mut listener = PgListener::connect_with(&pool).await.map_err(StoreError::from)?;
    listener.listen(CHANNEL).await.map_err(StoreError::from)?;
    let _listening = TrustGuard(change_counter);
    // Earlier changes may have been missed.
    change_counter.increment();
    let own_id = Uuid::new_v4().simple().to_string();
    let receive = async {
        // Not `recv`, which silently replaces a broken connection and misses the notifications sent meanwhile.
        while let Some(notice) = listener.try_recv().await.map_err(StoreError::from)? {
            let payload = notice.payload();
            match payload.split_once(' ') {
                Some((sender, sent)) if sender == own_id => {
                    if let Some(sent) = sent.parse().ok().and_then(DateTime::from_timestamp_millis) {
                        change_counter.trust_from(sent);
                        *confirmed = true;
                    }
                }
                Some(_) => {}
                None => change_counter.increment(),
            }
        }
        Err(StoreError::missed_heartbeat())
    };
    let heartbeat = async {
        loop {
            let now = clock.now();
            store.notify(CHANNEL, &format!("{own_id} {}", now.timestamp_millis())).await?;
            clock.sleep_until(now + HEARTBEAT_INTERVAL).await;
            if change_counter.trusted_until() <= clock.now().timestamp_millis() {
                return Err(StoreError::missed_heartbeat());
            }
        }
    };
    tokio::select! {
        outcome = receive => outcome,
        outcome = heartbeat => outcome,
    }
}

impl Store {
    /// Returns a number that changes when a connection other than the pool's only one has written to the SQLite file.
    async fn data_version(&self) -> Result<i64, StoreError> {
        let question = Statement::from_string(DbBackend::Sqlite, "PRAGMA data_version");
        self.run(async {
            let row = self.db.query_one_raw(question).await?;
            row.ok_or_else(|| DbErr::RecordNotFound("data_version".to_owned()))?.try_get_by_index(0)
        })
        .await
    }

    async fn notify(&self, channel: &str, payload: &str) -> Result<(), StoreError> {
        let values = [channel.into(), payload.into()];
        let notice = Statement::from_sql_and_values(DbBackend::Postgres, "SELECT pg_notify($1, $2)", values);
        self.run(self.db.execute_raw(notice)).await.map(drop)
    }
}
