//! The gateway's own authorization server (OAuth 2.1): who may ask, what they may get, and what their tokens are worth.
//! OwnerRez is the login. Rules only; pages and endpoints are `http`'s.

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

pub use access::{AccessCheck, AccessError};
pub use account::SESSION_LIFE;
pub use error::{AuthorizeError, OAuthError, Redirection};
pub use flow::{Agreed, Errand, Paused, ServerError};
pub use request::{AuthorizationRequest, Place};
pub use scopes::{RESOURCE_SCOPES, SCOPES, Scopes};
pub use token::{Revocation, TokenForm, Tokens};

use self::{access_token::AccessTokens, clients::Clients};
use crate::{
    crypto::KeyRing,
    domain::{ConnectionSetting, SharedClock, switched},
    session::Sessions,
    store::Store,
};

/// What it is called and how long things last.
#[derive(Clone, Debug)]
pub struct OAuthSettings {
    /// The gateway's public origin, without a slash at its end: the issuer of RFC 8414 and RFC 9207.
    pub issuer: String,
    /// OwnerRez's origin: who vouches for identities.
    pub identity_issuer: Arc<str>,
    /// How long an access token is good.
    pub access_life: TimeDelta,
    /// How long a refresh token is good; each use gives a new one.
    pub refresh_life: TimeDelta,
    /// How long people have for OwnerRez's approval.
    pub sign_in_life: TimeDelta,
    /// Whether accounts that nobody signed in with before make new users.
    pub admits_new: bool,
}

/// The path that all resources begin with.
pub const RESOURCE_PATH: &str = "/mcp";

impl OAuthSettings {
    /// An absolute URL of ours.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// What a client means by `resource` (RFC 8707): `/mcp` or a path below it, as this server writes it. The origin alone
    /// means `/mcp`, because this origin has no other resource. Of the query only `readonly` counts: it takes away a right,
    /// while the rest of it chooses what is listed.
    pub fn resource(&self, asked: &str) -> Option<Resource> {
        let url = url::Url::parse(asked).ok()?;
        let ours = url::Url::parse(&self.issuer).ok()?;
        let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        let path = url.path().strip_suffix('/').unwrap_or(url.path());
        let path = if path.is_empty() { RESOURCE_PATH } else { path };
        // As the endpoint reads it, which refuses a word that is neither yes nor no.
        let read_only = url.query_pairs().any(|(name, word)| {
            ConnectionSetting::meant(&name) == Ok(Some(ConnectionSetting::ReadOnly)) && switched(&word) != Some(false)
        });
        (plain && url.origin() == ours.origin() && is_within(path, RESOURCE_PATH))
            .then(|| Resource { url: self.url(path), read_only })
    }
}

/// What a client means by `resource`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// Its address, without a query.
    pub url: String,
    /// Whether it is asked for with `readonly` in its query. A token for it may only read, wherever it is sent.
    pub read_only: bool,
}

/// Whether a path is this one or lies below it.
fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The authorization server. Cheap to clone.
#[derive(Clone)]
pub struct AuthorizationServer(Arc<Parts>);

/// What it works with.
pub struct Parts {
    /// Who clients are.
    pub clients: Clients,
    /// The database.
    pub store: Store,
    /// The way to the actors.
    pub sessions: Sessions,
    /// Seals what waits, signs access tokens.
    pub ring: Arc<KeyRing>,
    /// Time.
    pub clock: SharedClock,
    /// Names and spans.
    pub settings: OAuthSettings,
}

impl AuthorizationServer {
    /// A server over these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Names and spans.
    pub fn settings(&self) -> &OAuthSettings {
        &self.0.settings
    }

    /// Who clients are.
    pub fn clients(&self) -> &Clients {
        &self.0.clients
    }

    fn access_tokens(&self) -> AccessTokens<'_> {
        AccessTokens(self.0.ring.access_token_signer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> OAuthSettings {
        OAuthSettings {
            issuer: "https://gateway.example".to_owned(),
            identity_issuer: "https://app.ownerrez.com".into(),
            access_life: TimeDelta::hours(1),
            refresh_life: TimeDelta::days(30),
            sign_in_life: TimeDelta::minutes(10),
            admits_new: true,
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
