//! The authorization server: its components. Its operations are in the files that they belong to.

use std::sync::Arc;

use super::{access_token::AccessTokens, clients::Clients, oauth_settings::OAuthSettings};
use crate::{crypto::KeyRing, domain::SharedClock, session::Sessions, store::Store};

/// The authorization server. Cheap to clone.
#[derive(Clone)]
pub struct AuthorizationServer(pub(super) Arc<ServerDeps>);

/// The components that the authorization server uses.
pub struct ServerDeps {
    /// The clients.
    pub clients: Clients,
    /// The database.
    pub store: Store,
    /// The handle to the session actors.
    pub sessions: Sessions,
    /// Encrypts pending sign-ins and signs access tokens.
    pub ring: Arc<KeyRing>,
    /// The clock.
    pub clock: SharedClock,
    /// The settings.
    pub settings: OAuthSettings,
}

impl AuthorizationServer {
    /// Creates a server from these components.
    pub fn new(parts: ServerDeps) -> Self {
        Self(Arc::new(parts))
    }

    /// Returns the settings.
    pub fn settings(&self) -> &OAuthSettings {
        &self.0.settings
    }

    /// Returns the clients.
    pub fn clients(&self) -> &Clients {
        &self.0.clients
    }

    pub(super) fn access_tokens(&self) -> AccessTokens<'_> {
        AccessTokens(self.0.ring.access_token_mac_key())
    }
}
