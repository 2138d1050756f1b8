//! Composite tools: one call for the model, few requests to OwnerRez. Each response states which days, time zone and
//! properties it covers, what it counted, how many requests it took, and whether anything is missing.
//!
//! The table is `config/answers.json`; each tool is implemented in one file:
//!
//! - `days`, `money`, `stay`, `portfolio`: shared calculations
//! - `asking`: calls operations of the catalogue by name, page after page, within limits
//! - `staying`, `availability`, `dossier`, `overview`, `briefing`, `revenue`, `history`, `research`: the tools

mod asking;
mod availability;
mod briefing;
mod days;
mod dossier;
mod history;
mod money;
mod overview;
mod portfolio;
mod research;
mod revenue;
mod stay;
mod staying;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use rmcp::model::{JsonObject, Tool};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use self::asking::{Asking, Stop};
use super::{BAD_ARGUMENTS, Parts, Trace, choice::Kind, text};
use crate::{
    catalog::{self, CatalogError, RenderedResponse, ToolDefinition},
    domain::Principal,
};

/// The composite tools, validated and ready.
pub struct Answers(BTreeMap<String, (ToolDefinition, Question)>);

/// The implementation of a tool: one variant for each record of the table, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Question {
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

impl Answers {
    /// Returns the tools that are compiled into the program.
    pub fn embedded() -> Result<Self, CatalogError> {
        let mut answers = BTreeMap::new();
        for definition in catalog::tool_definitions(include_str!("../../config/answers.json"))? {
            let name = definition.name().to_owned();
            let question = serde_json::from_value(Value::from(definition.name()))
                .map_err(|_| CatalogError { errors: vec![format!("{name}: not implemented")] })?;
            answers.insert(name, (definition, question));
        }
        Ok(Self(answers))
    }

    /// Returns the tools as `tools/list` shows them, ordered by name. A read key may use all of them.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.0.values().map(|(definition, _)| definition.tool())
    }

    /// Returns all tools, ordered by name.
    pub(super) fn all(&self) -> impl Iterator<Item = Answer<'_>> {
        self.0.values().map(|(definition, question)| Answer { definition, question: *question })
    }

    /// Returns the tool of this name.
    pub fn get(&self, name: &str) -> Option<Answer<'_>> {
        self.0.get(name).map(|(definition, question)| Answer { definition, question: *question })
    }
}

/// One of the tools.
pub struct Answer<'a> {
    definition: &'a ToolDefinition,
    question: Question,
}

impl<'a> Answer<'a> {
    /// Returns its name.
    pub(super) fn name(&self) -> &'a str {
        self.definition.name()
    }

    /// Returns the attributes by which a tool selection includes it.
    pub(super) fn kind(&self) -> Kind<'a> {
        Kind { name: self.definition.name(), toolset: self.definition.toolset(), default: true, read_only: true }
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

    /// Returns the response, or an error message.
    pub(super) async fn give(
        &self,
        parts: &Parts,
        caller: &Principal,
        arguments: Map<String, Value>,
        cancel: &CancellationToken,
    ) -> (Result<RenderedResponse, String>, Trace) {
        let arguments = match self.definition.check(arguments) {
            Ok(arguments) => arguments,
            Err(problem) => return (Err(problem.to_string()), Trace::error(BAD_ARGUMENTS)),
        };
        let view = self.definition.view(&arguments);
        let mut asking = Asking::new(parts, caller, &view, cancel);
        let given = self.question.answer(&mut asking, arguments).await;
        let mut trace = asking.trace;
        let given = match given {
            Ok(answer) => Ok(self.definition.render(&view, answer)),
            Err(Stop::Call { operation, error }) => match parts.catalog.get(&operation) {
                Some(operation) => Err(text::explain(&parts.links, caller, operation, &error).await),
                None => Err(error.to_string()),
            },
            Err(Stop::Told(words)) => {
                trace.error = Some(BAD_ARGUMENTS);
                Err(words)
            }
            Err(Stop::Broken(cause)) => {
                trace = Trace { error: Some("internal_error"), failure: Some(cause), ..trace };
                Err(text::FAILED.to_owned())
            }
        };
        (given, trace)
    }
}

impl Question {
    async fn answer(self, asking: &mut Asking<'_>, arguments: Map<String, Value>) -> Result<Value, Stop> {
        match self {
            Self::WhoIsStaying => staying::who_is_staying(asking, read(arguments)?).await,
            Self::FindAvailability => availability::find_availability(asking, read(arguments)?).await,
            Self::BookingDossier => dossier::booking_dossier(asking, read(arguments)?).await,
            Self::CalendarOverview => overview::calendar_overview(asking, read(arguments)?).await,
            Self::TodaysBriefing => briefing::todays_briefing(asking, read(arguments)?).await,
            Self::RevenueSummary => revenue::revenue_summary(asking, read(arguments)?).await,
            Self::GuestHistory => history::guest_history(asking, read(arguments)?).await,
            Self::Search => research::search(asking, read(arguments)?).await,
            Self::Fetch => research::fetch(asking, read(arguments)?).await,
        }
    }
}

/// Parses arguments that passed the check of the form.
fn read<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, Stop> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| Stop::Broken(format!("valid arguments could not be parsed: {error}")))
}
