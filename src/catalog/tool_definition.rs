//! The arguments of a tool: the schema that clients see, and the conversion of a model's input into valid arguments.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use chrono::TimeDelta;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    argument_names::FIELDS,
    coerce::{self, Coercer},
    compiled_schema::CompiledSchema,
    extras, json_schema, output,
    problem::{self, ArgumentError, ArgumentProblem, show},
    published::published,
    record::{Member, RecordSchema},
    render::render_composite,
    rendered_response::RenderedResponse,
    spec::{CheckSpec, RangeSpec, SynonymSpec, Toolset},
    view::View,
};

/// The arguments of one tool.
pub struct ToolDefinition {
    name: Arc<str>,
    tool: Tool,
    compiled: CompiledSchema,
    rules: ArgumentRules,
    checks: Vec<CompiledCheck>,
    /// Older and likely names of arguments, for the gateway's own tools.
    synonyms: Vec<SynonymSpec>,
    toolset: Option<Toolset>,
    /// The record type of its responses, for the gateway's own tools.
    kind: RecordSchema,
    output: OnceLock<Option<Arc<JsonObject>>>,
}

/// Rules between arguments, as written in the data.
#[derive(Default)]
pub(super) struct ArgumentRules {
    pub one_of_required: Vec<Vec<String>>,
    pub one_of_reason: Option<String>,
    pub ranges: Vec<RangeSpec>,
    pub checks: Vec<CheckSpec>,
}

/// A rule between arguments, ready to use.
struct CompiledCheck {
    condition: CompiledSchema,
    problem: ArgumentProblem,
}

/// The specification of a tool that is not an OwnerRez operation: it combines several of them, or forwards a call to
/// one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolSpec {
    pub tool: String,
    /// Absent for tools that belong to no toolset: those that give access to everything that is not listed.
    #[serde(default)]
    pub toolset: Option<Toolset>,
    /// Whether the tool may change and remove data.
    #[serde(default)]
    pub destructive: bool,
    pub title: String,
    /// Written for a model.
    pub description: String,
    /// JSON Schema of each argument.
    pub arguments: Map<String, Value>,
    #[serde(default)]
    pub required: Vec<String>,
    #[serde(default)]
    pub one_of_required: Vec<Vec<String>>,
    #[serde(default, rename = "one_of_why")]
    pub one_of_reason: Option<String>,
    #[serde(default)]
    pub ranges: Vec<RangeSpec>,
    #[serde(default)]
    pub checks: Vec<CheckSpec>,
    #[serde(default)]
    pub synonyms: Vec<SynonymSpec>,
    /// The fields of its responses, if they are promised; also used for `fields`.
    #[serde(default)]
    pub members: Vec<Member>,
}

impl ToolDefinition {
    pub(super) fn new(tool: Tool, schema: Value, rules: ArgumentRules) -> ToolDefinition {
        let checks = rules.checks.iter().map(|check| CompiledCheck {
            condition: CompiledSchema::new(check.holds.clone()),
            problem: ArgumentProblem::new(&check.argument, &check.explain),
        });
        let (checks, kind) = (checks.collect(), RecordSchema::default());
        ToolDefinition {
            name: tool.name.as_ref().into(),
            tool,
            compiled: CompiledSchema::new(schema),
            rules,
            checks,
            synonyms: Vec::new(),
            toolset: None,
            kind,
            output: OnceLock::new(),
        }
    }

    pub(super) fn of(
        spec: ToolSpec,
        schemas: &BTreeMap<String, Arc<RecordSchema>>,
    ) -> Result<ToolDefinition, Vec<String>> {
        let ToolSpec { tool, toolset, destructive, title, description, arguments, required, .. } = spec;
        let ToolSpec { one_of_required, one_of_reason, ranges, checks, synonyms, members, .. } = spec;
        let mut kind = RecordSchema { record: format!("{tool} answer"), members, ..RecordSchema::default() };
        let errors = kind.expand_references(schemas);
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut schema = json!({"type": "object", "properties": arguments, "additionalProperties": false});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        let hints = ToolAnnotations::new()
            .read_only(!destructive)
            .destructive(destructive)
            .idempotent(!destructive)
            .open_world(true);
        let tool = Tool::new(tool, description, Arc::new(published(&schema))).with_title(title).with_annotations(hints);
        let definition =
            ToolDefinition::new(tool, schema, ArgumentRules { one_of_required, one_of_reason, ranges, checks });
        Ok(ToolDefinition { toolset, kind, synonyms, ..definition })
    }

    /// Returns errors in the schemas themselves.
    #[cfg(test)]
    pub(super) fn schema_errors(&self) -> Vec<String> {
        let rules = std::iter::once(&self.compiled).chain(self.checks.iter().map(|check| &check.condition));
        rules.filter_map(|rule| rule.validator().err().map(str::to_owned)).collect()
    }

    /// Returns the name of the tool.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the toolset of the tool, if any.
    pub fn toolset(&self) -> Option<Toolset> {
        self.toolset
    }

    /// Returns the tool as `tools/list` shows it.
    pub fn tool(&self) -> &Tool {
        &self.tool
    }

    /// Returns the schema of its responses, if their shape is promised.
    pub fn output_schema(&self) -> Option<&Arc<JsonObject>> {
        self.output.get_or_init(|| output::of_record(&self.kind).map(Arc::new)).as_ref()
    }

    /// Returns the view of the response that validated arguments request.
    pub fn view(&self, arguments: &Map<String, Value>) -> View {
        View::of(arguments)
    }

    /// Renders a response for the model; the whole response if the tool has no selection of fields.
    pub fn render(&self, view: &View, answer: Value) -> RenderedResponse {
        let selects = self.properties().get(FIELDS).is_some();
        if !selects {
            return RenderedResponse::unreduced(&answer);
        }
        // Reading a `Value` cannot fail.
        render_composite(&self.kind, view, answer).unwrap_or_else(|_| RenderedResponse::unreduced(&json!({})))
    }

    /// Returns the arguments, corrected where their meaning is certain, or all problems with them.
    pub fn check(&self, mut arguments: Map<String, Value>) -> Result<Map<String, Value>, ArgumentError> {
        let mut problems = coerce::apply_synonyms(&mut arguments, &self.synonyms);
        let (arguments, found) = self.coerce(arguments, false);
        problems.extend(found);
        problems.extend(self.problems(&arguments));
        if problems.is_empty() {
            problems.extend(View::of(&arguments).validate_fields(&self.kind));
        }
        if problems.is_empty() { Ok(arguments) } else { Err(self.error(problems)) }
    }

    pub(super) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// Returns the schema that is checked. Clients see another form of it, see `published`.
    #[cfg(test)]
    pub(super) fn schema(&self) -> &Value {
        self.compiled.schema()
    }

    pub(super) fn rules(&self) -> &ArgumentRules {
        &self.rules
    }

    pub(super) fn properties(&self) -> &Value {
        &self.compiled.schema()["properties"]
    }

    pub(super) fn error(&self, problems: Vec<ArgumentProblem>) -> ArgumentError {
        ArgumentError { tool: self.name.clone(), problems }
    }

    /// Removes the arguments to be ignored, and returns one notice for each.
    pub fn remove_ignored(&self, arguments: &mut Map<String, Value>, reads: bool) -> Vec<String> {
        extras::remove_ignored(self.compiled.schema(), arguments, reads)
    }

    /// Corrects arguments whose meaning is certain. Also returns problems that the schema check would not find.
    pub(super) fn coerce(
        &self,
        arguments: Map<String, Value>,
        writes: bool,
    ) -> (Map<String, Value>, Vec<ArgumentProblem>) {
        let mut coercer = Coercer::new(writes);
        let read = coercer.coerce_object(self.compiled.schema(), arguments, "");
        (read, coercer.problems)
    }

    pub(super) fn problems(&self, arguments: &Map<String, Value>) -> Vec<ArgumentProblem> {
        let mut problems = self.violations(arguments);
        // Rules between arguments give useful messages only for arguments that are valid by themselves.
        if problems.is_empty() {
            problems.extend(self.rules.ranges.iter().filter_map(|range| out_of_order(range, arguments)));
            problems.extend(self.broken_checks(arguments));
        }
        problems
    }

    fn violations(&self, arguments: &Map<String, Value>) -> Vec<ArgumentProblem> {
        let arguments = Value::Object(arguments.clone());
        let errors = match self.compiled.validator() {
            Ok(validator) => validator.iter_errors(&arguments),
            Err(mistake) => {
                let message = format!("a bug in the gateway prevents the validation of arguments: {mistake}");
                return vec![ArgumentProblem::new(&*self.name, message)];
            }
        };
        let mut problems = problem::from_validation(errors, self.compiled.schema());
        for group in &self.rules.one_of_required {
            if group.iter().all(|name| arguments[name.as_str()].is_null()) {
                let names = group.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
                let why = self.rules.one_of_reason.as_deref().unwrap_or_default();
                problems.push(ArgumentProblem::new(group.join("|"), format!("give {names}: {why}")));
            }
        }
        problems
    }

    fn broken_checks(&self, arguments: &Map<String, Value>) -> Vec<ArgumentProblem> {
        if self.checks.is_empty() {
            return Vec::new();
        }
        let arguments = Value::Object(arguments.clone());
        let holds =
            |check: &CompiledCheck| check.condition.validator().is_ok_and(|validator| validator.is_valid(&arguments));
        let broken = self.checks.iter().filter(|check| !holds(check));
        broken.map(|check| check.problem.clone()).collect()
    }
}

fn out_of_order(range: &RangeSpec, arguments: &Map<String, Value>) -> Option<ArgumentProblem> {
    let (from, to) = (arguments.get(&range.from)?, arguments.get(&range.to)?);
    let (from_name, to_name) = (&range.from, &range.to);
    let given = format!("`{to_name}` is {} and `{from_name}` is {}", show(to), show(from));
    let message = match (from.as_str().and_then(json_schema::date), to.as_str().and_then(json_schema::date)) {
        (Some(first), Some(last)) => {
            let days = (last - first).num_days();
            if days < range.min_days {
                let later = if range.min_days > 0 { "later than" } else { "equal to or later than" };
                format!("{given}: `{to_name}` has to be {later} `{from_name}`")
            } else {
                let most = range.max_days.filter(|most| days > *most)?;
                let last = first.checked_add_signed(TimeDelta::days(most))?;
                format!(
                    "{given}, {days} days later: at most {most} are possible, so ask for `{to_name}` \"{last}\" and then for the rest"
                )
            }
        }
        _ if to.as_f64()? < from.as_f64()? => format!("{given}: `{to_name}` cannot be less than `{from_name}`"),
        _ => return None,
    };
    Some(ArgumentProblem::new(to_name, message))
}
