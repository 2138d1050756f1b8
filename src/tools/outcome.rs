//! The outcome of a call, independent of the protocol. `mcp::tool_result` writes it as the client's revision defines.

use serde_json::Value;

use super::call_log_info::CallLogInfo;
use crate::{catalog::RenderedResponse, domain::ErrorCode};

/// The outcome of a call.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The data that was requested, or the record that was written.
    Answer(RenderedResponse),
    /// A draft: what would be sent, and the id that sends it.
    Draft(RenderedResponse),
    /// The first of two steps: the effect of the write, and the token that confirms it.
    ConfirmationRequest(RenderedResponse),
    /// The question for the user of a client that supports form elicitation.
    FormElicitation {
        /// The question.
        question: String,
        /// The state that the client returns with the reply.
        state: String,
    },
    /// A web page for the user of a client that supports URL elicitation.
    UrlElicitation {
        /// The reason.
        message: String,
        /// The page.
        url: String,
    },
    /// A text without data.
    Message(String),
    /// The call failed.
    Problem {
        /// The stable code for logs and metrics.
        code: ErrorCode,
        /// What happened, and the next step.
        message: String,
    },
}

impl Outcome {
    /// Returns the outcome with this data.
    pub(super) fn answer(answer: &Value) -> Self {
        Self::Answer(RenderedResponse::unreduced(answer))
    }

    /// Returns the data of a response that a tool's output schema describes.
    pub(super) fn data(&self) -> Option<&RenderedResponse> {
        match self {
            Self::Answer(data) | Self::Draft(data) | Self::ConfirmationRequest(data) => Some(data),
            Self::FormElicitation { .. } | Self::UrlElicitation { .. } | Self::Message(_) | Self::Problem { .. } => {
                None
            }
        }
    }
}

/// The outcome of one operation, and the part that is logged.
pub(super) type LoggedOutcome = (Outcome, CallLogInfo);

/// Returns the outcome of a call that was rejected before anything was sent.
pub(super) fn rejected(code: ErrorCode, message: String) -> LoggedOutcome {
    (Outcome::Problem { code, message }, CallLogInfo::error(code))
}

/// A call that has ended.
#[derive(Clone, Debug)]
pub struct CompletedCall {
    /// The tool's name for logs and metrics.
    pub tool: String,
    /// The outcome for the client.
    pub outcome: Outcome,
    /// A notice for each ignored argument.
    pub ignored: Vec<String>,
    /// The part that is logged.
    pub log_info: CallLogInfo,
}
