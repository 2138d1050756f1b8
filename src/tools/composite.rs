//! Composite tools: one call for the model, few requests to OwnerRez. Each response states which days, time zone and
//! properties it covers, what it counted, how many requests it took, and whether anything is missing.
//!
//! The table is `config/answers.json`; each tool is implemented in one file:
//!
//! - `days`, `money`, `stay`, `property_set`: shared calculations
//! - `query_context`: calls operations of the catalogue by name, page after page, within limits
//! - one file per tool, named after it; `search_fetch` has `search` and `fetch`

mod booking_dossier;
mod calendar_overview;
mod days;
mod find_availability;
mod guest_history;
mod money;
mod property_set;
mod query_context;
mod revenue_summary;
mod search_fetch;
mod stay;
mod todays_briefing;
mod who_is_staying;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use rmcp::model::{JsonObject, Tool};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use self::query_context::{CompositeError, QueryContext};
use super::{
    call_log_info::CallLogInfo,
    error_messages,
    outcome::{LoggedOutcome, Outcome, rejected},
    tool_call::CallContext,
    tool_deps::ToolDeps,
    tool_selection::ToolInfo,
};
use crate::{
    catalog::{self, CatalogError, ToolDefinition},
    domain::ErrorCode,
};

/// The composite tools, validated and ready.
pub struct CompositeTools(BTreeMap<String, (ToolDefinition, Handler)>);

/// The implementation of a tool: one variant for each record of the table, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Handler {
    WhoIsStaying,
    FindAvailability,
    BookingDossier,
    CalendarOverview,
    TodaysBriefing,
    RevenueSummary,
    GuestHistory,
    Search,
    Fetch,
}

impl CompositeTools {
    /// Returns the tools that are compiled into the program.
    pub fn embedded() -> Result<Self, CatalogError> {
        let mut tools = BTreeMap::new();
        for definition in catalog::tool_definitions(include_str!("../../config/answers.json"))? {
            let name = definition.name().to_owned();
            let handler = serde_json::from_value(Value::from(definition.name()))
                .map_err(|_| CatalogError { errors: vec![format!("{name}: not implemented")] })?;
            tools.insert(name, (definition, handler));
        }
        Ok(Self(tools))
    }

    /// Returns the tools as `tools/list` shows them, ordered by name. A read key may use all of them.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.0.values().map(|(definition, _)| definition.tool())
    }

    /// Returns all tools, ordered by name.
    pub(super) fn all(&self) -> impl Iterator<Item = CompositeTool<'_>> {
        self.0.values().map(|(definition, handler)| CompositeTool { definition, handler: *handler })
    }

    /// Returns the tool of this name.
    pub fn get(&self, name: &str) -> Option<CompositeTool<'_>> {
        self.0.get(name).map(|(definition, handler)| CompositeTool { definition, handler: *handler })
    }
}

/// One of the tools.
pub struct CompositeTool<'a> {
    definition: &'a ToolDefinition,
    handler: Handler,
}

impl<'a> CompositeTool<'a> {
    /// Returns the attributes by which a tool selection includes it.
    pub(super) fn tool_info(&self) -> ToolInfo<'a> {
        ToolInfo { name: self.definition.name(), toolset: self.definition.toolset(), default: true, read_only: true }
    }

    /// Returns its arguments.
    pub(super) fn definition(&self) -> &'a ToolDefinition {
        self.definition
    }

    /// Returns the tool itself.
    pub(super) fn tool(&self) -> &'a Tool {
        self.definition.tool()
    }

    /// Returns the schema of its responses.
    pub(super) fn output_schema(&self) -> Option<&'a Arc<JsonObject>> {
        self.definition.output_schema()
    }

    /// Answers a call.
    pub(super) async fn execute(
        &self,
        deps: &ToolDeps,
        CallContext { caller, cancel, .. }: CallContext<'_>,
        arguments: Map<String, Value>,
    ) -> LoggedOutcome {
        let arguments = match self.definition.check(arguments) {
            Ok(arguments) => arguments,
            Err(problem) => return rejected(ErrorCode::InvalidArguments, problem.to_string()),
        };
        let view = self.definition.view(&arguments);
        let mut context = QueryContext::new(deps, caller, &view, cancel);
        let response = self.handler.run(&mut context, arguments).await;
        let log_info = context.log_info;
        match response {
            Ok(answer) => (Outcome::Answer(self.definition.render(&view, answer)), log_info),
            Err(CompositeError::Call { operation, error }) => {
                let message = match deps.catalog.get(&operation) {
                    Some(operation) => error_messages::explain(&deps.links, caller, operation, &error).await,
                    None => error.to_string(),
                };
                (Outcome::Problem { code: error.code(), message }, log_info)
            }
            Err(CompositeError::Rejected(message)) => {
                let code = ErrorCode::InvalidArguments;
                (Outcome::Problem { code, message }, CallLogInfo { error: Some(code), ..log_info })
            }
            Err(CompositeError::Internal(cause)) => {
                let code = ErrorCode::InternalError;
                let log_info = CallLogInfo { error: Some(code), failure: Some(cause), ..log_info };
                (Outcome::Problem { code, message: error_messages::FAILED.to_owned() }, log_info)
            }
        }
    }
}

impl Handler {
    async fn run(self, context: &mut QueryContext<'_>, arguments: Map<String, Value>) -> Result<Value, CompositeError> {
        match self {
            Self::WhoIsStaying => who_is_staying::who_is_staying(context, parse(arguments)?).await,
            Self::FindAvailability => find_availability::find_availability(context, parse(arguments)?).await,
            Self::BookingDossier => booking_dossier::booking_dossier(context, parse(arguments)?).await,
            Self::CalendarOverview => calendar_overview::calendar_overview(context, parse(arguments)?).await,
            Self::TodaysBriefing => todays_briefing::todays_briefing(context, parse(arguments)?).await,
            Self::RevenueSummary => revenue_summary::revenue_summary(context, parse(arguments)?).await,
            Self::GuestHistory => guest_history::guest_history(context, parse(arguments)?).await,
            Self::Search => search_fetch::search(context, parse(arguments)?).await,
            Self::Fetch => search_fetch::fetch(context, parse(arguments)?).await,
        }
    }
}

/// Parses arguments that passed the check of the definition.
fn parse<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, CompositeError> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| CompositeError::Internal(format!("valid arguments could not be parsed: {error}")))
}
