//! What can be wrong with a client, told to whoever can repair it.

use super::{assertion::AssertionProblem, fetch::FetchProblem, metadata::MetadataProblem};
use crate::{crypto::CryptoError, domain::BadRedirectUri, store::StoreError};

/// Why a metadata document or a set of keys is of no use. Continues a sentence that begins with its place.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DocumentProblem {
    /// It was not obtained.
    #[error(transparent)]
    Fetch(#[from] FetchProblem),
    /// It says what does not do.
    #[error(transparent)]
    Metadata(#[from] MetadataProblem),
    /// It is another client's: anybody could name any document.
    #[error("has another client_id than its own address")]
    OtherClientId,
    /// Nothing in it checks a signature.
    #[error("holds no RSA key for RS256 and no P-256 key for ES256")]
    NoKeys,
}

impl DocumentProblem {
    /// Whether the same request may succeed in a while, without anybody repairing the document.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Fetch(problem) if problem.passes())
    }
}

/// Why a `client_id` is no address of a metadata document.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadDocumentUrl {
    /// Not what a browser would write.
    #[error("is no https URL in its usual spelling (lower-case host, no default port, no `.` or `..` in its path)")]
    Spelling,
    /// An IP address.
    #[error("names an IP address instead of a host")]
    Address,
    /// Something before an `@`.
    #[error("holds a user name or password")]
    UserInfo,
    /// A `#`.
    #[error("has a fragment (#)")]
    Fragment,
    /// Only a host.
    #[error("has no path")]
    NoPath,
}

/// Where it goes on the wire (RFC 6749 5.2 and 4.1.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientErrorCode {
    /// 401 at the token endpoint; clients that registered themselves register anew.
    InvalidClient,
    /// 400.
    InvalidRequest,
    /// 503: the same request may succeed later.
    TemporarilyUnavailable,
    /// 500.
    ServerError,
}

impl ClientErrorCode {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidClient => "invalid_client",
            Self::InvalidRequest => "invalid_request",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }
}

/// Why a client is not let on. Says what happened; [`ClientError::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not even the form is right.
    #[error("the client_id is empty, longer than 2048 characters, or holds other than visible ASCII characters")]
    Malformed,
    /// It looks like the address of a metadata document.
    #[error("the client_id {0}")]
    DocumentUrl(BadDocumentUrl),
    /// No way of knowing a client knows this one.
    #[error("no client is known by this client_id")]
    Unknown,
    /// It registered itself, too long ago.
    #[error("the registration of this client has expired")]
    Expired,
    /// It registered itself and was deleted since.
    #[error("this client was removed")]
    Forgotten,
    /// It is known by a document, and those are not read here.
    #[error("this gateway does not read the documents of clients (oauth.client_documents is off)")]
    DocumentsOff,
    /// Its metadata document is of no use.
    #[error("the metadata document of this client, at {host}, {problem}")]
    Document {
        /// The host of the document.
        host: String,
        /// What is wrong with it.
        problem: DocumentProblem,
    },
    /// Its published keys are of no use.
    #[error("the keys of this client, at {host}, cannot be used: what is there {problem}")]
    Keys {
        /// The host of the key set.
        host: String,
        /// What is wrong with it.
        problem: DocumentProblem,
    },
    /// It has not proved who it is.
    #[error("{0}")]
    Assertion(#[from] AssertionProblem),
    /// The list of removed clients cannot be read.
    #[error("the list of removed clients cannot be read")]
    Store(#[from] StoreError),
}

impl ClientError {
    /// What to answer.
    pub fn code(&self) -> ClientErrorCode {
        match self {
            Self::Malformed | Self::DocumentUrl(_) => ClientErrorCode::InvalidRequest,
            Self::Document { problem, .. } | Self::Keys { problem, .. } if problem.passes() => {
                ClientErrorCode::TemporarilyUnavailable
            }
            Self::Assertion(AssertionProblem::TooMany) => ClientErrorCode::TemporarilyUnavailable,
            Self::Unknown
            | Self::Expired
            | Self::Forgotten
            | Self::DocumentsOff
            | Self::Document { .. }
            | Self::Keys { .. }
            | Self::Assertion(_) => ClientErrorCode::InvalidClient,
            Self::Store(StoreError::Unavailable(_) | StoreError::Damaged(_)) => ClientErrorCode::TemporarilyUnavailable,
            Self::Store(_) => ClientErrorCode::ServerError,
        }
    }

    /// What to do about it, for a page or an `error_description`.
    pub fn hint(&self) -> &'static str {
        match self.code() {
            ClientErrorCode::TemporarilyUnavailable => "Try again in a minute.",
            ClientErrorCode::ServerError => "Tell the operator of this gateway; the cause stands in its log.",
            ClientErrorCode::InvalidRequest => "This is a fault of the client; tell its maker.",
            ClientErrorCode::InvalidClient => match self {
                Self::Unknown | Self::Expired | Self::Forgotten => {
                    "Remove this gateway from the client and add it again: then the client registers anew."
                }
                Self::DocumentsOff => {
                    "Let the client register itself, or set it up with a client id that the operator has listed in \
                     oauth.clients."
                }
                _ => "Only the maker of the client can repair this.",
            },
        }
    }
}

/// Why a registration is refused (RFC 7591 3.2.2).
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// 400 `invalid_redirect_uri`.
    #[error("the redirect URI at place {place} of redirect_uris {problem}")]
    RedirectUri {
        /// Which, counted from 1. Not quoted: it goes to logs.
        place: usize,
        /// What is wrong with it.
        problem: BadRedirectUri,
    },
    /// 400 `invalid_client_metadata`.
    #[error("the client metadata {0}")]
    Metadata(MetadataProblem),
    /// A fault of ours.
    #[error("the registration could not be sealed")]
    Crypto(#[from] CryptoError),
}

impl RegistrationError {
    /// The error code of the answer.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RedirectUri { .. } | Self::Metadata(MetadataProblem::NoRedirectUris) => "invalid_redirect_uri",
            Self::Metadata(_) => "invalid_client_metadata",
            Self::Crypto(_) => "server_error",
        }
    }
}
