//! Startup and shutdown: builds a running gateway from the configuration, and stops it in an orderly way.

mod clock;
mod commands;
mod healthcheck;
mod logging;
mod metrics_server;
mod sandbox_gateway;
mod server_settings;
mod services;
mod single_account;
mod starting;
mod stdio;
mod stop_signals;

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{
    App as ActixApp,
    dev::ServerHandle,
    http::header,
    middleware::{Condition, DefaultHeaders, from_fn},
};
use chrono::TimeDelta;
use futures_util::future::{Either, select};
use secrecy::{ExposeSecret, SecretBox};
use socket2::SockRef;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use url::Url;

pub use clock::SystemClock;
pub use commands::{
    CheckReport, CommandError, MigrateCommand, ProbeAs, ProbeError, ResealProgress, Resealed, UsersCommand, check,
    probe, reseal, reseal_all, run_migrate_command, run_users_command,
};
pub use healthcheck::check_health;
pub use logging::start_logging;
pub use sandbox_gateway::{SandboxGateway, SandboxOptions};
pub use stdio::serve_stdio;
pub use stop_signals::StopSignals;

use self::{
    server_settings::{connection_settings, request_settings, server_settings},
    services::Services,
    starting::StartingServer,
};
use crate::{
    catalog::CatalogError,
    config::{Config, ConfiguredKey, Database, EncryptionKey, KeyFileError, RegistrationMode, Transport},
    crypto::{self, CryptoError, KeyRing},
    domain::SharedClock,
    http::{
        self, AllowedHosts, AllowedOrigins, ApiKeyAuthenticator, Connections, Guard, HttpSettings, HttpState,
        KeySettings, LargeBodyLimiter, McpEndpoint, OAuthLimits, Probes, Readiness, RegistrationLimiter, RequestBounds,
        RequestLogger, Scrape, SingleUser, WrongTokenLimiter,
    },
    oauth::{
        AccessTokenValidator, AuthorizationServer, OAuthSettings, ServerDeps,
        clients::{Clients, EgressPolicy},
    },
    session::Sessions,
    store::{DatabaseTarget, InvalidationListener, Store, StoreError, listen_for_invalidations},
    tools::UnknownName,
};

/// Makes browsers use https only, for a year (RFC 6797).
const HSTS: (header::HeaderName, &str) = (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");

/// The reasons why the gateway cannot start. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use or does not belong to this machine.
    #[error("cannot listen on {address}: {source}; stop the process that uses it, or set PORT or BIND")]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The metrics address is in use or does not belong to this machine.
    #[error("cannot serve metrics on {address}: {source}; stop the process that uses it, or set METRICS_BIND")]
    BindMetrics {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory of the embedded database cannot be used.
    #[error("cannot use the data directory: {0}; give this account access to it, or set DATABASE_URL")]
    DataDirectory(io::Error),
    /// Another process uses the SQLite database, which serves one process only.
    #[error(
        "another process already uses the SQLite database {0}; stop it, or use PostgreSQL (DATABASE_URL) to run several"
    )]
    AlreadyRunning(String),
    /// The key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The database failed.
    #[error("{error}: {}", cause(.error))]
    Store {
        /// The error of the store.
        #[from]
        error: StoreError,
    },
    /// The system gave no random bytes, or the key cannot be used.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The embedded operation table is invalid: a fault of the build.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The server or the simulator failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The tool settings of the one client name an unknown tool or toolset.
    #[error("{0} Correct MCP_TOOLSETS, MCP_TOOLS or MCP_EXCLUDE_TOOLS.")]
    Tools(#[from] UnknownName),
    /// The single account cannot be served.
    #[error("cannot serve the account: {0}")]
    Stdio(String),
    /// A step of preparing the sandbox failed.
    #[error("cannot start the sandbox: {0}")]
    Sandbox(String),
}

fn cause(error: &StoreError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

/// The stop was orderly except for these tokens. The log reports them as well.
#[derive(Debug, thiserror::Error)]
#[error("new OwnerRez tokens of {0} users were not stored before the shutdown timeout; they may have to connect again")]
pub struct TokensNotStored(usize);

/// A running gateway.
pub struct App {
    url: Url,
    address: SocketAddr,
    server: ServerHandle,
    /// The metrics listener, if it is separate.
    metrics_server: Option<(SocketAddr, ServerHandle)>,
    sessions: Sessions,
    keys: ApiKeyAuthenticator,
    changes: Arc<InvalidationListener>,
    store: Store,
    clock: SharedClock,
    listener: TcpListener,
    /// The requests that are being answered.
    under_way: TaskTracker,
    /// The requests whose bodies have not arrived completely.
    unfinished: RequestBounds,
    shutdown_timeout: TimeDelta,
    stopping: Arc<AtomicBool>,
    /// The temporary directory of the single-user database; removed with the process.
    _directory: Option<TempDir>,
}

impl App {
    /// Builds and starts a gateway: listens, opens the database, migrates it, serves. Must run inside an actix system.
    ///
    /// Waits without limit for a database that is unavailable. Meanwhile the port answers: `/health` with 200, `/ready`
    /// with what the start waits for, everything else with 503. Dropping the future cancels the start.
    pub async fn build(config: &Config, clock: SharedClock) -> Result<Self, StartError> {
        Self::build_with_egress(config, clock, EgressPolicy::internet()).await
    }

    /// Does the same as [`App::build`], with a replacement for the Internet when it fetches the metadata documents of
    /// OAuth clients. For tests; no setting uses it.
    pub async fn build_with_egress(
        config: &Config,
        clock: SharedClock,
        egress: EgressPolicy,
    ) -> Result<Self, StartError> {
        let (single_user_config, directory) = match &config.transport {
            Transport::SingleUser { .. } => {
                let (mut config, directory) = single_account::with_temporary_database(config)?;
                config.registration.mode = RegistrationMode::Closed;
                (Some(config), Some(directory))
            }
            _ => (None, None),
        };
        let config = single_user_config.as_ref().unwrap_or(config);
        config.database.prepare_data_directory().map_err(StartError::DataDirectory)?;
        let bind = SocketAddr::new(config.server.bind, config.server.port);
        let listener = TcpListener::bind(bind).map_err(|source| StartError::Bind { address: bind, source })?;
        let (address, stopper) = (listener.local_addr()?, listener.try_clone()?);
        let starting = StartingServer::start(listener.try_clone()?)?;
        log::info!("answering /health and /ready on {address} while the gateway starts");
        let services = Services::start(config, clock.clone(), address.port(), starting.progress()).await?;
        let single_user = match &config.transport {
            Transport::SingleUser { account, token } => Some(Arc::new(SingleUser {
                caller: single_account::register_single_user(&services, account, &clock).await?,
                token_digest: token.as_ref().map(|token| crypto::sha256_hex(token.expose_secret())),
            })),
            _ => None,
        };
        let Services { store, sessions, toolbox, links, metrics, ring } = services;
        let stopping = Arc::new(AtomicBool::new(false));
        let settings = Arc::new(http_settings(config, address.port()));
        let changes = Arc::new(listen_for_invalidations(&store, &database_target(config), clock.clone()));
        let keys = ApiKeyAuthenticator::new(
            store.clone(),
            changes.clone(),
            clock.clone(),
            key_settings(config),
            &ring,
            metrics.clone(),
        )?;
        let oauth = config.ownerrez.client.as_ref().map(|_| {
            // Users sign in through the operator's OAuth app, so without one there is no authorization server.
            AuthorizationServer::new(ServerDeps {
                clients: Clients::new(
                    config,
                    &settings.public_url,
                    ring.clone(),
                    store.clone(),
                    clock.clone(),
                    metrics.clone(),
                    egress,
                ),
                store: store.clone(),
                sessions: sessions.clone(),
                ring: ring.clone(),
                clock: clock.clone(),
                settings: oauth_settings(config, &settings),
            })
        });
        let state = HttpState {
            keys: keys.clone(),
            single_user,
            store: store.clone(),
            sessions: sessions.clone(),
            links,
            registrations: Arc::new(RegistrationLimiter::new(config.registration.per_hour_and_address)),
            access: oauth.as_ref().map(|server| {
                let signer = ring.access_token_mac_key().clone();
                let capacity = config.keys.cache_entries;
                AccessTokenValidator::new(
                    store.clone(),
                    changes.clone(),
                    clock.clone(),
                    signer,
                    server.settings().clone(),
                    capacity,
                )
            }),
            oauth,
            large_bodies: Arc::new(LargeBodyLimiter::new(config.server.large_requests_per_minute)),
            oauth_limits: Arc::new(OAuthLimits::new(config.oauth.registrations_per_hour_and_address)),
            notices: Arc::default(),
            clock: clock.clone(),
            signer: ring.page_mac_key().clone(),
            metrics: metrics.clone(),
            settings: settings.clone(),
        };
        let guard = Guard {
            hosts: Arc::new(AllowedHosts::new(config.server.hosts())),
            origins: Arc::new(AllowedOrigins(
                config.server.origins(address.port()).iter().filter_map(|origin| Url::parse(origin).ok()).collect(),
            )),
        };
        let readiness = Readiness::new(store.clone(), sessions.clone(), clock.clone(), stopping.clone());
        let scrape = Scrape {
            metrics: metrics.clone(),
            sessions: sessions.clone(),
            token_digest: config.metrics.token.as_ref().map(|token| crypto::sha256_hex(token.expose_secret())),
            failures: Arc::new(WrongTokenLimiter::new(
                config.keys.failures_per_address,
                TimeDelta::minutes(i64::from(config.keys.failure_minutes)),
            )),
            trusted_proxies: config.server.trusted_proxies.clone(),
            clock: clock.clone(),
        };
        let is_on_main_listener = config.metrics.bind.is_none() && config.metrics.token.is_some();
        let probes = Probes { readiness, scrape: is_on_main_listener.then(|| scrape.clone()) };
        let under_way = TaskTracker::new();
        let logger = RequestLogger { metrics, clock: clock.clone(), under_way: under_way.clone() };
        let metrics_server = match config.metrics.bind {
            Some(bind) => Some(metrics_server::serve_metrics(bind, config, scrape, logger.clone())?),
            None => None,
        };
        let over_tls = settings.public_url.scheme() == "https";
        let connections = Connections::new(&connection_settings(config));
        let bounds = RequestBounds::new(request_settings(config));
        let unfinished = bounds.clone();
        let server = http::serve(listener, server_settings(config), connections, move || {
            let (state, probes, bounds) = (state.clone(), probes.clone(), bounds.clone());
            let (guard, logger) = (guard.clone(), logger.clone());
            let mcp = McpEndpoint::new(toolbox.clone(), state.settings.max_body);
            ActixApp::new()
                .wrap(from_fn(move |request, next| guard.clone().check(request, next)))
                .wrap(from_fn(move |request, next| bounds.clone().apply(request, next)))
                .wrap(from_fn(move |request, next| logger.clone().handle(request, next)))
                .wrap(Condition::new(over_tls, DefaultHeaders::new().add(HSTS)))
                .configure(move |routes| http::routes(routes, state, mcp, probes))
        })?;
        let handle = server.handle();
        actix_rt::spawn(server);
        starting.hand_over().await;
        Ok(Self {
            url: settings.public_url.clone(),
            address,
            server: handle,
            metrics_server,
            sessions,
            keys,
            changes,
            store,
            clock,
            listener: stopper,
            under_way,
            unfinished,
            shutdown_timeout: TimeDelta::seconds(i64::from(config.server.shutdown_seconds)),
            stopping,
            _directory: directory,
        })
    }

    /// Returns the public address, with path `/`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the address that the listener is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of the metrics listener, if it is separate.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_server.as_ref().map(|(address, _)| *address)
    }

    /// Returns the sessions, for metrics and tests.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Returns the key check, for metrics and tests.
    pub fn keys(&self) -> &ApiKeyAuthenticator {
        &self.keys
    }

    /// Stops the gateway: takes no new requests, refuses calls that were not sent to OwnerRez, waits up to the drain
    /// time for calls that were sent and for tokens to be stored, and closes everything.
    pub async fn stop(self) -> Result<(), TokensNotStored> {
        self.stopping.store(true, Ordering::Release);
        self.sessions.begin_stop();
        // One deadline for all steps: the whole stop takes no longer than the drain time.
        let until = self.clock.now() + self.shutdown_timeout;
        self.server.pause().await;
        logging::silence_listener_errors();
        // Refuse new connections at once, so that clients try another process instead of waiting for this one.
        if let Err(error) = SockRef::from(&self.listener).shutdown(Shutdown::Both) {
            log::debug!("the listener stays open until the end of the shutdown: {error}");
        }
        self.under_way.close();
        self.unfinished.stop();
        // The sessions run on the server's threads. These must not end before the last write, whose client may have
        // disconnected.
        let drained = {
            let rest = Box::pin(async {
                self.under_way.wait().await;
                self.sessions.drain().await;
            });
            matches!(select(rest, self.clock.sleep_until(until)).await, Either::Left(_))
        };
        // Counted here, because tokens that are not in the database are lost when the threads end.
        let unsaved = self.sessions.unsaved();
        // Database connections end with the threads that opened them, so the threads are stopped after this.
        self.sessions.flush_usage().await;
        if !drained {
            log::warn!("some calls to OwnerRez were still running at the shutdown timeout");
            // The running calls hold database connections, and closing the store below waits for those.
            self.server.stop(false).await;
        }
        self.changes.end();
        if let Err(error) = self.store.close().await {
            log::warn!("the database was not closed cleanly: {error}");
        }
        if drained {
            // A client that does not read its response gets no more time than the running calls did.
            select(Box::pin(self.server.stop(true)), self.clock.sleep_until(until)).await;
        }
        // Stopped last, so that the metrics also show the stop.
        if let Some((_, metrics_server)) = &self.metrics_server {
            metrics_server.stop(false).await;
        }
        self.sessions.stop().await;
        if unsaved > 0 {
            let lost = TokensNotStored(unsaved);
            log::error!("{lost}");
            return Err(lost);
        }
        Ok(())
    }
}

/// Opens the configured database, for the commands that use it without serving.
async fn open_store(config: &Config) -> Result<Store, StartError> {
    config.database.prepare_data_directory().map_err(StartError::DataDirectory)?;
    Ok(Store::connect(&database_target(config)).await?)
}

/// Returns the keys of this deployment, including those that open what the TypeScript server encrypted.
fn key_ring(config: &Config) -> Result<KeyRing, StartError> {
    key_ring_from(&config.encryption, &config.encryption.obtain()?, &config.previous_keys)
}

fn key_ring_from(
    current: &EncryptionKey,
    key: &SecretBox<[u8; 32]>,
    previous: &[ConfiguredKey],
) -> Result<KeyRing, StartError> {
    let mut ring = KeyRing::new(key)?;
    if let Some(text) = current.text() {
        ring = ring.with_legacy_secret(text.clone());
    }
    for replaced in previous {
        ring = ring.with_previous(replaced.key())?.with_legacy_secret(replaced.text().clone());
    }
    Ok(ring)
}

fn database_target(config: &Config) -> DatabaseTarget {
    database_target_from(&config.database, config.database_pool_size)
}

fn database_target_from(database: &Database, max_connections: u32) -> DatabaseTarget {
    match database {
        Database::Sqlite { path } => DatabaseTarget::Sqlite { path: path.clone() },
        Database::Postgres { url, direct_url } => {
            DatabaseTarget::Postgres { url: url.clone(), direct_url: direct_url.clone(), max_connections }
        }
    }
}

fn key_settings(config: &Config) -> KeySettings {
    KeySettings {
        bcrypt_cost: config.keys.bcrypt_cost,
        bcrypt_parallel: config.keys.bcrypt_parallel,
        cache_entries: config.keys.cache_entries,
        failures_per_address: config.keys.failures_per_address,
        failures_per_lookup_id: config.keys.failures_per_lookup_id,
        failures_count_for: TimeDelta::minutes(i64::from(config.keys.failure_minutes)),
    }
}

fn http_settings(config: &Config, bound_port: u16) -> HttpSettings {
    HttpSettings {
        public_url: config.server.public_url(bound_port),
        app_url: config.ownerrez.app_url.clone(),
        client_id: config.ownerrez.client.as_ref().map(|client| client.id.clone()),
        redirect_uri: config.redirect_uri(bound_port),
        max_body: config.server.max_body_bytes,
        contact: config.server.contact.clone(),
        link_lifetime: TimeDelta::minutes(i64::from(config.connect.link_minutes)),
        personal_tokens: config.connect.personal_tokens || config.server.is_loopback_only(),
        trusted_proxies: config.server.trusted_proxies.clone(),
        registration: config.registration.mode.clone(),
        webhook: config.ownerrez.webhook.clone(),
    }
}

fn oauth_settings(config: &Config, http: &HttpSettings) -> OAuthSettings {
    OAuthSettings {
        issuer: http.url(""),
        identity_issuer: config.ownerrez.app_url.origin().ascii_serialization().into(),
        access_lifetime: TimeDelta::minutes(i64::from(config.oauth.access_token_minutes)),
        refresh_lifetime: TimeDelta::days(i64::from(config.oauth.refresh_token_days)),
        sign_in_lifetime: http.link_lifetime,
        allows_new_users: matches!(config.registration.mode, RegistrationMode::Open),
    }
}

fn seconds(count: u32) -> TimeDelta {
    TimeDelta::seconds(i64::from(count))
}
