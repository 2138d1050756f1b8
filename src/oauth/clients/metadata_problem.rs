//! The reasons for which client metadata is rejected.

use super::document_url::BadDocumentUrl;
use crate::domain::BadRedirectUri;

/// The maximum number of redirect URIs. Cursor registers three, VS Code six.
pub(super) const MAX_REDIRECT_URIS: usize = 10;
/// Reasons for which metadata is rejected. Each text continues a sentence that begins with the source of the metadata.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MetadataProblem {
    /// Not an object, or a member has the wrong type.
    #[error("is not a JSON object whose members have the types of RFC 7591")]
    Form,
    /// No redirect URI.
    #[error("has no redirect_uris")]
    NoRedirectUris,
    /// Too many redirect URIs.
    #[error("has more than {MAX_REDIRECT_URIS} redirect_uris")]
    ManyRedirectUris,
    /// No usable redirect URI.
    #[error("has no allowed redirect URI; the first one {0}")]
    RedirectUri(BadRedirectUri),
    /// No grant type with which the client can obtain its first token.
    #[error("lists grant_types without authorization_code, which is required")]
    GrantTypes,
    /// An unsupported response type.
    #[error("requests response_types other than code")]
    ResponseTypes,
    /// An unsupported authentication method.
    #[error("requests a token_endpoint_auth_method other than none and private_key_jwt")]
    Authentication,
    /// A client secret in a public document.
    #[error("contains a client_secret, which a public document cannot keep secret")]
    Secret,
    /// `private_key_jwt` without keys, or with two sources of keys.
    #[error("requests private_key_jwt and needs either jwks or jwks_uri, not both")]
    Keys,
    /// No usable key, or a private key.
    #[error("has a jwks without an RSA key for RS256 or a P-256 key for ES256, or with a private key")]
    Jwks,
    /// The URL of the keys is not permitted.
    #[error("has a jwks_uri that {0}")]
    JwksUri(BadDocumentUrl),
    /// An unsupported signing algorithm.
    #[error("requests a token_endpoint_auth_signing_alg other than RS256 and ES256")]
    SigningAlgorithm,
    /// The registration does not fit into a client id.
    #[error("is too large; use fewer redirect URIs, a shorter client_name, or jwks_uri instead of jwks")]
    TooLarge,
}
