//! Reports tool calls to the transport.

use crate::tools::CallLogInfo;

/// Observes tool calls. Stored in the extensions of the request, next to its [`crate::domain::Principal`].
pub trait CallObserver: Send + Sync {
    /// Called after each tool call, with the outcome.
    fn tool_called(&self, tool: &str, log_info: CallLogInfo);
}
