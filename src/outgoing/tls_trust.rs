//! The certificate authorities that are trusted.

use std::sync::Arc;

use actix_tls::connect::rustls_0_23::{reexports::ClientConfig, webpki_roots_cert_store};

/// A TLS configuration with its trusted certificate authorities. Clones share resumable TLS sessions.
#[derive(Clone, Debug)]
pub struct TlsTrust(Arc<ClientConfig>);

impl TlsTrust {
    /// Trusts the certificate authorities that browsers trust.
    pub fn public() -> Self {
        let config = ClientConfig::builder().with_root_certificates(webpki_roots_cert_store());
        Self::from(config.with_no_client_auth())
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        self.0.clone()
    }

    /// Returns an identifier that distinguishes two configurations while both exist.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl From<ClientConfig> for TlsTrust {
    /// Trusts what this configuration trusts. Always offers only HTTP/1.1, regardless of the configuration.
    fn from(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }
}
