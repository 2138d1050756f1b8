//! What a model can do: the tools, over the sessions. This room knows nothing of HTTP; whatever speaks MCP calls it.
//!
//! - `answers`: tools that answer a question, over many operations
//! - `by_word`: a second try of a search by several words
//! - `run`: the one way to an operation of OwnerRez; `called`: how a call ended
//! - `writes`: the gate that every write passes; `confirm` whether a person agreed, `drafts` messages in two steps,
//!   `question` what a person is asked, `write_words` its texts
//! - `links`: connect links; `text`: errors in words; `trace`: what the log learns

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
    catalog::{self, Catalog, Operation, Shown},
    crypto::KeyRing,
    domain::{Caller, Scope},
    metrics::Metrics,
    session::Sessions,
};

/// The outcome of a call that the caller's key does not allow.
const INSUFFICIENT_SCOPE: &str = "insufficient_scope";
/// The outcome of a call whose arguments were refused before anything was sent.
const BAD_ARGUMENTS: &str = "invalid_arguments";

/// The outcome of a call of an operation that there is not.
const UNKNOWN_OPERATION: &str = "unknown_operation";
/// The outcome of a call of a tool that the connection did not choose.
const NOT_CHOSEN: &str = "tool_not_chosen";

/// The predecessor's tool that told where to connect. Its users' clients may still call it; it is not listed, because
/// every tool tells that address when it is needed.
const CONNECT_TOOL: &str = "get_oauth_url";

/// Every tool. Cheap to clone.
#[derive(Clone)]
pub struct Toolbox(Arc<Parts>);

/// What the tools work with.
pub struct Parts {
    /// The operations of OwnerRez.
    pub catalog: Catalog,
    /// The tools that ask several of them.
    pub answers: Answers,
    /// The ways to what is not listed.
    pub on_demand: OnDemand,
    /// Records with addresses.
    pub resources: Resources,
    /// What clients show as commands.
    pub prompts: Prompts,
    /// The way to the users' accounts.
    pub sessions: Sessions,
    /// For users who have not connected an account.
    pub links: ConnectLinks,
    /// Seals drafts and confirmations, and makes the digests under which writes are recorded.
    pub ring: Arc<KeyRing>,
    /// OwnerRez's own application, for links to its pages.
    pub app_url: Url,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// How a call came to its tool.
struct Route<'a> {
    person: &'a Person,
    /// By the tool that calls others, under whose name the client knows it.
    by_call_operation: bool,
    /// A remark for each thing that was ignored of the arguments.
    ignored: Vec<String>,
}

impl Toolbox {
    /// A toolbox over these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The tools that a request of this caller chooses.
    ///
    /// # Errors
    /// A name that is no toolset's or no tool's.
    pub fn choose(&self, caller: &Caller, wishes: &Wishes) -> Result<Choice, UnknownName> {
        let known = || self.kinds().map(|(kind, _)| kind.name).collect();
        Choice::new(caller, wishes, known, CALL_OPERATION)
    }

    /// The chosen tools as `tools/list` shows them, ordered by name: the same list for the same choice.
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

    /// What a tool's answers look like, where that is promised.
    fn output_schema(&self, name: &str) -> Option<&Arc<JsonObject>> {
        let of_operation = self.0.catalog.get(name).and_then(Operation::output_schema);
        of_operation.or_else(|| self.0.answers.get(name)?.output_schema())
    }

    /// Clients that were shown the schema of an answer throw an answer away that does not keep to it. OwnerRez may say
    /// something else tomorrow: then the answer goes into a member that nobody made promises about.
    fn keeping_promises(&self, name: &str, response: &mut Response) {
        let answer = match response {
            Response::Answer(shown) => Some(shown.structured()),
            Response::Other(CallToolResponse::Complete(result)) => result.structured_content.clone(),
            Response::Other(_) => None,
        };
        let (Some(schema), Some(answer)) = (self.output_schema(name), answer) else { return };
        if !catalog::keeps_to(&answer, schema) {
            log::warn!("an answer of {name} is not what its output schema says");
            let note = "OwnerRez answered in a form that the output schema of this tool does not know.";
            *response = Response::Answer(Shown::whole(&json!({"value": answer, "note": note})));
        }
    }

    /// Every tool, and what there is to choose it by.
    fn kinds(&self) -> impl Iterator<Item = (Kind<'_>, &Tool)> {
        let operations = self.0.catalog.operations().map(|operation| (Kind::from(operation), operation.tool()));
        let answers = self.0.answers.all().map(|answer| (answer.kind(), answer.tool()));
        // A draft goes with what it drafts: who may not write has no use for it.
        let drafts = self.0.catalog.operations().filter_map(|operation| {
            let tool = operation.draft()?;
            Some((Kind { name: &tool.name, ..Kind::from(operation) }, tool))
        });
        operations.chain(answers).chain(drafts).chain(self.0.on_demand.kinds())
    }

    /// One of them by its name.
    fn kind(&self, name: &str) -> Option<(Kind<'_>, &Tool)> {
        if let Some(operation) = self.0.catalog.get(name) {
            return Some((Kind::from(operation), operation.tool()));
        }
        self.kinds().find(|(kind, _)| kind.name == name)
    }

    /// One tool by its name.
    pub fn tool(&self, name: &str) -> Option<Tool> {
        self.kind(name).map(|(_, tool)| tool.clone())
    }

    /// Whether a call takes more than this scope. Tools that do not exist take nothing.
    pub fn is_beyond(&self, name: &str, arguments: &Map<String, Value>, scope: Scope) -> bool {
        let name = match name {
            CALL_OPERATION => arguments.get("name").and_then(Value::as_str).unwrap_or_default(),
            name => name,
        };
        let operation = self.0.catalog.get(name).or_else(|| self.0.catalog.drafted_by(name));
        operation.is_some_and(|operation| !operation.is_within(scope))
    }

    /// Calls a tool. Cancelling drops what waits and gives a running read up; a write that was sent runs to its end.
    pub async fn call(
        &self,
        caller: &Caller,
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

    /// Calls anything but what calls others.
    async fn call_tool(
        &self,
        caller: &Caller,
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
            ignored.extend(answer.form().set_aside(&mut arguments, true));
            let (given, trace) = Box::pin(answer.give(&self.0, caller, arguments, cancel)).await;
            (answer.name().to_owned(), response_of(given), trace)
        } else if name == FIND_OPERATION {
            ignored.extend(self.0.on_demand.find_form().set_aside(&mut arguments, true));
            let found = self.0.on_demand.find(&self.0.catalog, choice, arguments);
            let trace = found.as_ref().map_or(Trace::error(BAD_ARGUMENTS), |_| Trace::default());
            (name.to_owned(), response_of(found.map(|found| Shown::whole(&found))), trace)
        } else if let Some(operation) = self.0.catalog.get(name) {
            ignored.extend(operation.set_aside(&mut arguments));
            let asked = Asked { caller, person, by_call_operation };
            let (response, trace) = self.run(operation, asked, arguments, cancel).await;
            (operation.name().to_owned(), response, trace)
        } else if let Some(operation) = self.0.catalog.drafted_by(name) {
            ignored.extend(operation.set_aside(&mut arguments));
            let asked = Asked { caller, person, by_call_operation };
            let (result, trace) = Box::pin(self.draft(name, operation, asked, &arguments)).await;
            (name.to_owned(), result.into(), trace)
        } else {
            return Err(self.unknown(name));
        };
        // `call_operation` and what it calls may both have ignored the same.
        let mut told = BTreeSet::new();
        ignored.retain(|remark| told.insert(remark.clone()));
        if choice.shows_outputs() {
            self.keeping_promises(name, &mut response);
        }
        Ok(Called { tool, response: response.with_ignored(&ignored), trace })
    }

    /// Why a tool that there is cannot be called here.
    fn not_chosen(&self, choice: &Choice, caller: &Caller, name: &str) -> Option<String> {
        let (kind, _) = self.kind(name)?;
        if !choice.holds(kind) {
            return Some(text::not_chosen(name));
        }
        // What the key's own scope forbids is told as that.
        (!choice.reaches(kind) && caller.scope == Scope::Full).then(|| text::reads_only(name))
    }

    /// Requests to OwnerRez in five minutes that this process may send (UPSTREAM_LIMIT).
    pub fn request_limit(&self) -> u32 {
        self.0.sessions.request_limit()
    }

    /// Records with addresses of their own, and those of which there are many.
    pub fn resources(&self) -> &Resources {
        &self.0.resources
    }

    /// What clients show as commands.
    pub fn prompts(&self) -> &Prompts {
        &self.0.prompts
    }

    /// Reads the record at an address; also the operation's name and what the log learns.
    pub async fn read(
        &self,
        caller: &Caller,
        uri: &str,
        cancel: &CancellationToken,
    ) -> (Result<Value, Unread>, String, Trace) {
        let (outcome, operation, trace) = self.0.resources.read(&self.0, caller, uri, cancel).await;
        self.0.metrics.tool_call(&operation, trace.error.unwrap_or("ok"));
        (outcome, operation, trace)
    }

    /// Ids of this kind of record that fit what was typed.
    pub async fn complete(&self, caller: &Caller, kind: &str, typed: &str, cancel: &CancellationToken) -> Vec<String> {
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
