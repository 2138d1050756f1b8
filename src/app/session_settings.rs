//! The settings of the sessions and of the OwnerRez client, from the configuration.

use std::time::Duration;

use chrono::TimeDelta;

use crate::{
    config::Config,
    outgoing::TlsTrust,
    session::SessionSettings,
    upstream::{ClientCredentials, UpstreamSettings},
};

/// Returns the settings of the OwnerRez client. `bound_port` is the one under which users reach the gateway.
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

/// Returns the settings of the sessions.
pub(super) fn session_settings(config: &Config) -> SessionSettings {
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

fn seconds(count: u32) -> TimeDelta {
    TimeDelta::seconds(i64::from(count))
}
