//! The outcome of a tool call, and its form on the wire.

use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use serde_json::Value;

use super::CallOutcome;
use crate::catalog::RenderedResponse;
use crate::domain::ErrorCode;

/// The member of a response that lists the ignored arguments.
const IGNORED: &str = "ignored_arguments";

/// The outcome of a tool call.
#[derive(Clone, Debug)]
pub struct ToolOutcome {
    /// The tool's name for logs and metrics.
    pub tool: String,
    /// The response for the model, or the question for the user.
    pub response: Response,
    /// The part that is logged.
    pub call_outcome: CallOutcome,
}

/// The response of a call.
#[derive(Clone, Debug)]
pub enum Response {
    /// A result.
    Answer(RenderedResponse),
    /// Any other response of the protocol: errors, and questions to the user.
    Other(CallToolResponse),
}

impl From<CallToolResult> for Response {
    fn from(result: CallToolResult) -> Self {
        Self::Other(result.into())
    }
}

impl From<CallToolResponse> for Response {
    fn from(response: CallToolResponse) -> Self {
        Self::Other(response)
    }
}

impl From<Response> for CallToolResponse {
    fn from(response: Response) -> Self {
        match response {
            Response::Answer(answer) => rendered_result(answer).into(),
            Response::Other(response) => response,
        }
    }
}

impl Response {
    /// Adds the ignored arguments. A question to the user stays unchanged, because the client repeats the same call.
    #[must_use]
    pub(super) fn with_ignored(self, ignored: &[String]) -> Self {
        if ignored.is_empty() {
            return self;
        }
        let notice = ignored.join("; ");
        match self {
            Self::Answer(shown) => Self::Answer(shown.with_notice(IGNORED, &notice)),
            Self::Other(CallToolResponse::Complete(mut result)) => {
                match &mut result.structured_content {
                    Some(Value::Object(members)) => {
                        members.insert(IGNORED.to_owned(), Value::from(notice));
                        let text = Value::Object(members.clone()).to_string();
                        result.content = vec![ContentBlock::text(text)];
                    }
                    _ => result.content.push(ContentBlock::text(format!("Ignored: {notice}."))),
                }
                Self::Other(CallToolResponse::Complete(result))
            }
            other => other,
        }
    }
}

impl ToolOutcome {
    /// Returns the outcome of a call that ended before anything was sent.
    pub(super) fn refused(tool: &str, message: String, code: ErrorCode) -> Self {
        Self { tool: tool.to_owned(), response: error_result(message).into(), call_outcome: CallOutcome::error(code) }
    }
}

/// Returns the response of a call: the result, or the text of an error.
pub(super) fn response_of(response: Result<RenderedResponse, String>) -> Response {
    response.map_or_else(|message| error_result(message).into(), Response::Answer)
}

pub(super) fn success_result(answer: Value) -> CallToolResult {
    rendered_result(RenderedResponse::unreduced(&answer))
}

/// Returns the result as it is sent to the client.
pub(super) fn rendered_result(shown: RenderedResponse) -> CallToolResult {
    let structured = shown.structured();
    let mut result = CallToolResult::success(vec![ContentBlock::text(shown.table.unwrap_or(shown.json))]);
    result.structured_content = Some(structured);
    result
}

pub(super) fn error_result(text: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}
