//! Internal errors of the authorization server.

use crate::{crypto::CryptoError, session::CallError, store::StoreError};

/// Internal errors.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The database failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Encryption or random number generation failed.
    #[error("{0}")]
    Crypto(#[from] CryptoError),
    /// A session actor failed.
    #[error("{0}")]
    Call(#[from] CallError),
    /// The user was deleted in the meantime.
    #[error("the user was deleted")]
    UserGone,
    /// The decrypted value is not a pending sign-in.
    #[error("a pending sign-in cannot be read")]
    Unreadable,
}

impl ServerError {
    /// Returns whether the database is unavailable or damaged: a state of the server, not of the request.
    pub fn is_database_unavailable(&self) -> bool {
        match self {
            Self::Store(error) | Self::Call(CallError::Store(error)) => {
                matches!(error, StoreError::Unavailable(_) | StoreError::Damaged(_))
            }
            _ => false,
        }
    }
}
