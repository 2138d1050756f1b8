//! Runs an operation of OwnerRez for any tool: scope, arguments, consent, request, response.

use std::sync::Arc;

use rmcp::model::CallToolResult;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    BAD_ARGUMENTS, CallOutcome, ClientElicitation, INSUFFICIENT_SCOPE, Response, Toolbox,
    by_word::{ByWord, MOST_PAGES},
    confirm::Consent,
    drafts, error_messages,
    tool_outcome::{error_result, response_of, success_result},
    write_messages,
    writes::Write,
};
use crate::{
    catalog::{ArgumentError, Operation, WriteOptions},
    domain::{ErrorCode, Principal, RawJson, UpstreamRequest},
    session::{Answer, CallError},
};

/// A request, its write options, and the draft that it uses.
type PreparedCall = (Arc<UpstreamRequest>, WriteOptions, Option<Consent>);

/// The caller of an operation, and the context of the call.
#[derive(Clone, Copy)]
pub(super) struct Invocation<'a> {
    pub(super) caller: &'a Principal,
    pub(super) elicitation: &'a ClientElicitation,
    pub(super) by_call_operation: bool,
}

impl Toolbox {
    /// Runs an operation of OwnerRez. All tools that call an operation use this function.
    pub(super) async fn run(
        &self,
        operation: &Operation,
        Invocation { caller, elicitation, by_call_operation }: Invocation<'_>,
        arguments: Map<String, Value>,
        cancel: &CancellationToken,
    ) -> (Response, CallOutcome) {
        if !operation.is_allowed_for(caller.scope) {
            return (
                error_result(error_messages::insufficient_scope(operation.name())).into(),
                CallOutcome::error(INSUFFICIENT_SCOPE),
            );
        }
        let view = operation.view(&arguments);
        let by_word = ByWord::of(operation, &arguments);
        let (request, options, draft) = match self.prepare(operation, caller, arguments) {
            Ok(prepared) => prepared,
            Err((message, code)) => return (error_result(message).into(), CallOutcome::error(code)),
        };
        if operation.changes(&request) {
            let parts = &self.0;
            let write =
                Write { parts, caller, operation, request, options, draft, elicitation, by_call_operation, cancel };
            let (response, call_outcome) = Box::pin(write.execute()).await;
            return (response.into(), call_outcome);
        }
        let outcome = self.0.sessions.call(caller.user, &request, cancel).await;
        let (outcome, notice) = match by_word {
            Some(by_word) => self.by_word(operation, caller, &request, outcome, &by_word, cancel).await,
            None => (outcome, None),
        };
        let mut call_outcome = CallOutcome::of(&outcome);
        let given =
            match outcome.and_then(|answer| Ok(operation.render(&view, &request, answer.status, &answer.body)?)) {
                Ok(shown) => Ok(match notice {
                    Some(notice) => shown.with_notice("note", &notice),
                    None => shown,
                }),
                Err(error) => {
                    call_outcome.error = Some(error.code());
                    Err(Box::pin(error_messages::explain(&self.0.links, caller, operation, &error)).await)
                }
            };
        (response_of(given), call_outcome)
    }

    /// Makes the second attempt of a search that found nothing as one text; also returns the note for the response.
    async fn by_word(
        &self,
        operation: &Operation,
        caller: &Principal,
        request: &UpstreamRequest,
        first: Result<Answer, CallError>,
        by_word: &ByWord,
        cancel: &CancellationToken,
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
            let answer = match self.0.sessions.call(caller.user, &request, cancel).await {
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
        &self,
        operation: &Operation,
        caller: &Principal,
        mut arguments: Map<String, Value>,
    ) -> Result<PreparedCall, (String, ErrorCode)> {
        let invalid = |problem: ArgumentError| (problem.to_string(), BAD_ARGUMENTS);
        let options = operation.options(&mut arguments).map_err(invalid)?;
        let given = match operation.request(&arguments) {
            Ok(request) => Some(request),
            Err(_) if options.draft_id.is_some() && arguments.is_empty() => None,
            Err(problem) => {
                let message = match operation.draft() {
                    Some(tool) => format!("{problem} {}", write_messages::or_a_draft(&tool.name)),
                    None => problem.to_string(),
                };
                return Err((message, BAD_ARGUMENTS));
            }
        };
        let draft = drafts::open_draft(&self.0, caller, &options)
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
    pub(super) async fn draft(
        &self,
        name: &str,
        operation: &Operation,
        Invocation { caller, by_call_operation, .. }: Invocation<'_>,
        arguments: &Map<String, Value>,
    ) -> (CallToolResult, CallOutcome) {
        if !operation.is_allowed_for(caller.scope) {
            return (
                error_result(error_messages::insufficient_scope(operation.name())),
                CallOutcome::error(INSUFFICIENT_SCOPE),
            );
        }
        let request = match operation.request(arguments) {
            Ok(request) => request,
            Err(problem) => {
                let problem = ArgumentError { tool: name.into(), ..problem };
                return (error_result(problem.to_string()), CallOutcome::error(BAD_ARGUMENTS));
            }
        };
        match drafts::draft(&self.0, caller, operation, &request, by_call_operation) {
            Ok(draft) => (success_result(draft), CallOutcome::default()),
            Err(error) => {
                let error = CallError::from(error);
                let message = error_messages::explain(&self.0.links, caller, operation, &error).await;
                (error_result(message), CallOutcome::of(&Err(error)))
            }
        }
    }
}
