//! The running services below the transports: the database, the sessions and the tools.

use std::{sync::Arc, time::Duration};

use actix_rt::Arbiter;
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::{StartError, cause, database_target, key_ring, seconds};
use crate::{
    catalog::Catalog,
    config::{CALLBACK_PATH, Config, Database, Transport},
    crypto::KeyRing,
    domain::SharedClock,
    http::{StartPhase, StartProgress},
    metrics::Metrics,
    outgoing::TlsTrust,
    session::{
        Allowance, AllowanceSettings, ResponseCache, SessionDeps, SessionSettings, Sessions, TokenEndpoint,
        UnsavedCount, acquire_share,
    },
    store::{Store, StoreError},
    tools::{CompositeTools, ConnectLinks, ConnectMode, Parts, Prompts, Resources, ToolSearch, Toolbox},
    upstream::{ClientCredentials, UpstreamSettings},
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
        // SQLite serves one process, so the lock is taken before the file is touched.
        let mut share = match &config.database {
            Database::Sqlite { path } => match acquire_share(&target, config.ownerrez.shared).await? {
                None => return Err(StartError::AlreadyRunning(path.display().to_string())),
                share => share,
            },
            Database::Postgres { .. } => None,
        };
        if let Some(unused) = &config.ownerrez.unused_redirect_uri {
            log::warn!(
                "OWNERREZ_REDIRECT_URI ({unused}) is the callback of the TypeScript server and is ignored; connected \
                 accounts stay connected. To connect new ones, register SERVER_URL followed by {CALLBACK_PATH} with \
                 your OAuth app"
            );
        }

        progress.enter(StartPhase::Database);
        let store = retry_until_available(&clock, async || {
            let store = Store::connect(&target).await?;
            store.ping().await?;
            Ok(store)
        })
        .await?;
        progress.enter(StartPhase::Migrations);
        retry_until_available(&clock, async || store.migrate_up().await).await?;
        progress.enter(StartPhase::Allowance);
        if share.is_none() {
            share = match acquire_share(&target, config.ownerrez.shared).await {
                Ok(share) => share,
                // The allowance retries this after the start.
                Err(StoreError::Unavailable(_)) => None,
                Err(error) => return Err(error.into()),
            };
        }

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
        let links = ConnectLinks {
            store: store.clone(),
            clock,
            public_url: config.server.public_url(port),
            mode: match config.transport {
                Transport::Stdio(_) | Transport::SingleUser { .. } => ConnectMode::SingleAccount,
                _ if config.ownerrez.client.is_some() => ConnectMode::OauthApp,
                _ => ConnectMode::Unavailable,
            },
            life: TimeDelta::minutes(i64::from(config.connect.link_minutes)),
            open_at_once: config.connect.open_links_per_user as u64,
        };
        let parts = Parts {
            catalog,
            composite_tools,
            tool_search,
            resources,
            prompts,
            sessions: sessions.clone(),
            links: links.clone(),
            ring: ring.clone(),
            app_url: config.ownerrez.app_url.clone(),
            metrics: metrics.clone(),
        };
        let toolbox = Toolbox::new(parts);
        Ok(Self { store, sessions, toolbox, links, metrics, ring })
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

pub(super) fn upstream_settings(config: &Config, bound_port: u16) -> UpstreamSettings {
    let client = config
        .ownerrez
        .client
        .as_ref()
        .map(|client| ClientCredentials { id: client.id.clone(), secret: client.secret.clone() });
    UpstreamSettings {
        api_url: config.ownerrez.api_url.clone(),
        client,
        redirect_uri: config.ownerrez.send_redirect_uri.then(|| config.redirect_uri(bound_port)),
        connect_timeout: Duration::from_secs(u64::from(config.sessions.connect_timeout_seconds)),
        answer_timeout: seconds(config.sessions.upstream_timeout_seconds),
        answer_limit: config.sessions.answer_limit_bytes,
        tls: TlsTrust::public(),
    }
}

fn session_settings(config: &Config) -> SessionSettings {
    SessionSettings {
        call_deadline: seconds(config.sessions.call_deadline_seconds),
        queue_depth: config.sessions.queue_depth,
        idle: seconds(config.sessions.idle_seconds),
        background_jobs_every: seconds(config.sessions.renewal_sweep_seconds),
        unconnected_for: Some(config.registration.unconnected_days)
            .filter(|days| *days > 0)
            .map(|days| TimeDelta::days(i64::from(days))),
    }
}
