//! Recent failures with one user's tokens.

use uuid::Uuid;

use super::rejections::Rejections;
use crate::session::backoff::Backoff;

/// Boxed by each session, because most of the thousands of sessions have no failures.
pub(super) struct Failures {
    /// The pauses between failing refreshes.
    pub(super) refreshes: Backoff,
    /// The connection and the version whose access token OwnerRez has rejected and that is being replaced. The token is
    /// not sent again.
    pub(super) rejected_version: Option<(Uuid, i64)>,
    pub(super) rejections: Option<Rejections>,
}
