//! Whose certificates a server may show.

use std::sync::Arc;

use actix_tls::connect::rustls_0_23::{reexports::ClientConfig, webpki_roots_cert_store};

/// Whose certificates a server may show. Clones share the sessions that TLS resumes.
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

    /// Tells two of them apart for as long as both live.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl From<ClientConfig> for TlsTrust {
    /// Trusts what this configuration trusts. HTTP/1.1 is all that is offered, whatever it says.
    fn from(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }
}
