//! Access to the metrics.

use std::net::SocketAddr;

use secrecy::SecretString;

use super::{errors::Problem, header_token::header_token, layers::Layers};

/// Where the metrics are served, and with which token. With neither they are not served.
#[derive(Clone, Debug)]
pub struct MetricsSection {
    /// The address of a separate listener.
    pub bind: Option<SocketAddr>,
    /// Required wherever the metrics are served.
    pub token: Option<SecretString>,
}
pub(super) fn metrics(layers: &mut Layers) -> MetricsSection {
    let remedy = "set it to an IP address and a port, like 127.0.0.1:9090";
    let bind = layers.text("metrics.bind", |text| {
        text.parse().map_err(|_| Problem::new("it is not an IP address with a port", remedy))
    });
    MetricsSection { bind, token: layers.text("metrics.token", header_token) }
}
