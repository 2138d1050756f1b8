//! HTTP requests to other servers, with awc: one connection per request, TLS, and a guard on the response. OwnerRez and
//! the hosts of client documents are requested this way.
//!
//! awc gets plain-http URLs, because the [`Dialer`] does the TLS.

mod dialer;
mod response_guard;
mod tls_trust;

use url::Url;

pub use self::{
    dialer::{Dialer, MaybeTlsStream},
    response_guard::ResponseGuard,
    tls_trust::TlsTrust,
};

/// Returns the URL under which awc connects to the host and port of `url`.
pub fn plain_origin(url: &Url) -> String {
    format!("http://{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// Returns the Host header for this URL. awc sees plain http on the port of https, so it cannot know which ports the
/// header omits.
pub fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
