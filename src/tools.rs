//! The tools that models call, on top of the sessions. This module is independent of HTTP; the MCP server calls it.
//!
//! - `composite`: composite tools that combine several operations
//! - `by_word`: the second attempt of a search for several words
//! - `run`: runs an operation of OwnerRez; `tool_outcome`: the outcome of a call
//! - `writes`: the checks for every write; `confirm`: the user's consent; `drafts`: messages in two steps; `question`:
//!   the confirmation question; `write_messages`: the texts
//! - `tool_selection`: the tools of a connection; `tool_search`: finding and calling the others
//! - `links`: connect links; `error_messages`: error texts; `call_outcome`: the logged part of a call

mod by_word;
mod call_outcome;
mod composite;
mod confirm;
mod drafts;
mod error_messages;
mod links;
mod prompts;
mod question;
mod resources;
mod run;
#[cfg(test)]
mod tests;
mod tool_outcome;
mod tool_search;
mod tool_selection;
mod unknown_tool;
mod write_messages;
mod writes;

use std::{collections::BTreeSet, sync::Arc};

use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, JsonObject, Tool};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::{
    call_outcome::CallOutcome,
    composite::CompositeTools,
    confirm::{ClientElicitation, ElicitationReply, FORM_ELICITATION, URL_ELICITATION},
    links::{ACCOUNT_PATH, ConnectLinks, ConnectMode, LINK_PATH, LinkError, OpenLink},
    prompts::Prompts,
    resources::{ReadError, Resources},
    tool_outcome::{Response, ToolOutcome},
    tool_search::ToolSearch,
    tool_selection::{ToolSelection, ToolSelectionRequest, Toolsets, UnknownName},
    unknown_tool::UnknownTool,
};
use self::{
    run::Invocation,
    tool_outcome::{error_result, rendered_result, response_of, success_result},
    tool_search::{CALL_OPERATION, FIND_OPERATION, ForwardedCall},
    tool_selection::ToolInfo,
};
use crate::{
    catalog::{self, Catalog, Operation, RenderedResponse},
    crypto::KeyRing,
    domain::{ErrorCode, Principal, Scope},
    metrics::Metrics,
    session::Sessions,
};

/// The error code of a call that the caller's key does not allow.
const INSUFFICIENT_SCOPE: ErrorCode = ErrorCode::InsufficientScope;
/// The error code of a call whose arguments were rejected before a request was sent.
const BAD_ARGUMENTS: ErrorCode = ErrorCode::InvalidArguments;

/// The error code of a call of an unknown operation.
const UNKNOWN_OPERATION: ErrorCode = ErrorCode::UnknownOperation;
/// The error code of a call of a tool that the connection did not select.
const NOT_SELECTED: ErrorCode = ErrorCode::ToolNotChosen;

/// The legacy tool that returned the connect link. Clients of its users may still call it; it is not listed, because
/// every tool returns that link when it is needed.
const CONNECT_TOOL: &str = "get_oauth_url";

/// All tools. Cheap to clone.
#[derive(Clone)]
pub struct Toolbox(Arc<Parts>);

/// The dependencies of the tools.
pub struct Parts {
    /// The operations of OwnerRez.
    pub catalog: Catalog,
    /// The composite tools.
    pub composite_tools: CompositeTools,
    /// The tools that find and call operations that are not listed.
    pub tool_search: ToolSearch,
    /// Records as MCP resources.
    pub resources: Resources,
    /// The prompts, which clients show as commands.
    pub prompts: Prompts,
    /// The sessions of the users.
    pub sessions: Sessions,
    /// Connect links for users without a connected account.
    pub links: ConnectLinks,
    /// Encrypts drafts and confirmations, and creates the digests that identify recorded writes.
    pub ring: Arc<KeyRing>,
    /// URL of the OwnerRez application, for links to its pages.
    pub app_url: Url,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

/// The context of a call.
struct CallContext<'a> {
    elicitation: &'a ClientElicitation,
    /// Whether the client called the tool through `call_operation`.
    by_call_operation: bool,
    /// A notice for each ignored argument.
    ignored: Vec<String>,
}

impl Toolbox {
    /// Creates a toolbox with these dependencies.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Returns the tools that a request of this caller selects.
    ///
    /// # Errors
    /// A name that is neither a toolset nor a tool.
    pub fn select_tools(
        &self,
        caller: &Principal,
        requested: &ToolSelectionRequest,
    ) -> Result<ToolSelection, UnknownName> {
        let known = || self.tool_infos().map(|(info, _)| info.name).collect();
        ToolSelection::new(caller, requested, known, CALL_OPERATION)
    }

    /// Returns the selected tools as `tools/list` shows them, ordered by name: the same list for the same selection.
    pub fn list(&self, selection: &ToolSelection) -> Vec<Tool> {
        let chosen = self.tool_infos().filter(|(info, _)| selection.lists(*info));
        let mut tools: Vec<Tool> = chosen.map(|(_, tool)| tool.clone()).collect();
        if selection.is_read_only() {
            tools = tools.into_iter().map(ToolSearch::reading).collect();
        }
        if selection.shows_outputs() {
            for tool in &mut tools {
                tool.output_schema = self.output_schema(&tool.name).cloned();
            }
        }
        tools.sort_by(|one, other| one.name.cmp(&other.name));
        tools
    }

    /// Returns the output schema of a tool, if it has one.
    fn output_schema(&self, name: &str) -> Option<&Arc<JsonObject>> {
        let of_operation = self.0.catalog.get(name).and_then(Operation::output_schema);
        of_operation.or_else(|| self.0.composite_tools.get(name)?.output_schema())
    }

    /// Checks a response against the output schema. Clients that know the schema discard a response that does not match
    /// it. OwnerRez may change its responses; such a response is returned in a member that the schema does not
    /// restrict.
    fn enforce_output_schema(&self, name: &str, response: &mut Response) {
        let answer = match response {
            Response::Answer(shown) => Some(shown.structured()),
            Response::Other(CallToolResponse::Complete(result)) => result.structured_content.clone(),
            Response::Other(_) => None,
        };
        let (Some(schema), Some(answer)) = (self.output_schema(name), answer) else { return };
        if !catalog::matches_schema(&answer, schema) {
            log::warn!("a response of {name} does not match its output schema");
            let note = "The response of OwnerRez does not match the output schema of this tool.";
            *response = Response::Answer(RenderedResponse::unreduced(&json!({"value": answer, "note": note})));
        }
    }

    /// Returns all tools, with the attributes for the selection.
    fn tool_infos(&self) -> impl Iterator<Item = (ToolInfo<'_>, &Tool)> {
        let operations = self.0.catalog.operations().map(|operation| (ToolInfo::from(operation), operation.tool()));
        let composite_tools = self.0.composite_tools.all().map(|answer| (answer.tool_info(), answer.tool()));
        // A draft tool has the attributes of its operation: without write access it is of no use.
        let drafts = self.0.catalog.operations().filter_map(|operation| {
            let tool = operation.draft()?;
            Some((ToolInfo { name: &tool.name, ..ToolInfo::from(operation) }, tool))
        });
        operations.chain(composite_tools).chain(drafts).chain(self.0.tool_search.tool_infos())
    }

    /// Returns one of them by its name.
    fn tool_info(&self, name: &str) -> Option<(ToolInfo<'_>, &Tool)> {
        if let Some(operation) = self.0.catalog.get(name) {
            return Some((ToolInfo::from(operation), operation.tool()));
        }
        self.tool_infos().find(|(info, _)| info.name == name)
    }

    /// Returns a tool by its name.
    pub fn tool(&self, name: &str) -> Option<Tool> {
        self.tool_info(name).map(|(_, tool)| tool.clone())
    }

    /// Returns whether a call requires more than this scope. Unknown tools require nothing.
    pub fn requires_more_than(&self, name: &str, arguments: &Map<String, Value>, scope: Scope) -> bool {
        let name = match name {
            CALL_OPERATION => arguments.get("name").and_then(Value::as_str).unwrap_or_default(),
            name => name,
        };
        let operation = self.0.catalog.get(name).or_else(|| self.0.catalog.drafted_by(name));
        operation.is_some_and(|operation| !operation.is_allowed_for(scope))
    }

    /// Calls a tool. Cancelling removes a waiting call and aborts a running read; a write that was sent runs to
    /// completion.
    pub async fn call(
        &self,
        caller: &Principal,
        selection: &ToolSelection,
        name: &str,
        arguments: Map<String, Value>,
        elicitation: &ClientElicitation,
        cancel: &CancellationToken,
    ) -> Result<ToolOutcome, UnknownTool> {
        if name == CONNECT_TOOL && selection.allows_unlisted() {
            let text = Box::pin(error_messages::how_to_connect(&self.0.links, caller)).await;
            let result = CallToolResult::success(vec![ContentBlock::text(text)]);
            return Ok(ToolOutcome {
                tool: CONNECT_TOOL.to_owned(),
                response: result.into(),
                call_outcome: CallOutcome::default(),
            });
        }
        let without_form;
        let elicitation = if selection.takes_two_steps() {
            without_form = ClientElicitation { supports_form: false, reply: None, ..elicitation.clone() };
            &without_form
        } else {
            elicitation
        };
        let outcome = match name {
            CALL_OPERATION if self.not_selected(selection, caller, name).is_none() => {
                match self.0.tool_search.unwrap_call(&self.0.catalog, arguments) {
                    Ok(ForwardedCall { name, arguments, ignored }) => {
                        let call_context = CallContext { elicitation, by_call_operation: true, ignored };
                        match Box::pin(self.call_tool(caller, selection, &name, arguments, call_context, cancel)).await
                        {
                            Ok(outcome) => outcome,
                            Err(unknown) => ToolOutcome::refused(
                                CALL_OPERATION,
                                error_messages::no_operation(&unknown),
                                UNKNOWN_OPERATION,
                            ),
                        }
                    }
                    Err(problem) => ToolOutcome::refused(CALL_OPERATION, problem, BAD_ARGUMENTS),
                }
            }
            name => {
                let call_context = CallContext { elicitation, by_call_operation: false, ignored: Vec::new() };
                self.call_tool(caller, selection, name, arguments, call_context, cancel).await?
            }
        };
        self.0.metrics.tool_call(&outcome.tool, outcome.call_outcome.error.map_or("ok", ErrorCode::as_str));
        let unconnected =
            matches!(outcome.call_outcome.error, Some(ErrorCode::NotConnected | ErrorCode::NeedsReconnect));
        if unconnected
            && elicitation.supports_url
            && let Some(page) = Box::pin(error_messages::where_to_connect(&self.0.links, caller)).await
        {
            let url_elicitation = confirm::url_elicitation(error_messages::CONNECT_PROMPT.to_owned(), page);
            return Ok(ToolOutcome { response: Response::Other(url_elicitation.into()), ..outcome });
        }
        Ok(outcome)
    }

    /// Calls any tool except `call_operation`.
    async fn call_tool(
        &self,
        caller: &Principal,
        selection: &ToolSelection,
        name: &str,
        mut arguments: Map<String, Value>,
        call_context: CallContext<'_>,
        cancel: &CancellationToken,
    ) -> Result<ToolOutcome, UnknownTool> {
        let CallContext { elicitation, by_call_operation, mut ignored } = call_context;
        let (tool, mut response, call_outcome) = if let Some(refused) = self.not_selected(selection, caller, name) {
            (name.to_owned(), error_result(refused).into(), CallOutcome::error(NOT_SELECTED))
        } else if let Some(answer) = self.0.composite_tools.get(name) {
            ignored.extend(answer.definition().remove_ignored(&mut arguments, true));
            let (response, call_outcome) = Box::pin(answer.execute(&self.0, caller, arguments, cancel)).await;
            (answer.name().to_owned(), response_of(response), call_outcome)
        } else if name == FIND_OPERATION {
            ignored.extend(self.0.tool_search.find_definition().remove_ignored(&mut arguments, true));
            let found = self.0.tool_search.find(&self.0.catalog, selection, arguments);
            let call_outcome = found.as_ref().map_or(CallOutcome::error(BAD_ARGUMENTS), |_| CallOutcome::default());
            (name.to_owned(), response_of(found.map(|found| RenderedResponse::unreduced(&found))), call_outcome)
        } else if let Some(operation) = self.0.catalog.get(name) {
            ignored.extend(operation.remove_ignored(&mut arguments));
            let invocation = Invocation { caller, elicitation, by_call_operation };
            let (response, call_outcome) = self.run(operation, invocation, arguments, cancel).await;
            (operation.name().to_owned(), response, call_outcome)
        } else if let Some(operation) = self.0.catalog.drafted_by(name) {
            ignored.extend(operation.remove_ignored(&mut arguments));
            let invocation = Invocation { caller, elicitation, by_call_operation };
            let (result, call_outcome) = Box::pin(self.draft(name, operation, invocation, &arguments)).await;
            (name.to_owned(), result.into(), call_outcome)
        } else {
            return Err(self.unknown(name));
        };
        // `call_operation` and the called tool may both have ignored the same argument.
        let mut seen = BTreeSet::new();
        ignored.retain(|notice| seen.insert(notice.clone()));
        if selection.shows_outputs() {
            self.enforce_output_schema(name, &mut response);
        }
        Ok(ToolOutcome { tool, response: response.with_ignored(&ignored), call_outcome })
    }

    /// Returns why an existing tool cannot be called on this connection.
    fn not_selected(&self, selection: &ToolSelection, caller: &Principal, name: &str) -> Option<String> {
        let (info, _) = self.tool_info(name)?;
        if !selection.contains(info) {
            return Some(error_messages::not_selected(name));
        }
        // If the key's own scope forbids the call, a later check returns that error.
        (!selection.can_call(info) && caller.scope == Scope::Full).then(|| error_messages::reads_only(name))
    }

    /// Returns the number of requests to OwnerRez that this process may send in five minutes (UPSTREAM_LIMIT).
    pub fn request_limit(&self) -> u32 {
        self.0.sessions.request_limit()
    }

    /// Returns the MCP resources.
    pub fn resources(&self) -> &Resources {
        &self.0.resources
    }

    /// Returns the prompts, which clients show as commands.
    pub fn prompts(&self) -> &Prompts {
        &self.0.prompts
    }

    /// Reads the record at a resource URI; also returns the operation's name and the logged part.
    pub async fn read(
        &self,
        caller: &Principal,
        uri: &str,
        cancel: &CancellationToken,
    ) -> (Result<Value, ReadError>, String, CallOutcome) {
        let (outcome, operation, call_outcome) = self.0.resources.read(&self.0, caller, uri, cancel).await;
        self.0.metrics.tool_call(&operation, call_outcome.error.map_or("ok", ErrorCode::as_str));
        (outcome, operation, call_outcome)
    }

    /// Returns the ids of this kind of record that match the typed text.
    pub async fn complete(
        &self,
        caller: &Principal,
        kind: &str,
        typed: &str,
        cancel: &CancellationToken,
    ) -> Vec<String> {
        self.0.resources.complete(&self.0, caller, kind, typed, cancel).await
    }

    fn unknown(&self, name: &str) -> UnknownTool {
        let catalog = &self.0.catalog;
        let known = self.tool_infos().map(|(info, _)| info.name).filter(|known| *known != name);
        let near = catalog::suggest(name, known).or_else(|| catalog.same_act(name).filter(|known| *known != name));
        UnknownTool {
            requested: catalog::shown_name(name),
            suggestion: near.map(str::to_owned),
            impossible: catalog.impossible(name),
        }
    }
}
