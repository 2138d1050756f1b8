//! The reasons for which a client is rejected, with hints for the party that can fix them.

use super::{assertion_problem::AssertionProblem, document_problem::DocumentProblem, document_url::BadDocumentUrl};
use crate::store::StoreError;

/// The OAuth error code (RFC 6749 5.2 and 4.1.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientErrorCode {
    /// 401 at the token endpoint; dynamically registered clients register again.
    InvalidClient,
    /// 400.
    InvalidRequest,
    /// 503: the same request may succeed later.
    TemporarilyUnavailable,
    /// 500.
    ServerError,
}

/// Reasons for which a client is rejected. [`ClientError::hint`] says how to fix it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client id is malformed.
    #[error("the client_id is empty, longer than 2048 characters, or contains characters other than visible ASCII")]
    Malformed,
    /// The client id looks like the URL of a metadata document, but the URL is not permitted.
    #[error("the client_id {0}")]
    DocumentUrl(BadDocumentUrl),
    /// No client has this id.
    #[error("unknown client_id")]
    Unknown,
    /// The dynamic registration has expired.
    #[error("the registration of this client has expired")]
    Expired,
    /// The dynamically registered client was deleted.
    #[error("this client was removed")]
    Deleted,
    /// The client id is the URL of a document, and documents are disabled.
    #[error("this gateway does not accept client metadata documents (oauth.client_documents is off)")]
    DocumentsOff,
    /// The metadata document is unusable.
    #[error("the metadata document of this client, at {host}, {problem}")]
    Document {
        /// The host of the document.
        host: String,
        /// The problem with the document.
        problem: DocumentProblem,
    },
    /// The published keys are unusable.
    #[error("the keys of this client, at {host}, cannot be used: the document {problem}")]
    Keys {
        /// The host of the key set.
        host: String,
        /// The problem with the key set.
        problem: DocumentProblem,
    },
    /// The client authentication failed.
    #[error("{0}")]
    Assertion(#[from] AssertionProblem),
    /// The list of deleted clients cannot be read.
    #[error("the list of removed clients cannot be read")]
    Store(#[from] StoreError),
}

impl ClientError {
    /// Returns the OAuth error code.
    pub fn code(&self) -> ClientErrorCode {
        match self {
            Self::Malformed | Self::DocumentUrl(_) => ClientErrorCode::InvalidRequest,
            Self::Document { problem, .. } | Self::Keys { problem, .. } if problem.is_temporary() => {
                ClientErrorCode::TemporarilyUnavailable
            }
            Self::Assertion(AssertionProblem::TooMany) => ClientErrorCode::TemporarilyUnavailable,
            Self::Unknown
            | Self::Expired
            | Self::Deleted
            | Self::DocumentsOff
            | Self::Document { .. }
            | Self::Keys { .. }
            | Self::Assertion(_) => ClientErrorCode::InvalidClient,
            Self::Store(StoreError::Unavailable(_) | StoreError::Damaged(_)) => ClientErrorCode::TemporarilyUnavailable,
            Self::Store(_) => ClientErrorCode::ServerError,
        }
    }

    /// Returns how to fix the error, for a page or an `error_description`.
    pub fn hint(&self) -> &'static str {
        match self.code() {
            ClientErrorCode::TemporarilyUnavailable => "Try again in a minute.",
            ClientErrorCode::ServerError => "Report this to the operator of this gateway; the cause is in its log.",
            ClientErrorCode::InvalidRequest => "This is an error of the client; report it to its developer.",
            ClientErrorCode::InvalidClient => match self {
                Self::Unknown | Self::Expired | Self::Deleted => {
                    "Remove this gateway from the client and add it again: then the client registers again."
                }
                Self::DocumentsOff => {
                    "Let the client register dynamically, or configure it with a client id that the operator has \
                     listed in oauth.clients."
                }
                _ => "Only the developer of the client can fix this.",
            },
        }
    }
}
