//! How a client authenticates at the token endpoint, and what it presents there.

use std::{fmt, sync::Arc};

use url::Url;

use super::keys::{KeySet, SigningAlgorithm};

/// Authentication methods at the token endpoint.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// No authentication; only PKCE binds its codes to it.
    None,
    /// A signed JWT.
    PrivateKeyJwt {
        /// The source of the public keys.
        keys: KeySource,
        /// The permitted signing algorithms; never empty.
        algorithms: Vec<SigningAlgorithm>,
        /// Whether its `token_endpoint_auth_methods_supported` also lists `none`, as ChatGPT's does. An assertion that
        /// is sent must be valid even then, and if the code was redeemed with an assertion, all later requests for that
        /// grant need one.
        allows_none: bool,
    },
}

/// The source of a client's public keys.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// The keys are part of the metadata.
    Inline(Arc<KeySet>),
    /// The keys are published at this URL.
    Uri(Url),
}

/// The authentication that a client presents at the token endpoint.
#[derive(Clone, Copy)]
pub enum PresentedClient<'a> {
    /// Only the client id.
    None,
    /// `client_assertion_type` and `client_assertion`.
    Assertion {
        /// The value of `client_assertion_type`.
        kind: &'a str,
        /// The value of `client_assertion`.
        assertion: &'a str,
    },
}

impl fmt::Debug for PresentedClient<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Assertion { .. } => "Assertion(…)",
        })
    }
}
