//! The state that the handlers share, and the settings that they show or check.

use std::sync::Arc;

use actix_web::HttpRequest;
use secrecy::SecretString;
use url::Url;

use super::{api::notices::Notices, extract::source_address::source_of};
use crate::{
    auth::{ApiKeyAuthenticator, LargeBodyLimiter, OAuthLimits, RegistrationLimiter, SingleUser, SourceAddress},
    config::{Network, RegistrationMode},
    crypto::MacKey,
    domain::SharedClock,
    metrics::Metrics,
    oauth::{AccessTokenValidator, AuthorizationServer},
    session::Sessions,
    store::Store,
    tools::ConnectLinks,
};

/// The largest body, in bytes, that is read before a credential is verified. Also the limit of REST calls and forms.
pub const SMALL_BODY: usize = 16 * 1024;

/// The state that the handlers share. Cloning is cheap.
#[derive(Clone)]
pub struct HttpState {
    /// The database.
    pub store: Store,
    /// Sends commands to the sessions.
    pub sessions: Sessions,
    /// Creates connect links.
    pub links: ConnectLinks,
    /// Verifies the API key of a request.
    pub keys: ApiKeyAuthenticator,
    /// The single user, who needs no key; only in single-user mode.
    pub single_user: Option<Arc<SingleUser>>,
    /// Limits registrations per source address.
    pub registrations: Arc<RegistrationLimiter>,
    /// The authorization server; `None` until the operator has an OAuth app at OwnerRez.
    pub oauth: Option<AuthorizationServer>,
    /// Verifies the access tokens that the authorization server issued.
    pub access: Option<AccessTokenValidator>,
    /// Limits requests to the authorization server per source address.
    pub oauth_limits: Arc<OAuthLimits>,
    /// The webhook notifications of OwnerRez that are being processed.
    pub notices: Arc<Notices>,
    /// Limits large messages to `/mcp` per user.
    pub large_bodies: Arc<LargeBodyLimiter>,
    /// The clock.
    pub clock: SharedClock,
    /// Signs forms.
    pub signer: MacKey,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Settings that the handlers show or check.
    pub settings: Arc<HttpSettings>,
}

/// The part of the configuration that the handlers need.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `SERVER_URL`, or the bound address: an origin without a path.
    pub public_url: Url,
    /// The URL of OwnerRez's consent page: `OWNERREZ_APP_URL`.
    pub app_url: Url,
    /// `OWNERREZ_CLIENT_ID`; `None` until the operator has an OAuth app.
    pub client_id: Option<String>,
    /// The URL to which OwnerRez redirects the browser.
    pub redirect_uri: Url,
    /// The largest body of a message to `/mcp`, in bytes.
    pub max_body: usize,
    /// The contact of the operator, shown to users.
    pub contact: Option<String>,
    /// The lifetime of a connect link.
    pub link_lifetime: chrono::TimeDelta,
    /// Whether accounts may be connected with personal access tokens.
    pub personal_tokens: bool,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// The registration policy.
    pub registration: RegistrationMode,
    /// The credentials that OwnerRez's webhook requests must have: `user:password`. Without it there is no webhook.
    pub webhook: Option<SecretString>,
}

impl HttpSettings {
    /// Returns the absolute URL of a path of the gateway.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }

    /// Returns the source address of a request.
    pub(crate) fn source_of(&self, request: &HttpRequest) -> SourceAddress {
        source_of(request, &self.trusted_proxies)
    }

    /// Returns whether browsers use TLS. Decides the names and flags of cookies.
    pub(super) fn secure(&self) -> bool {
        self.public_url.scheme() == "https"
    }
}
