//! Runs an operation of OwnerRez for any tool: arguments, consent, request, response.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    by_word::{ByWord, MOST_PAGES},
    call_log_info::CallLogInfo,
    confirm::Consent,
    drafts, error_messages,
    invocation::Invocation,
    outcome::{LoggedOutcome, Outcome, rejected},
    tool_call::CallContext,
    write_messages,
    writes::Write,
};
use crate::{
    catalog::{ArgumentError, WriteOptions},
    domain::{ErrorCode, RawJson, UpstreamRequest},
    session::{Answer, CallError},
};

/// A request, its write options, and the draft that it uses.
type PreparedCall = (Arc<UpstreamRequest>, WriteOptions, Option<Consent>);

/// Runs an operation of OwnerRez. All tools that call an operation use this function.
pub(super) async fn run(invocation: Invocation<'_>, arguments: Map<String, Value>) -> LoggedOutcome {
    let Invocation { deps, context, operation, by_call_operation } = invocation;
    let CallContext { caller, elicitation, cancel, .. } = context;
    let view = operation.view(&arguments);
    let by_word = ByWord::of(operation, &arguments);
    let (request, options, draft) = match prepare(&invocation, arguments) {
        Ok(prepared) => prepared,
        Err((message, code)) => return rejected(code, message),
    };
    if operation.changes(&request) {
        let write = Write { deps, caller, operation, request, options, draft, elicitation, by_call_operation, cancel };
        return Box::pin(write.execute()).await;
    }
    let outcome = deps.sessions.call(caller.user, &request, cancel).await;
    let (outcome, notice) = match by_word {
        Some(by_word) => search_by_word(&invocation, &request, outcome, &by_word).await,
        None => (outcome, None),
    };
    let mut log_info = CallLogInfo::of(&outcome);
    match outcome.and_then(|answer| Ok(operation.render(&view, &request, answer.status, &answer.body)?)) {
        Ok(shown) => {
            let shown = match notice {
                Some(notice) => shown.with_notice("note", &notice),
                None => shown,
            };
            (Outcome::Answer(shown), log_info)
        }
        Err(error) => {
            let code = error.code();
            log_info.error = Some(code);
            let message = Box::pin(error_messages::explain(&deps.links, caller, operation, &error)).await;
            (Outcome::Problem { code, message }, log_info)
        }
    }
}

/// Makes the second attempt of a search that found nothing as one text; also returns the note for the response.
async fn search_by_word(
    Invocation { deps, context, operation, .. }: &Invocation<'_>,
    request: &UpstreamRequest,
    first: Result<Answer, CallError>,
    by_word: &ByWord,
) -> (Result<Answer, CallError>, Option<String>) {
    let items = |request: &UpstreamRequest, answer: &Answer| {
        let page = operation.normalize(request, answer.status, &answer.body).ok()?;
        Some((page["items"].as_array()?.clone(), page["next_offset"].as_u64()))
    };
    let found_nothing = |answer: &Answer| items(request, answer).is_some_and(|(items, _)| items.is_empty());
    if !first.as_ref().is_ok_and(found_nothing) {
        return (first, None);
    }
    let (mut fitting, mut looked_through, mut offset) = (Vec::new(), 0, Some(0));
    for _ in 0..MOST_PAGES {
        let Some(request) = offset.and_then(|offset| operation.request(&by_word.page(offset)).ok()) else { break };
        let request = Arc::new(request);
        let answer = match deps.sessions.call(context.caller.user, &request, context.cancel).await {
            Ok(answer) => answer,
            Err(error) => return (Err(error), None),
        };
        let Some((page, next)) = items(&request, &answer) else { break };
        looked_through += page.len();
        fitting.extend(page.into_iter().filter(|guest| by_word.matches(guest)));
        offset = next;
    }
    let notice = by_word.note(looked_through, offset.is_some());
    let body = RawJson::new(json!({"items": fitting}).to_string().into());
    (first.map(|first| Answer { body: body.unwrap_or_default(), ..first }), Some(notice))
}

/// Returns the request of these arguments, its write options and its draft, or an error message and its code. Other
/// arguments given with the id of a draft are compared with the draft later.
fn prepare(
    Invocation { deps, context, operation, .. }: &Invocation<'_>,
    mut arguments: Map<String, Value>,
) -> Result<PreparedCall, (String, ErrorCode)> {
    let invalid = |problem: ArgumentError| (problem.to_string(), ErrorCode::InvalidArguments);
    let options = operation.options(&mut arguments).map_err(invalid)?;
    let given = match operation.request(&arguments) {
        Ok(request) => Some(request),
        Err(_) if options.draft_id.is_some() && arguments.is_empty() => None,
        Err(problem) => {
            let message = match operation.draft() {
                Some(tool) => format!("{problem} {}", write_messages::or_a_draft(&tool.name)),
                None => problem.to_string(),
            };
            return Err((message, ErrorCode::InvalidArguments));
        }
    };
    let draft = drafts::open_draft(deps, context.caller, &options)
        .map_err(|refusal| (write_messages::refused(refusal, operation), refusal.code()))?;
    let request = match (given, &draft) {
        (Some(request), _) => request,
        (None, draft) => {
            let arguments = draft.as_ref().map(|draft| draft.arguments.clone()).unwrap_or_default();
            operation.request(&arguments).map_err(invalid)?
        }
    };
    Ok((Arc::new(request), options, draft))
}

/// Shows what an operation would send. Needs no consent and sends nothing.
pub(super) async fn draft(name: &str, invocation: Invocation<'_>, arguments: &Map<String, Value>) -> LoggedOutcome {
    let Invocation { deps, context: CallContext { caller, .. }, operation, by_call_operation } = invocation;
    let request = match operation.request(arguments) {
        Ok(request) => request,
        Err(problem) => {
            let problem = ArgumentError { tool: name.into(), ..problem };
            return rejected(ErrorCode::InvalidArguments, problem.to_string());
        }
    };
    match drafts::draft(deps, caller, operation, &request, by_call_operation) {
        Ok(draft) => (Outcome::Draft(draft), CallLogInfo::default()),
        Err(error) => {
            let error = CallError::from(error);
            let message = error_messages::explain(&deps.links, caller, operation, &error).await;
            (Outcome::Problem { code: error.code(), message }, CallLogInfo::of(&Err(error)))
        }
    }
}
