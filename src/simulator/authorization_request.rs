//! The request of an application for access to an account.

use url::Url;

use super::state::Shared;

/// An authorization request, once it is safe to redirect the browser to the redirect URI.
pub(super) struct AuthorizationRequest {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) response_type: String,
}

impl AuthorizationRequest {
    /// Parses the request. Errors are shown in the browser only, because there is no trusted redirect URI.
    pub(super) fn read(shared: &Shared, value: impl Fn(&str) -> Option<String>) -> Result<Self, &'static str> {
        let client_id = value("client_id").ok_or("The client_id is missing.")?;
        if client_id != shared.client_id {
            return Err("The client_id belongs to no application.");
        }
        let redirect_uri = value("redirect_uri").ok_or("The redirect_uri is missing.")?;
        if !is_acceptable(&redirect_uri) {
            return Err("The redirect_uri must be an absolute https address (http only on this machine).");
        }
        let response_type = value("response_type").unwrap_or_default();
        Ok(AuthorizationRequest { client_id, redirect_uri, state: value("state"), response_type })
    }
}

fn is_acceptable(redirect_uri: &str) -> bool {
    let Ok(url) = Url::parse(redirect_uri) else { return false };
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.fragment().is_none() && (url.scheme() == "https" || (url.scheme() == "http" && loopback))
}
