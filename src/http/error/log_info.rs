//! The information that the log records about an error response.

use crate::domain::ErrorCode;

/// Attached to a response for the middleware that writes the request's log line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ErrorLogInfo {
    /// The stable code.
    pub(crate) code: ErrorCode,
    /// The cause, if the client did not cause the error.
    pub(crate) cause: Option<String>,
}
