//! A client of the authorization server.

use std::{fmt, sync::Arc};

use super::client_authentication::ClientAuthentication;
use crate::domain::{RedirectTarget, RedirectUri};

/// The maximum length of a client id, in characters.
pub const CLIENT_ID_LIMIT: usize = 2048;

/// A `client_id`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ClientId(pub Arc<str>);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A client of the authorization server.
#[derive(Clone, Debug)]
pub struct Client {
    /// The client id.
    pub id: ClientId,
    /// The sanitised, single-line name of the client. It is unverified, unless the operator wrote it.
    pub name: String,
    /// The registered redirect URIs.
    pub redirect_uris: Vec<RedirectUri>,
    /// The authentication method.
    pub authentication: ClientAuthentication,
    /// Whether its metadata lists refresh tokens: then it gets one without requesting `offline_access`.
    pub refreshes: bool,
    /// The way in which it was registered.
    pub kind: ClientKind,
}

/// The ways in which a client is registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientKind {
    /// Listed by the operator.
    Predefined,
    /// The client id is the URL of a metadata document.
    MetadataDocument,
    /// Dynamically registered.
    Registered,
}

/// Reasons for which a request's `redirect_uri` is rejected. Then not even an error may be sent there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RedirectProblem {
    /// OAuth 2.1 lets a client with one redirect URI omit the parameter; this server requires it in every request.
    #[error("the redirect_uri is missing")]
    Missing,
    /// The client has not registered this URI.
    #[error("the redirect_uri is not registered for this client")]
    NotRegistered,
    /// The URI leads to the gateway. Registration rejects such URIs, but a loopback URI may have any port, so this is
    /// only detected in a request.
    #[error("the redirect_uri points to this gateway itself")]
    Own,
}

impl Client {
    /// Returns where the response to a request is sent.
    pub fn redirect(&self, asked: Option<&str>) -> Result<RedirectTarget, RedirectProblem> {
        let asked = asked.filter(|asked| !asked.is_empty()).ok_or(RedirectProblem::Missing)?;
        self.redirect_uris.iter().find_map(|uri| uri.target(asked)).ok_or(RedirectProblem::NotRegistered)
    }

    /// Returns whether all redirect URIs lead to the user's own machine, where any program could impersonate the
    /// client.
    pub fn is_loopback_only(&self) -> bool {
        self.redirect_uris.iter().all(RedirectUri::is_loopback)
    }
}
