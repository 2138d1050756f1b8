//! The running services below the transports: the database, the sessions and the tools.

use std::sync::Arc;

use actix_rt::Arbiter;
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::{
    database::database_target,
    error_cause::cause,
    key_ring::key_ring,
    session_settings::{session_settings, upstream_settings},
    start_error::StartError,
};
use crate::{
    catalog::Catalog,
    config::{CALLBACK_PATH, Config, Database, Transport},
    crypto::KeyRing,
    domain::SharedClock,
    http::{StartPhase, StartProgress},
    metrics::Metrics,
    session::{
        Allowance, AllowanceSettings, ResponseCache, SessionDeps, Sessions, Share, TokenEndpoint, UnsavedCount,
        acquire_share,
    },
    store::{DatabaseTarget, Store, StoreError},
    tools::{CompositeTools, ConnectLinks, ConnectMode, Prompts, Resources, ToolDeps, ToolSearch, ToolTables, Toolbox},
};

/// Pause between two attempts to reach an unavailable database at the start.
const DATABASE_RETRY: TimeDelta = TimeDelta::seconds(2);

/// The services that a transport is built on.
pub(super) struct Services {
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) toolbox: Toolbox,
    pub(super) links: ConnectLinks,
    pub(super) metrics: Arc<Metrics>,
    /// Encrypts tokens and signs forms and access tokens.
    pub(super) ring: Arc<KeyRing>,
}

impl Services {
    /// Opens the database, migrates it and starts the actors. Waits without limit for a database that is unavailable,
    /// and records in `progress` what it waits for. `port` is the one under which users reach the gateway; links
    /// contain it.
    pub(super) async fn start(
        config: &Config,
        clock: SharedClock,
        port: u16,
        progress: &StartProgress,
    ) -> Result<Self, StartError> {
        let catalog = Catalog::embedded()?;
        let composite_tools = CompositeTools::embedded()?;
        let tool_search = ToolSearch::embedded(&catalog)?;
        let ring = Arc::new(key_ring(config)?);
        let resources = Resources::embedded(&catalog)?;
        let prompts = Prompts::embedded(&resources)?;
        let target = database_target(config);
        let share = sqlite_share(config, &target).await?;
        warn_of_unused_redirect_uri(config);

        let store = migrated_store(&target, &clock, progress).await?;
        progress.enter(StartPhase::Allowance);
        let share = match share {
            Some(share) => Some(share),
            None => free_share(config, &target).await?,
        };

        let metrics = Arc::new(Metrics::new());
        let control = Arbiter::new().handle();
        let allowance = AllowanceSettings {
            database: target,
            limit: config.ownerrez.request_limit,
            shared: config.ownerrez.shared,
        };
        let allowance = Allowance::start(&control, allowance, store.clone(), clock.clone(), metrics.clone(), share);
        allowance.ready().await;
        let deps = SessionDeps {
            allowance,
            store: store.clone(),
            upstream: Arc::new(upstream_settings(config, port)),
            settings: session_settings(config),
            response_cache: ResponseCache::new(config.sessions.recent_answers_bytes),
            clock: clock.clone(),
            ring: ring.clone(),
            metrics: metrics.clone(),
            token_endpoint: TokenEndpoint::default(),
            unsaved: UnsavedCount::default(),
            stop: CancellationToken::new(),
        };
        let sessions = Sessions::start(&control, deps);
        let links = connect_links(config, store.clone(), clock.clone(), port);
        let tables = ToolTables { composite_tools, tool_search, resources, prompts };
        let deps = ToolDeps {
            catalog,
            sessions: sessions.clone(),
            store: store.clone(),
            clock,
            links: links.clone(),
            ring: ring.clone(),
            app_url: config.ownerrez.app_url.clone(),
            metrics: metrics.clone(),
        };
        let toolbox = Toolbox::new(tables, deps);
        Ok(Self { store, sessions, toolbox, links, metrics, ring })
    }
}

/// Acquires the lock of an SQLite database; `None` for PostgreSQL. SQLite serves one process, so the lock is taken
/// before the file is touched.
async fn sqlite_share(config: &Config, target: &DatabaseTarget) -> Result<Option<Share>, StartError> {
    match &config.database {
        Database::Sqlite { path } => match acquire_share(target, config.ownerrez.shared).await? {
            None => Err(StartError::AlreadyRunning(path.display().to_string())),
            share => Ok(share),
        },
        Database::Postgres { .. } => Ok(None),
    }
}

/// Acquires the lock of a share of the allowance, if one is free and the database is available.
async fn free_share(config: &Config, target: &DatabaseTarget) -> Result<Option<Share>, StoreError> {
    match acquire_share(target, config.ownerrez.shared).await {
        // The allowance retries this after the start.
        Err(StoreError::Unavailable(_)) => Ok(None),
        outcome => outcome,
    }
}

fn warn_of_unused_redirect_uri(config: &Config) {
    if let Some(unused) = &config.ownerrez.unused_redirect_uri {
        log::warn!(
            "OWNERREZ_REDIRECT_URI ({unused}) is the callback of the TypeScript server and is ignored; connected \
             accounts stay connected. To connect new ones, register SERVER_URL followed by {CALLBACK_PATH} with \
             your OAuth app"
        );
    }
}

/// Opens the database and migrates it, as soon as it is available.
async fn migrated_store(
    target: &DatabaseTarget,
    clock: &SharedClock,
    progress: &StartProgress,
) -> Result<Store, StoreError> {
    progress.enter(StartPhase::Database);
    let store = retry_until_available(clock, async || {
        let store = Store::connect(target).await?;
        store.ping().await?;
        Ok(store)
    })
    .await?;
    progress.enter(StartPhase::Migrations);
    retry_until_available(clock, async || store.migrate_up().await).await?;
    Ok(store)
}

fn connect_links(config: &Config, store: Store, clock: SharedClock, port: u16) -> ConnectLinks {
    ConnectLinks {
        store,
        clock,
        public_url: config.server.public_url(port),
        mode: match config.transport {
            Transport::Stdio(_) | Transport::SingleUser { .. } => ConnectMode::SingleAccount,
            _ if config.ownerrez.client.is_some() => ConnectMode::OauthApp,
            _ => ConnectMode::Unavailable,
        },
        life: TimeDelta::minutes(i64::from(config.connect.link_minutes)),
        open_at_once: config.connect.open_links_per_user as u64,
    }
}

/// Repeats work that needs the database until the database is available.
async fn retry_until_available<T>(
    clock: &SharedClock,
    work: impl AsyncFn() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut warned = false;
    loop {
        match work().await {
            Err(away @ StoreError::Unavailable(_)) => {
                if !std::mem::replace(&mut warned, true) {
                    log::warn!("waiting for the database: {}", cause(&away));
                }
            }
            outcome => {
                if warned && outcome.is_ok() {
                    log::info!("the database is available; startup continues");
                }
                return outcome;
            }
        }
        clock.sleep_until(clock.now() + DATABASE_RETRY).await;
    }
}
