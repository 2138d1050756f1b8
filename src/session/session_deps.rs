//! The dependencies of every session.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    allowance::Allowance, backoff::TokenEndpoint, response_cache::ResponseCache, session_settings::SessionSettings,
    unsaved_count::UnsavedCount,
};
use crate::{
    crypto::KeyRing,
    domain::SharedClock,
    metrics::Metrics,
    store::Store,
    upstream::{Upstream, UpstreamSettings},
};

/// The dependencies of every session.
pub struct SessionDeps {
    /// The database.
    pub store: Store,
    /// Encrypts and decrypts tokens.
    pub ring: Arc<KeyRing>,
    /// The clock.
    pub clock: SharedClock,
    /// The shared allowance.
    pub allowance: Allowance,
    /// The settings for reaching OwnerRez.
    pub upstream: Arc<UpstreamSettings>,
    /// The limits.
    pub settings: SessionSettings,
    /// The cache of OwnerRez's responses.
    pub response_cache: ResponseCache,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The state of OwnerRez's token endpoint.
    pub token_endpoint: TokenEndpoint,
    /// The number of users whose tokens are not in the database.
    pub unsaved: UnsavedCount,
    /// Cancelled when the process begins to stop. From then on, no new request is sent.
    pub stop: CancellationToken,
}

impl SessionDeps {
    /// Returns an OwnerRez client for the calling thread.
    pub(super) fn upstream_here(&self) -> Upstream {
        Upstream::new(self.upstream.clone(), self.clock.clone(), self.metrics.clone())
    }

    /// Recounts the connected accounts. The reserve of the allowance depends on their number.
    pub(super) async fn recount_accounts(&self) {
        match self.store.connected_accounts().await {
            Ok(accounts) => self.allowance.accounts_changed(accounts),
            Err(error) => log::warn!("cannot count the connected accounts: {error}"),
        }
    }
}
