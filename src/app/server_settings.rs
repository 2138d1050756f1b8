//! The settings of the HTTP server, from the configuration.

use std::time::Duration;

use crate::{
    config::{Config, Database},
    http::{ConnectionSettings, RequestSettings, SMALL_BODY, ServerSettings},
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

fn seconds(count: u32) -> Duration {
    Duration::from_secs(u64::from(count))
}
