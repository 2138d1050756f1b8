//! The start of a gateway: builds everything that a running one consists of.

use std::{
    borrow::Cow,
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::AtomicBool},
};

use actix_web::{
    App as ActixApp,
    dev::ServerHandle,
    http::header,
    middleware::{Condition, DefaultHeaders, from_fn},
};
use chrono::TimeDelta;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use url::Url;

use super::{
    database::database_target,
    gateway::App,
    metrics_server::serve_metrics,
    server_settings::{
        connection_settings, http_settings, key_settings, oauth_settings, request_settings, server_settings,
    },
    services::Services,
    single_account::{register_single_user, with_temporary_database},
    start_error::StartError,
    starting::StartingServer,
};
use crate::{
    auth::{ApiKeyAuthenticator, LargeBodyLimiter, OAuthLimits, RegistrationLimiter, SingleUser, WrongTokenLimiter},
    config::{Config, RegistrationMode, Transport},
    crypto,
    domain::SharedClock,
    http::{
        self, AllowedHosts, AllowedOrigins, Connections, Guard, HttpSettings, HttpState, McpEndpoint, Probes,
        Readiness, RequestBounds, RequestLogger, Scrape,
    },
    oauth::{
        AccessTokenValidator, AuthorizationServer, ServerDeps,
        clients::{Clients, EgressPolicy},
    },
    store::{InvalidationListener, listen_for_invalidations},
};

/// Makes browsers use https only, for a year (RFC 6797).
const HSTS: (header::HeaderName, &str) = (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");

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
        let (config, directory) = effective_config(config)?;
        let config = config.as_ref();
        config.database.prepare_data_directory().map_err(StartError::DataDirectory)?;
        let bind = SocketAddr::new(config.server.bind, config.server.port);
        let listener = TcpListener::bind(bind).map_err(|source| StartError::Bind { address: bind, source })?;
        let (address, stopper) = (listener.local_addr()?, listener.try_clone()?);
        let starting = StartingServer::start(listener.try_clone()?)?;
        log::info!("answering /health and /ready on {address} while the gateway starts");
        let services = Services::start(config, clock.clone(), address.port(), starting.progress()).await?;
        let single_user = single_user(config, &services, &clock).await?;
        let parts = GatewayParts::new(config, clock, address.port(), services)?;
        let state = parts.http_state(single_user, egress);
        let stopping = Arc::new(AtomicBool::new(false));
        let scrape = parts.scrape();
        let probes = parts.probes(&stopping, &scrape);
        let under_way = TaskTracker::new();
        let logger = parts.request_logger(&under_way);
        let metrics_server = match config.metrics.bind {
            Some(bind) => Some(serve_metrics(bind, config, scrape, logger.clone())?),
            None => None,
        };
        let unfinished = RequestBounds::new(request_settings(config));
        let server = parts.serve(listener, state, probes, logger, unfinished.clone())?;
        starting.hand_over().await;
        let GatewayParts { clock, services: Services { store, sessions, .. }, settings, changes, keys, .. } = parts;
        Ok(Self {
            url: settings.public_url.clone(),
            address,
            server,
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
}

/// Returns the configuration that is used, and the directory of the temporary database in single-user mode.
fn effective_config(config: &Config) -> Result<(Cow<'_, Config>, Option<TempDir>), StartError> {
    match &config.transport {
        Transport::SingleUser { .. } => {
            let (mut config, directory) = with_temporary_database(config)?;
            config.registration.mode = RegistrationMode::Closed;
            Ok((Cow::Owned(config), Some(directory)))
        }
        _ => Ok((Cow::Borrowed(config), None)),
    }
}

/// Registers the account of single-user mode, if it is configured.
async fn single_user(
    config: &Config,
    services: &Services,
    clock: &SharedClock,
) -> Result<Option<Arc<SingleUser>>, StartError> {
    match &config.transport {
        Transport::SingleUser { account, token } => Ok(Some(Arc::new(SingleUser {
            caller: register_single_user(services, account, clock).await?,
            token_digest: token.as_ref().map(|token| crypto::sha256_hex(token.expose_secret())),
        }))),
        _ => Ok(None),
    }
}

/// The parts from which the handlers of the server are built.
struct GatewayParts<'c> {
    config: &'c Config,
    clock: SharedClock,
    /// The port that the listener is bound to.
    port: u16,
    services: Services,
    settings: Arc<HttpSettings>,
    changes: Arc<InvalidationListener>,
    keys: ApiKeyAuthenticator,
}

impl<'c> GatewayParts<'c> {
    fn new(config: &'c Config, clock: SharedClock, port: u16, services: Services) -> Result<Self, StartError> {
        let settings = Arc::new(http_settings(config, port));
        let changes = Arc::new(listen_for_invalidations(&services.store, &database_target(config), clock.clone()));
        let keys = ApiKeyAuthenticator::new(
            services.store.clone(),
            changes.clone(),
            clock.clone(),
            key_settings(config),
            &services.ring,
            services.metrics.clone(),
        )?;
        Ok(Self { config, clock, port, services, settings, changes, keys })
    }

    /// Returns the authorization server. Users sign in through the operator's OAuth app, so without one there is none.
    fn authorization_server(&self, egress: EgressPolicy) -> Option<AuthorizationServer> {
        let Services { store, sessions, metrics, ring, .. } = &self.services;
        self.config.ownerrez.client.as_ref().map(|_| {
            AuthorizationServer::new(ServerDeps {
                clients: Clients::new(
                    self.config,
                    &self.settings.public_url,
                    ring.clone(),
                    store.clone(),
                    self.clock.clone(),
                    metrics.clone(),
                    egress,
                ),
                store: store.clone(),
                sessions: sessions.clone(),
                ring: ring.clone(),
                clock: self.clock.clone(),
                settings: oauth_settings(self.config, &self.settings),
            })
        })
    }

    fn access_tokens(&self, server: &AuthorizationServer) -> AccessTokenValidator {
        AccessTokenValidator::new(
            self.services.store.clone(),
            self.changes.clone(),
            self.clock.clone(),
            self.services.ring.access_token_mac_key().clone(),
            server.settings().clone(),
            self.config.keys.cache_entries,
        )
    }

    fn http_state(&self, single_user: Option<Arc<SingleUser>>, egress: EgressPolicy) -> HttpState {
        let config = self.config;
        let oauth = self.authorization_server(egress);
        HttpState {
            keys: self.keys.clone(),
            single_user,
            store: self.services.store.clone(),
            sessions: self.services.sessions.clone(),
            links: self.services.links.clone(),
            registrations: Arc::new(RegistrationLimiter::new(config.registration.per_hour_and_address)),
            access: oauth.as_ref().map(|server| self.access_tokens(server)),
            oauth,
            large_bodies: Arc::new(LargeBodyLimiter::new(config.server.large_requests_per_minute)),
            oauth_limits: Arc::new(OAuthLimits::new(config.oauth.registrations_per_hour_and_address)),
            notices: Arc::default(),
            clock: self.clock.clone(),
            signer: self.services.ring.page_mac_key().clone(),
            metrics: self.services.metrics.clone(),
            settings: self.settings.clone(),
        }
    }

    fn guard(&self) -> Guard {
        let server = &self.config.server;
        Guard {
            hosts: Arc::new(AllowedHosts::new(server.hosts())),
            origins: Arc::new(AllowedOrigins(
                server.origins(self.port).iter().filter_map(|origin| Url::parse(origin).ok()).collect(),
            )),
        }
    }

    fn scrape(&self) -> Scrape {
        let config = self.config;
        Scrape {
            metrics: self.services.metrics.clone(),
            sessions: self.services.sessions.clone(),
            token_digest: config.metrics.token.as_ref().map(|token| crypto::sha256_hex(token.expose_secret())),
            failures: Arc::new(WrongTokenLimiter::new(
                config.keys.failures_per_address,
                TimeDelta::minutes(i64::from(config.keys.failure_minutes)),
            )),
            trusted_proxies: config.server.trusted_proxies.clone(),
            clock: self.clock.clone(),
        }
    }

    fn probes(&self, stopping: &Arc<AtomicBool>, scrape: &Scrape) -> Probes {
        let Services { store, sessions, .. } = &self.services;
        let is_on_main_listener = self.config.metrics.bind.is_none() && self.config.metrics.token.is_some();
        Probes {
            readiness: Readiness::new(store.clone(), sessions.clone(), self.clock.clone(), stopping.clone()),
            scrape: is_on_main_listener.then(|| scrape.clone()),
        }
    }

    fn request_logger(&self, under_way: &TaskTracker) -> RequestLogger {
        RequestLogger {
            metrics: self.services.metrics.clone(),
            clock: self.clock.clone(),
            under_way: under_way.clone(),
        }
    }

    /// Starts the server on the listener.
    fn serve(
        &self,
        listener: TcpListener,
        state: HttpState,
        probes: Probes,
        logger: RequestLogger,
        bounds: RequestBounds,
    ) -> io::Result<ServerHandle> {
        let guard = self.guard();
        let toolbox = self.services.toolbox.clone();
        let over_tls = self.settings.public_url.scheme() == "https";
        let connections = Connections::new(&connection_settings(self.config));
        let server = http::serve(listener, server_settings(self.config), connections, move || {
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
        Ok(handle)
    }
}
