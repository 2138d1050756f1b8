//! `GET /ready`: reports whether this process would serve requests now. Unlike `/health`, which reports whether the
//! process is alive, it may fail temporarily for reasons that a restart does not fix.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpResponse, http::header, web};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::{sync::Mutex, time::timeout};

use crate::{
    domain::{SharedClock, error_chain},
    session::Sessions,
    store::{Store, StoreError},
};

/// How long a verdict is cached: all probes together query the database once in this time.
const CACHE_TTL: TimeDelta = TimeDelta::seconds(1);
/// The timeout of a check. Probes time out after a few seconds, so a later answer is of no use.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the process is not ready after a call encountered damage in the database.
const DAMAGED_FOR: TimeDelta = TimeDelta::minutes(5);

/// The reasons why requests would not be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unready {
    Stopping,
    DatabaseUnavailable,
    DatabaseUnusable,
    DatabaseDamaged,
    DatabaseNotWritable,
    MigrationsPending,
    Standby,
}

type Verdict = Result<(), Unready>;

impl Unready {
    /// Returns the code, the message and the hint.
    fn description(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Stopping => ("stopping", "This process is stopping.", "Send requests to another process."),
            Self::DatabaseUnavailable => (
                "database_unavailable",
                "The gateway cannot reach its database.",
                "The gateway recovers by itself when the database is reachable again. Check the server in \
                 DATABASE_URL, or the disk of the database file.",
            ),
            Self::DatabaseUnusable => (
                "database_unusable",
                "The database is reachable, but its schema is not the gateway's.",
                "See the gateway's log for the cause, and compare with `migrate status`.",
            ),
            Self::DatabaseDamaged => (
                "database_damaged",
                "The database is damaged: calls cannot read the data that they need.",
                "Stop the gateway, run `ownerrez-gateway check`, and restore the database from a backup.",
            ),
            Self::DatabaseNotWritable => (
                "database_not_writable",
                "The database is reachable, but writes to it fail.",
                "The gateway recovers by itself when a write succeeds. Check for a full disk, a read-only file system, \
                 another program that locks the database, or a standby server. The log contains the error of the \
                 database.",
            ),
            Self::MigrationsPending => (
                "migrations_pending",
                "The database's schema is older than this program.",
                "Run `migrate up`, or restart the gateway, which does the same.",
            ),
            Self::Standby => (
                "standby",
                "This process is on standby; another instance is active, and this one takes over when it ends.",
                "To have every process ready, run one process per database, or set UPSTREAM_SHARED=true and give each \
                 a share.",
            ),
        }
    }
}

/// Determines whether this process is ready. Clones share the cached verdict.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    store: Store,
    sessions: Sessions,
    clock: SharedClock,
    stopping: Arc<AtomicBool>,
    last: Mutex<Option<(DateTime<Utc>, Verdict)>>,
    /// The number of calls that encountered damage up to the last check, and until when the process is not ready
    /// because of it.
    damage: std::sync::Mutex<(u64, Option<DateTime<Utc>>)>,
}

impl Readiness {
    /// Creates the check. `stopping` is set when the gateway stops.
    pub fn new(store: Store, sessions: Sessions, clock: SharedClock, stopping: Arc<AtomicBool>) -> Self {
        Self(Arc::new(Inner { store, sessions, clock, stopping, last: Mutex::new(None), damage: Default::default() }))
    }

    async fn verdict(&self) -> Verdict {
        let inner = &self.0;
        if inner.stopping.load(Ordering::Acquire) {
            return Err(Unready::Stopping);
        }
        // Held during the check, so that concurrent probes share its result.
        let mut last = inner.last.lock().await;
        if let Some((at, verdict)) = *last
            && inner.clock.now() < at + CACHE_TTL
        {
            return verdict;
        }
        let verdict = inner.probe().await;
        let before = last.replace((inner.clock.now(), verdict)).map(|(_, before)| before);
        match verdict {
            Err(reason) if before != Some(verdict) => log::warn!("not ready: {}", reason.description().1),
            Ok(()) if matches!(before, Some(Err(_))) => log::info!("ready again"),
            _ => {}
        }
        verdict
    }
}

impl Inner {
    /// Returns whether a call encountered damage in the last minutes. This ends by itself, since a database server may
    /// be repaired while this process runs.
    fn recently_damaged(&self) -> bool {
        let (now, met) = (self.clock.now(), self.store.calls_that_met_damage());
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        let (seen, until) = *damage;
        if met != seen {
            *damage = (met, Some(now + DAMAGED_FOR));
            return true;
        }
        until.is_some_and(|until| now < until)
    }

    async fn probe(&self) -> Verdict {
        let pending = timeout(PROBE_TIMEOUT, self.store.pending_migrations()).await;
        match pending.map_err(|_| Unready::DatabaseUnavailable)? {
            Ok(pending) if pending.is_empty() => {}
            Ok(_) => return Err(Unready::MigrationsPending),
            Err(error @ StoreError::Unavailable(_)) => {
                log::debug!("the database is unavailable: {}", error_chain(&error));
                return Err(Unready::DatabaseUnavailable);
            }
            Err(StoreError::Damaged(_)) => return Err(Unready::DatabaseDamaged),
            Err(error) => {
                log::error!("the database cannot be used: {}", error_chain(&error));
                return Err(Unready::DatabaseUnusable);
            }
        }
        if self.recently_damaged() {
            return Err(Unready::DatabaseDamaged);
        }
        match timeout(PROBE_TIMEOUT, self.store.prove_commit(self.clock.now())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                log::warn!("writes to the database fail: {}", error_chain(&error));
                return Err(Unready::DatabaseNotWritable);
            }
            Err(_) => return Err(Unready::DatabaseNotWritable),
        }
        let active = self.sessions.observe_allowance().await.ok_or(Unready::Stopping)?.active;
        if active { Ok(()) } else { Err(Unready::Standby) }
    }
}

/// `GET /ready`
pub(crate) async fn ready(readiness: web::Data<Readiness>) -> HttpResponse {
    match readiness.verdict().await {
        Ok(()) => {
            HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({"status": "ready"}))
        }
        Err(reason) => not_ready(reason.description()),
    }
}

/// Returns 503 with the code, the message and the hint.
pub(in crate::http) fn not_ready((code, message, hint): (&'static str, &'static str, &'static str)) -> HttpResponse {
    HttpResponse::ServiceUnavailable().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({
        "status": "not_ready", "reason": code, "error": "not_ready", "message": message, "hint": hint,
    }))
}
