//! The reasons for which a registration is rejected.

use super::metadata_problem::MetadataProblem;
use crate::{
    crypto::CryptoError,
    domain::{BadRedirectUri, ErrorCode},
};

/// Reasons for which a registration is rejected (RFC 7591 3.2.2).
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// 400 `invalid_redirect_uri`.
    #[error("redirect URI number {place} of redirect_uris {problem}")]
    RedirectUri {
        /// The position of the URI, counted from 1. The URI is not quoted, because the text is logged.
        place: usize,
        /// The problem with the URI.
        problem: BadRedirectUri,
    },
    /// 400 `invalid_client_metadata`.
    #[error("the client metadata {0}")]
    Metadata(MetadataProblem),
    /// An internal error.
    #[error("the registration could not be encrypted")]
    Crypto(#[from] CryptoError),
}

impl RegistrationError {
    /// Returns the error code of the response.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::RedirectUri { .. } | Self::Metadata(MetadataProblem::NoRedirectUris) => ErrorCode::InvalidRedirectUri,
            Self::Metadata(_) => ErrorCode::InvalidClientMetadata,
            Self::Crypto(_) => ErrorCode::ServerError,
        }
    }
}
