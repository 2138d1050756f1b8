//! The gateway's own authorization server (OAuth 2.1): clients, authorization requests, grants and tokens. Users sign
//! in with OwnerRez. This module contains the rules only; `http` has the pages and endpoints.

mod access;
mod access_token;
mod account;
pub mod clients;
mod error;
mod flow;
mod pkce;
mod refresh_token;
mod request;
mod scopes;
mod token;

use std::sync::Arc;

use chrono::TimeDelta;

pub use access::{AccessError, AccessTokenValidator};
pub use account::SESSION_LIFETIME;
pub use error::{AuthorizeError, OAuthError, Redirection};
pub use flow::{PendingReview, ServerError, SignInPurpose, UpstreamRedirect};
pub use request::{AuthorizationRequest, Place};
pub use scopes::{RESOURCE_SCOPES, SCOPES, Scopes};
pub use token::{Revocation, TokenForm, Tokens};

use self::{access_token::AccessTokens, clients::Clients};
use crate::{
    crypto::KeyRing,
    domain::{ConnectionSetting, SharedClock, parse_bool},
    session::Sessions,
    store::Store,
};

/// The issuer, and the lifetimes of tokens and sign-ins.
#[derive(Clone, Debug)]
pub struct OAuthSettings {
    /// The gateway's public origin without a trailing slash: the issuer of RFC 8414 and RFC 9207.
    pub issuer: String,
    /// OwnerRez's origin, the issuer of identities.
    pub identity_issuer: Arc<str>,
    /// Lifetime of an access token.
    pub access_lifetime: TimeDelta,
    /// Lifetime of a refresh token. Each use issues a new one.
    pub refresh_lifetime: TimeDelta,
    /// The time that a user has for the approval at OwnerRez.
    pub sign_in_lifetime: TimeDelta,
    /// Whether a sign-in with an unknown account creates a new user.
    pub allows_new_users: bool,
}

/// The common path prefix of all resources.
pub const RESOURCE_PATH: &str = "/mcp";

impl OAuthSettings {
    /// Returns an absolute URL of the gateway.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// Returns the resource that a client's `resource` parameter (RFC 8707) identifies: `/mcp` or a path below it, in
    /// normalised form. The origin alone means `/mcp`, because this origin has no other resource. Of the query only
    /// `readonly` is used, because it restricts permissions; the other parameters only select what is listed.
    pub fn resource(&self, asked: &str) -> Option<Resource> {
        let url = url::Url::parse(asked).ok()?;
        let ours = url::Url::parse(&self.issuer).ok()?;
        let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        let path = url.path().strip_suffix('/').unwrap_or(url.path());
        let path = if path.is_empty() { RESOURCE_PATH } else { path };
        // Parsed as the endpoint does, which rejects invalid boolean values.
        let read_only = url.query_pairs().any(|(name, word)| {
            ConnectionSetting::from_name(&name) == Ok(Some(ConnectionSetting::ReadOnly))
                && parse_bool(&word) != Some(false)
        });
        (plain && url.origin() == ours.origin() && is_within(path, RESOURCE_PATH))
            .then(|| Resource { url: self.url(path), read_only })
    }
}

/// A protected resource as requested by a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// The URL without a query.
    pub url: String,
    /// Whether `readonly` is set in the query. A token for this resource is read-only, on whatever path it is used.
    pub read_only: bool,
}

/// Returns whether a path is `above` or is below it.
fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The authorization server. Cheap to clone.
#[derive(Clone)]
pub struct AuthorizationServer(Arc<ServerDeps>);

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

    fn access_tokens(&self) -> AccessTokens<'_> {
        AccessTokens(self.0.ring.access_token_mac_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> OAuthSettings {
        OAuthSettings {
            issuer: "https://gateway.example".to_owned(),
            identity_issuer: "https://app.ownerrez.com".into(),
            access_lifetime: TimeDelta::hours(1),
            refresh_lifetime: TimeDelta::days(30),
            sign_in_lifetime: TimeDelta::minutes(10),
            allows_new_users: true,
        }
    }

    #[test]
    fn a_resource_is_mcp_or_below_it_and_nothing_else() {
        for (asked, meant) in [
            ("https://gateway.example/mcp", Some("https://gateway.example/mcp")),
            ("https://gateway.example/mcp/", Some("https://gateway.example/mcp")),
            ("https://GATEWAY.example:443/mcp", Some("https://gateway.example/mcp")),
            ("https://gateway.example/mcp?toolsets=all", Some("https://gateway.example/mcp")),
            ("https://gateway.example/mcp/readonly", Some("https://gateway.example/mcp/readonly")),
            ("https://gateway.example/mcp/../mcp", Some("https://gateway.example/mcp")),
            ("https://gateway.example", Some("https://gateway.example/mcp")),
            ("https://gateway.example/", Some("https://gateway.example/mcp")),
            ("https://gateway.example//", None),
            ("https://gateway.example/api", None),
            ("https://gateway.example/mcpx", None),
            ("https://gateway.example/api/keys", None),
            ("http://gateway.example/mcp", None),
            ("https://gateway.example:8443/mcp", None),
            ("https://evil.example/mcp", None),
            ("https://gateway.example@evil.example/mcp", None),
            ("https://user@gateway.example/mcp", None),
            ("https://gateway.example/mcp#x", None),
            ("/mcp", None),
            ("", None),
        ] {
            let resource = settings().resource(asked);
            assert_eq!(resource.as_ref().map(|resource| resource.url.as_str()), meant, "{asked}");
            assert!(resource.is_none_or(|resource| !resource.read_only), "{asked}");
        }
    }

    #[test]
    fn a_query_that_asks_for_reading_only_is_kept() {
        for (query, read_only) in [
            ("?readonly=true", true),
            ("?toolsets=bookings&readonly=1", true),
            ("?readonly=false&readonly=yes", true),
            ("/readonly?readonly=true", true),
            ("?readonly=", true),
            ("?readonly", true),
            ("?READONLY=true", true),
            ("?read-only=on", true),
            ("?readonly=false", false),
            ("?toolsets=readonly", false),
        ] {
            let resource = settings().resource(&format!("https://gateway.example/mcp{query}"));
            assert_eq!(resource.map(|resource| resource.read_only), Some(read_only), "{query}");
        }
    }
}
