//! The tools that models call, on top of the sessions. This module is independent of HTTP; the MCP server calls it.
//!
//! - `answers`: composite tools that combine several operations
//! - `by_word`: the second attempt of a search for several words
//! - `run`: runs an operation of OwnerRez; `called`: the outcome of a call
//! - `writes`: the checks for every write; `confirm`: the user's consent; `drafts`: messages in two steps; `question`:
//!   the confirmation question; `write_words`: the texts
//! - `links`: connect links; `text`: error texts; `trace`: the logged part of a call

mod answers;
mod by_word;
mod called;
mod choice;
mod confirm;
mod drafts;
mod links;
mod on_demand;
mod prompts;
mod question;
mod resources;
mod run;
#[cfg(test)]
mod tests;
mod text;
mod trace;
mod unknown_tool;
mod write_words;
mod writes;

use std::{collections::BTreeSet, sync::Arc};

use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, JsonObject, Tool};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::{
    answers::Answers,
    called::{Called, Response},
    choice::{Choice, Toolsets, UnknownName, Wishes},
    confirm::{ERRAND, Person, PersonReply, QUESTION},
    links::{ACCOUNT_PATH, ConnectLinks, LINK_PATH, LinkError, LinkWay, OpenLink},
    on_demand::OnDemand,
    prompts::Prompts,
    resources::{Resources, Unread},
    trace::Trace,
    unknown_tool::UnknownTool,
};
use self::{
    called::{answered, failed, response_of, shown},
    choice::Kind,
    on_demand::{CALL_OPERATION, FIND_OPERATION, Passed},
    run::Asked,
};
use crate::{
    catalog::{self, Catalog, Operation, RenderedResponse},
    crypto::KeyRing,
    domain::{Principal, Scope},
    metrics::Metrics,
    session::Sessions,
};

/// The error code of a call that the caller's key does not allow.
const INSUFFICIENT_SCOPE: &str = "insufficient_scope";
/// The error code of a call whose arguments were rejected before a request was sent.
const BAD_ARGUMENTS: &str = "invalid_arguments";

/// The error code of a call of an unknown operation.
const UNKNOWN_OPERATION: &str = "unknown_operation";
/// The error code of a call of a tool that the connection did not select.
const NOT_CHOSEN: &str = "tool_not_chosen";

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
    pub answers: Answers,
    /// The tools that find and call operations that are not listed.
    pub on_demand: OnDemand,
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
struct Route<'a> {
    person: &'a Person,
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
    pub fn choose(&self, caller: &Principal, wishes: &Wishes) -> Result<Choice, UnknownName> {
        let known = || self.kinds().map(|(kind, _)| kind.name).collect();
        Choice::new(caller, wishes, known, CALL_OPERATION)
    }

    /// Returns the selected tools as `tools/list` shows them, ordered by name: the same list for the same selection.
    pub fn list(&self, choice: &Choice) -> Vec<Tool> {
        let chosen = self.kinds().filter(|(kind, _)| choice.lists(*kind));
        let mut tools: Vec<Tool> = chosen.map(|(_, tool)| tool.clone()).collect();
        if choice.is_read_only() {
            tools = tools.into_iter().map(OnDemand::reading).collect();
        }
        if choice.shows_outputs() {
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
        of_operation.or_else(|| self.0.answers.get(name)?.output_schema())
    }

    /// Checks a response against the output schema. Clients that know the schema discard a response that does not match
    /// it. OwnerRez may change its responses; such a response is returned in a member that the schema does not
    /// restrict.
    fn keeping_promises(&self, name: &str, response: &mut Response) {
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
    fn kinds(&self) -> impl Iterator<Item = (Kind<'_>, &Tool)> {
        let operations = self.0.catalog.operations().map(|operation| (Kind::from(operation), operation.tool()));
        let answers = self.0.answers.all().map(|answer| (answer.kind(), answer.tool()));
        // A draft tool has the attributes of its operation: without write access it is of no use.
        let drafts = self.0.catalog.operations().filter_map(|operation| {
            let tool = operation.draft()?;
            Some((Kind { name: &tool.name, ..Kind::from(operation) }, tool))
        });
        operations.chain(answers).chain(drafts).chain(self.0.on_demand.kinds())
    }

    /// Returns one of them by its name.
    fn kind(&self, name: &str) -> Option<(Kind<'_>, &Tool)> {
        if let Some(operation) = self.0.catalog.get(name) {
            return Some((Kind::from(operation), operation.tool()));
        }
        self.kinds().find(|(kind, _)| kind.name == name)
    }

    /// Returns a tool by its name.
    pub fn tool(&self, name: &str) -> Option<Tool> {
        self.kind(name).map(|(_, tool)| tool.clone())
    }

    /// Returns whether a call requires more than this scope. Unknown tools require nothing.
    pub fn is_beyond(&self, name: &str, arguments: &Map<String, Value>, scope: Scope) -> bool {
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
        choice: &Choice,
        name: &str,
        arguments: Map<String, Value>,
        person: &Person,
        cancel: &CancellationToken,
    ) -> Result<Called, UnknownTool> {
        if name == CONNECT_TOOL && choice.is_open() {
            let text = Box::pin(text::how_to_connect(&self.0.links, caller)).await;
            let result = CallToolResult::success(vec![ContentBlock::text(text)]);
            return Ok(Called { tool: CONNECT_TOOL.to_owned(), response: result.into(), trace: Trace::default() });
        }
        let unasked;
        let person = if choice.takes_two_steps() {
            unasked = Person { can_be_asked: false, reply: None, ..person.clone() };
            &unasked
        } else {
            person
        };
        let called = match name {
            CALL_OPERATION if self.not_chosen(choice, caller, name).is_none() => {
                match self.0.on_demand.passed_on(&self.0.catalog, arguments) {
                    Ok(Passed { name, arguments, ignored }) => {
                        let route = Route { person, by_call_operation: true, ignored };
                        match Box::pin(self.call_tool(caller, choice, &name, arguments, route, cancel)).await {
                            Ok(called) => called,
                            Err(unknown) => {
                                Called::refused(CALL_OPERATION, text::no_operation(&unknown), UNKNOWN_OPERATION)
                            }
                        }
                    }
                    Err(problem) => Called::refused(CALL_OPERATION, problem, BAD_ARGUMENTS),
                }
            }
            name => {
                let route = Route { person, by_call_operation: false, ignored: Vec::new() };
                self.call_tool(caller, choice, name, arguments, route, cancel).await?
            }
        };
        self.0.metrics.tool_call(&called.tool, called.trace.error.unwrap_or("ok"));
        let unconnected = matches!(called.trace.error, Some("not_connected" | "needs_reconnect"));
        if unconnected
            && person.can_be_sent
            && let Some(page) = Box::pin(text::where_to_connect(&self.0.links, caller)).await
        {
            let errand = confirm::errand(text::GO_AND_CONNECT.to_owned(), page);
            return Ok(Called { response: Response::Other(errand.into()), ..called });
        }
        Ok(called)
    }

    /// Calls any tool except `call_operation`.
    async fn call_tool(
        &self,
        caller: &Principal,
        choice: &Choice,
        name: &str,
        mut arguments: Map<String, Value>,
        route: Route<'_>,
        cancel: &CancellationToken,
    ) -> Result<Called, UnknownTool> {
        let Route { person, by_call_operation, mut ignored } = route;
        let (tool, mut response, trace) = if let Some(refused) = self.not_chosen(choice, caller, name) {
            (name.to_owned(), failed(refused).into(), Trace::error(NOT_CHOSEN))
        } else if let Some(answer) = self.0.answers.get(name) {
            ignored.extend(answer.definition().remove_ignored(&mut arguments, true));
            let (given, trace) = Box::pin(answer.give(&self.0, caller, arguments, cancel)).await;
            (answer.name().to_owned(), response_of(given), trace)
        } else if name == FIND_OPERATION {
            ignored.extend(self.0.on_demand.find_definition().remove_ignored(&mut arguments, true));
            let found = self.0.on_demand.find(&self.0.catalog, choice, arguments);
            let trace = found.as_ref().map_or(Trace::error(BAD_ARGUMENTS), |_| Trace::default());
            (name.to_owned(), response_of(found.map(|found| RenderedResponse::unreduced(&found))), trace)
        } else if let Some(operation) = self.0.catalog.get(name) {
            ignored.extend(operation.remove_ignored(&mut arguments));
            let asked = Asked { caller, person, by_call_operation };
            let (response, trace) = self.run(operation, asked, arguments, cancel).await;
            (operation.name().to_owned(), response, trace)
        } else if let Some(operation) = self.0.catalog.drafted_by(name) {
            ignored.extend(operation.remove_ignored(&mut arguments));
            let asked = Asked { caller, person, by_call_operation };
            let (result, trace) = Box::pin(self.draft(name, operation, asked, &arguments)).await;
            (name.to_owned(), result.into(), trace)
        } else {
            return Err(self.unknown(name));
        };
        // `call_operation` and the called tool may both have ignored the same argument.
        let mut told = BTreeSet::new();
        ignored.retain(|remark| told.insert(remark.clone()));
        if choice.shows_outputs() {
            self.keeping_promises(name, &mut response);
        }
        Ok(Called { tool, response: response.with_ignored(&ignored), trace })
    }

    /// Returns why an existing tool cannot be called on this connection.
    fn not_chosen(&self, choice: &Choice, caller: &Principal, name: &str) -> Option<String> {
        let (kind, _) = self.kind(name)?;
        if !choice.holds(kind) {
            return Some(text::not_chosen(name));
        }
        // If the key's own scope forbids the call, a later check returns that error.
        (!choice.reaches(kind) && caller.scope == Scope::Full).then(|| text::reads_only(name))
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
    ) -> (Result<Value, Unread>, String, Trace) {
        let (outcome, operation, trace) = self.0.resources.read(&self.0, caller, uri, cancel).await;
        self.0.metrics.tool_call(&operation, trace.error.unwrap_or("ok"));
        (outcome, operation, trace)
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
        let known = self.kinds().map(|(kind, _)| kind.name).filter(|known| *known != name);
        let near = catalog::suggest(name, known).or_else(|| catalog.same_act(name).filter(|known| *known != name));
        UnknownTool {
            asked: catalog::shown_name(name),
            near: near.map(str::to_owned),
            impossible: catalog.impossible(name),
        }
    }
}
