//! The reasons for which a metadata document or a key set is rejected.

use super::{fetch::FetchProblem, metadata_problem::MetadataProblem};

/// Reasons for which a metadata document or a key set is rejected. Each text continues a sentence that begins with its
/// location.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DocumentProblem {
    /// It could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchProblem),
    /// Its metadata is invalid.
    #[error(transparent)]
    Metadata(#[from] MetadataProblem),
    /// It names another client. Without this check, a client id could be the URL of any document.
    #[error("has a client_id other than its own URL")]
    OtherClientId,
    /// It contains no key that can verify a signature.
    #[error("contains no RSA key for RS256 and no P-256 key for ES256")]
    NoKeys,
}

impl DocumentProblem {
    /// Returns whether the same request may succeed later without a change to the document.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Fetch(problem) if problem.is_temporary())
    }
}
