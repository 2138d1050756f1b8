//! Writes the outcome of a tool call as the client's revision of the protocol defines it.

use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};

use super::{
    elicitation::{form_elicitation, url_elicitation},
    revision::Revision,
};
use crate::{
    catalog::RenderedResponse,
    tools::{CompletedCall, Outcome},
};

/// The member of a result that lists the ignored arguments.
const IGNORED: &str = "ignored_arguments";

/// Returns the result of a call. It lists the ignored arguments, except next to a question to the user, because the
/// client then repeats the same call.
pub(super) fn tool_result(
    revision: Revision,
    CompletedCall { outcome, ignored, .. }: CompletedCall,
) -> CallToolResponse {
    let notice = (!ignored.is_empty()).then(|| ignored.join("; "));
    let mut result = match outcome {
        Outcome::Answer(data) | Outcome::Draft(data) | Outcome::ConfirmationRequest(data) => {
            data_result(match notice {
                Some(notice) => data.with_notice(IGNORED, &notice),
                None => data,
            })
        }
        Outcome::Message(text) => CallToolResult::success(text_content(text, notice)),
        Outcome::Problem { message, .. } => CallToolResult::error(text_content(message, notice)),
        Outcome::FormElicitation { question, state } => return form_elicitation(question, state).into(),
        Outcome::UrlElicitation { message, url } => return url_elicitation(message, url).into(),
    };
    revision.fit_result(&mut result);
    result.into()
}

fn data_result(data: RenderedResponse) -> CallToolResult {
    let structured = data.structured();
    let mut result = CallToolResult::success(vec![ContentBlock::text(data.table.unwrap_or(data.json))]);
    result.structured_content = Some(structured);
    result
}

fn text_content(text: String, notice: Option<String>) -> Vec<ContentBlock> {
    let notice = notice.map(|notice| format!("Ignored: {notice}."));
    [Some(text), notice].into_iter().flatten().map(ContentBlock::text).collect()
}
