//! The settings of the HTTP server and of its handlers, from the configuration.

use std::time::Duration;

use chrono::TimeDelta;

use crate::{
    auth::KeySettings,
    config::{Config, Database, RegistrationMode},
    http::{ConnectionSettings, HttpSettings, RequestSettings, SMALL_BODY, ServerSettings},
    oauth::OAuthSettings,
};

/// How long an idle connection stays open. Longer than clients keep theirs (most clients 90 s, Caddy two minutes), so
/// that the client closes it. If the server closed it, a request sent at that moment would be lost.
const KEEP_ALIVE: Duration = Duration::from_secs(180);
/// Connections to PostgreSQL outside the pool: locks, notifications, migrations.
const DIRECT_CONNECTIONS: u32 = 3;

/// Returns the settings of the server.
pub(super) fn server_settings(config: &Config) -> ServerSettings {
    ServerSettings { workers: config.server.workers, shutdown_seconds: u64::from(config.server.shutdown_seconds) }
}

/// Returns the bounds on connections.
pub(super) fn connection_settings(config: &Config) -> ConnectionSettings {
    let database = match &config.database {
        Database::Sqlite { .. } => DIRECT_CONNECTIONS,
        Database::Postgres { .. } => config.database_pool_size + DIRECT_CONNECTIONS,
    };
    ConnectionSettings {
        max_connections: config.server.max_connections,
        per_source: config.server.max_connections_per_source,
        database_connections: usize::try_from(database).unwrap_or(usize::MAX),
        head_timeout: seconds(config.server.header_timeout_seconds),
        keep_alive: KEEP_ALIVE,
        send_timeout: seconds(config.server.send_timeout_seconds),
        trusted_proxies: config.server.trusted_proxies.as_slice().into(),
    }
}

/// Returns the bounds on requests.
pub(super) fn request_settings(config: &Config) -> RequestSettings {
    RequestSettings {
        body_timeout: seconds(config.server.body_timeout_seconds),
        unverified_limit: SMALL_BODY.min(config.server.max_body_bytes),
        verified_limit: config.server.max_body_bytes,
        bytes_under_way: config.server.max_body_bytes_under_way,
        unfinished_per_source: config.server.max_unfinished_requests_per_source,
        trusted_proxies: config.server.trusted_proxies.as_slice().into(),
    }
}

/// Returns the settings of the key check.
pub(super) fn key_settings(config: &Config) -> KeySettings {
    KeySettings {
        bcrypt_cost: config.keys.bcrypt_cost,
        bcrypt_parallel: config.keys.bcrypt_parallel,
        cache_entries: config.keys.cache_entries,
        failures_per_address: config.keys.failures_per_address,
        failures_per_lookup_id: config.keys.failures_per_lookup_id,
        failures_count_for: TimeDelta::minutes(i64::from(config.keys.failure_minutes)),
    }
}

/// Returns the settings of the routes.
pub(super) fn http_settings(config: &Config, bound_port: u16) -> HttpSettings {
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

/// Returns the settings of the authorization server.
pub(super) fn oauth_settings(config: &Config, http: &HttpSettings) -> OAuthSettings {
    OAuthSettings {
        issuer: http.url(""),
        identity_issuer: config.ownerrez.app_url.origin().ascii_serialization().into(),
        access_lifetime: TimeDelta::minutes(i64::from(config.oauth.access_token_minutes)),
        refresh_lifetime: TimeDelta::days(i64::from(config.oauth.refresh_token_days)),
        sign_in_lifetime: http.link_lifetime,
        allows_new_users: matches!(config.registration.mode, RegistrationMode::Open),
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(u64::from(count))
}
