//! Requests to other servers, with awc: one connection for one request, TLS, and a guard over what comes back. OwnerRez and
//! the hosts of clients' documents are asked in this way.
//!
//! awc is given addresses of plain http, because the TLS happens in the [`Dialer`].

mod answer_guard;
mod dialer;
mod tls_trust;

use url::Url;

pub use self::{
    answer_guard::AnswerGuard,
    dialer::{Dialer, Line},
    tls_trust::TlsTrust,
};

/// Returns the address that leads awc to the host and port of this one.
pub fn plain_origin(url: &Url) -> String {
    format!("http://{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// Returns the Host header of a request to this address. awc sees plain http at the port of https, so it cannot tell which
/// ports the header leaves out.
pub fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
