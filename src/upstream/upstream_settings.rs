//! The settings for reaching OwnerRez, and the operator's OAuth app.

use std::time::Duration;

use chrono::TimeDelta;
use secrecy::SecretString;
use url::Url;

use crate::outgoing::TlsTrust;

/// The settings for reaching OwnerRez.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Origin of the API host, `https://api.ownerrez.com` in production.
    pub api_url: Url,
    /// The operator's OAuth app. Without one, no user can connect.
    pub client: Option<ClientCredentials>,
    /// Sent with the code exchange (RFC 6749 4.1.3).
    pub redirect_uri: Option<Url>,
    /// Timeout for connecting to the host, TLS included. Uses real time; no test waits for it.
    pub connect_timeout: Duration,
    /// Timeout for a whole exchange, from the first byte sent to the last byte read.
    pub answer_timeout: TimeDelta,
    /// The maximum size of a response body, in bytes.
    pub answer_limit: usize,
    /// The trusted certificate authorities.
    pub tls: TlsTrust,
}

/// The operator's OwnerRez OAuth app.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The client id, `c_…`.
    pub id: String,
    /// The client secret, `s_…`.
    pub secret: SecretString,
}
