//! All tools: their list, and the one path that every call takes.

use std::{collections::BTreeSet, sync::Arc};

use rmcp::model::{JsonObject, Tool};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    access::check_access,
    call_log_info::CallLogInfo,
    client_elicitation::ClientElicitation,
    composite::CompositeTools,
    error_messages,
    invocation::Invocation,
    outcome::{CompletedCall, LoggedOutcome, Outcome, rejected},
    prompts::Prompts,
    resources::{ReadError, Resources},
    run,
    target::Target,
    tool_call::{CallContext, ToolCall},
    tool_deps::ToolDeps,
    tool_search::{CALL_OPERATION, FIND_OPERATION, ForwardedCall, ToolSearch},
    tool_selection::{ToolInfo, ToolSelection, ToolSelectionRequest, UnknownName},
    unknown_tool::UnknownTool,
};
use crate::{
    catalog::{self, Operation},
    domain::{ErrorCode, Principal, Scope},
};

/// The legacy tool that returned the connect link. Clients of its users may still call it; it is not listed, because
/// every tool returns that link when it is needed.
const CONNECT_TOOL: &str = "get_oauth_url";

/// All tools. Cheap to clone.
#[derive(Clone)]
pub struct Toolbox(Arc<Inner>);

struct Inner {
    tables: ToolTables,
    deps: Arc<ToolDeps>,
}

/// The tools that are not operations, and what is listed next to the tools.
pub struct ToolTables {
    /// The composite tools.
    pub composite_tools: CompositeTools,
    /// The tools that find and call operations that are not listed.
    pub tool_search: ToolSearch,
    /// Records as MCP resources.
    pub resources: Resources,
    /// The prompts, which clients show as commands.
    pub prompts: Prompts,
}

impl Toolbox {
    /// Creates a toolbox of these tools.
    pub fn new(tables: ToolTables, deps: ToolDeps) -> Self {
        Self(Arc::new(Inner { tables, deps: Arc::new(deps) }))
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
        let of_operation = self.0.deps.catalog.get(name).and_then(Operation::output_schema);
        of_operation.or_else(|| self.0.tables.composite_tools.get(name)?.output_schema())
    }

    /// Returns all tools, with the attributes for the selection.
    fn tool_infos(&self) -> impl Iterator<Item = (ToolInfo<'_>, &Tool)> {
        let operations =
            self.0.deps.catalog.operations().map(|operation| (ToolInfo::from(operation), operation.tool()));
        let composite_tools = self.0.tables.composite_tools.all().map(|tool| (tool.tool_info(), tool.tool()));
        // A draft tool has the attributes of its operation: without write access it is of no use.
        let drafts = self.0.deps.catalog.operations().filter_map(|operation| {
            let tool = operation.draft()?;
            Some((ToolInfo { name: &tool.name, ..ToolInfo::from(operation) }, tool))
        });
        operations.chain(composite_tools).chain(drafts).chain(self.0.tables.tool_search.tool_infos())
    }

    /// Returns a tool by its name.
    pub fn tool(&self, name: &str) -> Option<Tool> {
        if let Some(operation) = self.0.deps.catalog.get(name) {
            return Some(operation.tool().clone());
        }
        self.tool_infos().find(|(info, _)| info.name == name).map(|(_, tool)| tool.clone())
    }

    /// Returns whether a call changes more than this scope allows. No call of an unknown tool does.
    pub fn exceeds_scope(&self, name: &str, arguments: &Map<String, Value>, scope: Scope) -> bool {
        let name = match name {
            CALL_OPERATION => arguments.get("name").and_then(Value::as_str).unwrap_or_default(),
            name => name,
        };
        let operation = self.target(name).and_then(|target| target.operation());
        operation.is_some_and(|operation| !operation.is_allowed_for(scope))
    }

    /// Calls a tool. Cancelling removes a waiting call and aborts a running read; a write that was sent runs to
    /// completion.
    ///
    /// # Errors
    /// There is no tool of this name.
    pub async fn call(&self, context: CallContext<'_>, call: ToolCall) -> Result<CompletedCall, UnknownTool> {
        let without_form;
        let context = if context.selection.takes_two_steps() {
            without_form = ClientElicitation { supports_form: false, reply: None, ..context.elicitation.clone() };
            CallContext { elicitation: &without_form, ..context }
        } else {
            context
        };
        let mut completed = match call.name.as_str() {
            CONNECT_TOOL if context.selection.allows_unlisted() => {
                return Ok(self.how_to_connect(context.caller).await);
            }
            CALL_OPERATION => self.forward(context, call).await,
            _ => self.run_tool(context, call, false).await?,
        };
        let error = completed.log_info.error;
        self.0.deps.metrics.tool_call(&completed.tool, error.map_or("ok", ErrorCode::as_str));
        let is_unconnected = matches!(error, Some(ErrorCode::NotConnected | ErrorCode::NeedsReconnect));
        if is_unconnected
            && context.elicitation.supports_url
            && let Some(url) = Box::pin(error_messages::where_to_connect(&self.0.deps.links, context.caller)).await
        {
            completed.outcome = Outcome::UrlElicitation { message: error_messages::CONNECT_PROMPT.to_owned(), url };
        }
        Ok(completed)
    }

    /// Makes the call that `call_operation` contains.
    async fn forward(&self, context: CallContext<'_>, call: ToolCall) -> CompletedCall {
        let refused = |(outcome, log_info): LoggedOutcome| {
            let tool = CALL_OPERATION.to_owned();
            CompletedCall { tool, outcome, ignored: Vec::new(), log_info }
        };
        let deps = &self.0.deps;
        if let Some(refusal) = check_access(&context, ToolInfo::of_tool_search(CALL_OPERATION), None) {
            return refused(refusal);
        }
        let ForwardedCall { name, arguments, ignored } =
            match self.0.tables.tool_search.unwrap_call(&deps.catalog, call.arguments) {
                Ok(forwarded) => forwarded,
                Err(problem) => return refused(rejected(ErrorCode::InvalidArguments, problem)),
            };
        match Box::pin(self.run_tool(context, ToolCall { name, arguments }, true)).await {
            Ok(mut completed) => {
                // Both tools may have ignored the same argument.
                let mut seen: BTreeSet<String> = ignored.iter().cloned().collect();
                completed.ignored.retain(|notice| seen.insert(notice.clone()));
                completed.ignored.splice(0..0, ignored);
                completed
            }
            Err(unknown) => refused(rejected(ErrorCode::UnknownOperation, error_messages::no_operation(&unknown))),
        }
    }

    /// Runs any tool except `call_operation`.
    async fn run_tool(
        &self,
        context: CallContext<'_>,
        ToolCall { name, mut arguments }: ToolCall,
        by_call_operation: bool,
    ) -> Result<CompletedCall, UnknownTool> {
        let Some(target) = self.target(&name) else { return Err(self.unknown(&name)) };
        let Inner { tables, deps } = &*self.0;
        let ignored = match &target {
            Target::Operation(operation) | Target::Draft(operation) => operation.remove_ignored(&mut arguments),
            Target::Composite(tool) => tool.definition().remove_ignored(&mut arguments, true),
            Target::FindOperation => tables.tool_search.find_definition().remove_ignored(&mut arguments, true),
        };
        if let Some((outcome, log_info)) = check_access(&context, target.tool_info(&name), target.operation()) {
            return Ok(CompletedCall { tool: name, outcome, ignored, log_info });
        }
        let (mut outcome, log_info) = match target {
            Target::Operation(operation) => {
                let invocation = Invocation { deps, context, operation, by_call_operation };
                run::run(invocation, arguments).await
            }
            Target::Draft(operation) => {
                let invocation = Invocation { deps, context, operation, by_call_operation };
                Box::pin(run::draft(&name, invocation, &arguments)).await
            }
            Target::Composite(tool) => Box::pin(tool.execute(deps, context, arguments)).await,
            Target::FindOperation => match tables.tool_search.find(&deps.catalog, context.selection, arguments) {
                Ok(found) => (Outcome::answer(&found), CallLogInfo::default()),
                Err(problem) => rejected(ErrorCode::InvalidArguments, problem),
            },
        };
        if context.selection.shows_outputs() {
            self.enforce_output_schema(&name, &mut outcome);
        }
        Ok(CompletedCall { tool: name, outcome, ignored, log_info })
    }

    /// Returns what a name leads to; `None` if there is no such tool, or it is `call_operation`.
    fn target(&self, name: &str) -> Option<Target<'_>> {
        let Inner { tables, deps } = &*self.0;
        if let Some(operation) = deps.catalog.get(name) {
            return Some(Target::Operation(operation));
        }
        if let Some(tool) = tables.composite_tools.get(name) {
            return Some(Target::Composite(tool));
        }
        if name == FIND_OPERATION {
            return Some(Target::FindOperation);
        }
        deps.catalog.drafted_by(name).map(Target::Draft)
    }

    async fn how_to_connect(&self, caller: &Principal) -> CompletedCall {
        let text = Box::pin(error_messages::how_to_connect(&self.0.deps.links, caller)).await;
        CompletedCall {
            tool: CONNECT_TOOL.to_owned(),
            outcome: Outcome::Message(text),
            ignored: Vec::new(),
            log_info: CallLogInfo::default(),
        }
    }

    /// Checks a response against the output schema. Clients that know the schema discard a response that does not match
    /// it. OwnerRez may change its responses; such a response is returned in a member that the schema does not
    /// restrict.
    fn enforce_output_schema(&self, name: &str, outcome: &mut Outcome) {
        let (Some(schema), Some(data)) = (self.output_schema(name), outcome.data()) else { return };
        let answer = data.structured();
        if !catalog::matches_schema(&answer, schema) {
            log::warn!("a response of {name} does not match its output schema");
            let note = "The response of OwnerRez does not match the output schema of this tool.";
            *outcome = Outcome::answer(&json!({"value": answer, "note": note}));
        }
    }

    /// Returns the number of requests to OwnerRez that this process may send in five minutes (UPSTREAM_LIMIT).
    pub fn request_limit(&self) -> u32 {
        self.0.deps.sessions.request_limit()
    }

    /// Returns the MCP resources.
    pub fn resources(&self) -> &Resources {
        &self.0.tables.resources
    }

    /// Returns the prompts, which clients show as commands.
    pub fn prompts(&self) -> &Prompts {
        &self.0.tables.prompts
    }

    /// Reads the record at a resource URI; also returns the operation's name and the logged part.
    pub async fn read(
        &self,
        caller: &Principal,
        uri: &str,
        cancel: &CancellationToken,
    ) -> (Result<Value, ReadError>, String, CallLogInfo) {
        let Inner { tables, deps } = &*self.0;
        let (outcome, operation, log_info) = tables.resources.read(deps, caller, uri, cancel).await;
        deps.metrics.tool_call(&operation, log_info.error.map_or("ok", ErrorCode::as_str));
        (outcome, operation, log_info)
    }

    /// Returns the ids of this kind of record that match the typed text.
    pub async fn complete(
        &self,
        caller: &Principal,
        kind: &str,
        typed: &str,
        cancel: &CancellationToken,
    ) -> Vec<String> {
        self.0.tables.resources.complete(&self.0.deps, caller, kind, typed, cancel).await
    }

    fn unknown(&self, name: &str) -> UnknownTool {
        let catalog = &self.0.deps.catalog;
        let known = self.tool_infos().map(|(info, _)| info.name).filter(|known| *known != name);
        let near = catalog::suggest(name, known).or_else(|| catalog.same_act(name).filter(|known| *known != name));
        UnknownTool {
            requested: catalog::shown_name(name),
            suggestion: near.map(str::to_owned),
            impossible: catalog.impossible(name),
        }
    }
}
