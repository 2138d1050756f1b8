//! How a call ended, and what it is on the wire.

use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use serde_json::Value;

use super::Trace;
use crate::catalog::Shown;

/// The member of an answer that names what was ignored of the arguments.
const IGNORED: &str = "ignored_arguments";

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Called {
    /// The tool's name, as logs and counters know it.
    pub tool: String,
    /// What the model gets, or what its person is asked.
    pub response: Response,
    /// What the log learns.
    pub trace: Trace,
}

/// What a call gives.
#[derive(Clone, Debug)]
pub enum Response {
    /// An answer.
    Answer(Shown),
    /// Anything else that the protocol has: refusals, questions to a person.
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
            Response::Answer(answer) => shown(answer).into(),
            Response::Other(response) => response,
        }
    }
}

impl Response {
    /// Adds what was ignored of the arguments. A question to a person stays as it is, because the same call comes again.
    #[must_use]
    pub(super) fn with_ignored(self, ignored: &[String]) -> Self {
        if ignored.is_empty() {
            return self;
        }
        let remark = ignored.join("; ");
        match self {
            Self::Answer(shown) => Self::Answer(shown.with_remark(IGNORED, &remark)),
            Self::Other(CallToolResponse::Complete(mut result)) => {
                match &mut result.structured_content {
                    Some(Value::Object(members)) => {
                        members.insert(IGNORED.to_owned(), Value::from(remark));
                        let text = Value::Object(members.clone()).to_string();
                        result.content = vec![ContentBlock::text(text)];
                    }
                    _ => result.content.push(ContentBlock::text(format!("Ignored: {remark}."))),
                }
                Self::Other(CallToolResponse::Complete(result))
            }
            other => other,
        }
    }
}

impl Called {
    /// One that ended before anything was sent.
    pub(super) fn refused(tool: &str, told: String, code: &'static str) -> Self {
        Self { tool: tool.to_owned(), response: failed(told).into(), trace: Trace::error(code) }
    }
}

/// Returns what a call gives: an answer, or the words of a refusal.
pub(super) fn response_of(given: Result<Shown, String>) -> Response {
    given.map_or_else(|told| failed(told).into(), Response::Answer)
}

pub(super) fn answered(answer: Value) -> CallToolResult {
    shown(Shown::whole(&answer))
}

/// What an answer is on the wire.
pub(super) fn shown(shown: Shown) -> CallToolResult {
    let structured = shown.structured();
    let mut result = CallToolResult::success(vec![ContentBlock::text(shown.table.unwrap_or(shown.json))]);
    result.structured_content = Some(structured);
    result
}

pub(super) fn failed(text: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}
