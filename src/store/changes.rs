//! Invalidation: how a process learns that keys, grants or users were changed by another process, an operator command
//! or direct edits of the database. A cached key or grant is valid only while the process is known to receive
//! notifications of changes.
//!
//! On PostgreSQL triggers notify a channel. Every process sends its own notification every few seconds; receiving it
//! proves that the process still listens. A pooler that does not keep sessions, or a connection that failed silently,
//! does not pass this proof. On SQLite the database counts the writes of other connections.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, Statement,
    sqlx::postgres::{PgListener, PgPoolOptions},
};
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::{ACQUIRE_TIMEOUT, DatabaseTarget, Store, StoreError, postgres_options};
use crate::domain::{SharedClock, chain};

/// The channel that the triggers of `api_keys`, `oauth_grants` and `users` notify. A migration contains it as well.
const CHANNEL: &str = "ownerrez_gateway_keys";
const BEAT_EVERY: TimeDelta = TimeDelta::seconds(3);
/// How long a proof of listening is valid if the connection fails silently. If the connection ends, validity ends at
/// once ([`Listening`]).
const TRUST: TimeDelta = TimeDelta::seconds(10);
const RETRY: TimeDelta = TimeDelta::seconds(2);
/// How soon the gateway notices on SQLite what an operator command changed.
const LOOK_EVERY: TimeDelta = TimeDelta::seconds(1);

/// Receives notifications of changes. Stops listening when dropped.
#[derive(Debug)]
pub struct ChangeWatch {
    heard: Arc<Heard>,
    task: AbortHandle,
}

/// The state of a process about changes. Part of the store, because the store records the changes of this process
/// itself.
#[derive(Debug, Default)]
pub(super) struct Heard {
    changes: AtomicU64,
    /// Milliseconds of Unix time.
    good_until: AtomicI64,
}

/// The number of changes known at some moment: data that was read from the database afterwards is at least as new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen(u64);

impl Heard {
    /// Invalidates everything that was read before.
    pub(super) fn change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn listens_at(&self, at: DateTime<Utc>) {
        self.good_until.fetch_max((at + TRUST).timestamp_millis(), Ordering::AcqRel);
    }

    /// Marks that changes may be missed from now on.
    fn stops_listening(&self) {
        self.good_until.store(i64::MIN, Ordering::Release);
    }

    fn good_until(&self) -> i64 {
        self.good_until.load(Ordering::Acquire)
    }
}

impl ChangeWatch {
    /// Returns the current state; to be recorded before reading data that is to be cached.
    pub fn seen(&self) -> Seen {
        Seen(self.heard.changes.load(Ordering::Acquire))
    }

    /// Returns whether data read then is still valid. `false` also while changes cannot be received.
    pub fn vouches_for(&self, seen: Seen, now: DateTime<Utc>) -> bool {
        seen == self.seen() && now.timestamp_millis() < self.heard.good_until()
    }
}

impl ChangeWatch {
    /// Stops listening. From then on no cached data is valid.
    pub fn end(&self) {
        self.task.abort();
        self.heard.stops_listening();
    }
}

/// A connection that receives changes. The validity of cached data ends with it, for whatever reason it ends: an error,
/// a panic, or the end of the task.
struct Listening<'a>(&'a Heard);

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.stops_listening();
    }
}

impl Drop for ChangeWatch {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts listening in the background.
pub fn watch_changes(store: &Store, target: &DatabaseTarget, clock: SharedClock) -> ChangeWatch {
    let heard = store.heard.clone();
    let (store, target) = (store.clone(), target.clone());
    let task = tokio::spawn(async move {
        match target {
            DatabaseTarget::Sqlite { .. } => look(&store, &clock).await,
            DatabaseTarget::Postgres { .. } => listen(&store, &target, &clock).await,
        }
    });
    ChangeWatch { heard, task: task.abort_handle() }
}

async fn look(store: &Store, clock: &SharedClock) {
    let _listening = Listening(&store.heard);
    let (mut last, mut told) = (None, false);
    loop {
        let now = clock.now();
        match store.data_version().await {
            Ok(version) => {
                told = false;
                if last.replace(version).is_some_and(|last| last != version) {
                    store.heard.change();
                }
                store.heard.listens_at(now);
            }
            Err(error) => {
                store.heard.stops_listening();
                if !std::mem::replace(&mut told, true) {
                    log::warn!("cannot detect API-key changes; falling back to a database lookup per request: {error}");
                }
            }
        }
        clock.sleep_until(now + LOOK_EVERY).await;
    }
}

async fn listen(store: &Store, target: &DatabaseTarget, clock: &SharedClock) {
    let mut told = false;
    loop {
        let mut proven = false;
        if let Err(error) = listen_once(store, target, clock, &mut proven).await {
            if proven {
                told = false;
            }
            if !std::mem::replace(&mut told, true) {
                // The likeliest cause, which only the operator can fix.
                let hint = match target {
                    DatabaseTarget::Postgres { direct_url: None, .. } => "; behind a pooler, set DATABASE_DIRECT_URL",
                    _ => "",
                };
                let why = chain(&error);
                log::warn!("cannot detect API-key changes; falling back to a database lookup per request: {why}{hint}");
            }
        }
        clock.sleep_until(clock.now() + RETRY).await;
    }
}

/// Listens until the connection ends. Sets `proven` once the connection is proven to receive changes.
async fn listen_once(
    store: &Store,
    target: &DatabaseTarget,
    clock: &SharedClock,
    proven: &mut bool,
) -> Result<(), StoreError> {
    let DatabaseTarget::Postgres { url, direct_url, .. } = target else { return Ok(()) };
    let heard = &store.heard;
    // A separate connection, so that the common pool does not lose one.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(postgres_options(direct_url.as_ref().unwrap_or(url))?);
    let mut listener = PgListener::connect_with(&pool).await.map_err(StoreError::from)?;
    listener.listen(CHANNEL).await.map_err(StoreError::from)?;
    let _listening = Listening(heard);
    // Earlier changes may have been missed.
    heard.change();
    let myself = Uuid::new_v4().simple().to_string();
    let hear = async {
        // Not `recv`, which silently replaces a broken connection and misses the notifications sent meanwhile.
        while let Some(notice) = listener.try_recv().await.map_err(StoreError::from)? {
            let word = notice.payload();
            match word.split_once(' ') {
                Some((who, sent)) if who == myself => {
                    if let Some(sent) = sent.parse().ok().and_then(DateTime::from_timestamp_millis) {
                        heard.listens_at(sent);
                        *proven = true;
                    }
                }
                Some(_) => {}
                None => heard.change(),
            }
        }
        Err(StoreError::silent())
    };
    let beat = async {
        loop {
            let now = clock.now();
            store.say(CHANNEL, &format!("{myself} {}", now.timestamp_millis())).await?;
            clock.sleep_until(now + BEAT_EVERY).await;
            if heard.good_until() <= clock.now().timestamp_millis() {
                return Err(StoreError::silent());
            }
        }
    };
    tokio::select! {
        outcome = hear => outcome,
        outcome = beat => outcome,
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

    async fn say(&self, channel: &str, word: &str) -> Result<(), StoreError> {
        let values = [channel.into(), word.into()];
        let notice = Statement::from_sql_and_values(DbBackend::Postgres, "SELECT pg_notify($1, $2)", values);
        self.run(self.db.execute_raw(notice)).await.map(drop)
    }
}
