//! One operation, ready to use.

use std::{
    mem,
    sync::{Arc, OnceLock},
};

use chrono::TimeDelta;
use rmcp::model::{JsonObject, Tool};
use serde_json::{Map, Value};

use super::{
    argument_names::{FIELDS, FORMAT},
    coerce, effect, fill,
    normalize::{self, NormalizedResponse, UnreadableResponse},
    options::WriteOptions,
    output,
    problem::{ArgumentError, ArgumentProblem},
    record::RecordSchema,
    render::render,
    rendered_response::RenderedResponse,
    request, schema,
    spec::{GuestVisible, OperationSpec, ResponseKind, Toolset},
    tool_definition::{ArgumentRules, ToolDefinition},
    view::View,
};
use crate::domain::{RawJson, Scope, UpstreamRequest};

/// One operation of OwnerRez and the tool made of it.
pub struct Operation {
    spec: OperationSpec,
    definition: ToolDefinition,
    kind: Arc<RecordSchema>,
    /// Created on first use, which is rare: output schemas take as much memory as all the rest.
    output: OnceLock<Option<Arc<JsonObject>>>,
    draft: Option<Tool>,
}

impl Operation {
    pub(super) fn new(mut spec: OperationSpec, kind: Arc<RecordSchema>) -> Result<Operation, Vec<String>> {
        let schema = schema::input_schema(&spec, &kind);
        let tool = schema::tool(&spec, &schema);
        let rules = ArgumentRules {
            one_of_required: mem::take(&mut spec.one_of_required),
            one_of_reason: spec.one_of_reason.take(),
            ranges: mem::take(&mut spec.ranges),
            checks: mem::take(&mut spec.checks),
        };
        let draft = spec.draft.as_ref().map(|draft| schema::draft_tool(draft, &schema));
        Ok(Operation {
            spec,
            definition: ToolDefinition::new(tool, schema, rules),
            kind,
            output: OnceLock::new(),
            draft,
        })
    }

    /// Returns the name of the tool.
    pub fn name(&self) -> &str {
        self.definition.name()
    }

    /// Returns its subject, such as "bookings".
    pub fn group(&self) -> &str {
        &self.spec.group
    }

    /// Returns its toolset.
    pub fn toolset(&self) -> Toolset {
        self.spec.toolset
    }

    /// Returns whether `tools/list` shows it by default.
    pub fn is_default(&self) -> bool {
        self.spec.default
    }

    /// Returns the template of its path below the API's origin, such as `/v2/bookings/{id}`.
    pub fn path(&self) -> &str {
        &self.spec.path
    }

    /// Returns the tool as `tools/list` shows it.
    pub fn tool(&self) -> &Tool {
        self.definition.tool()
    }

    /// Returns the schema of its responses, if their shape is confirmed.
    pub fn output_schema(&self) -> Option<&Arc<JsonObject>> {
        self.output.get_or_init(|| output::of_operation(&self.spec, &self.kind).map(Arc::new)).as_ref()
    }

    /// Returns whether it changes nothing at OwnerRez.
    pub fn is_read_only(&self) -> bool {
        self.spec.read_only
    }

    /// Returns whether its response is a list of records.
    pub fn returns_list(&self) -> bool {
        self.spec.answer.is_page() || self.spec.answer == ResponseKind::List
    }

    /// Returns the argument whose text OwnerRez searches in each member separately.
    pub fn searches_one_text(&self) -> Option<&str> {
        self.spec.searches_one_text.as_deref()
    }

    /// Returns whether this scope allows it.
    pub fn is_allowed_for(&self, scope: Scope) -> bool {
        self.spec.read_only || scope == Scope::Full
    }

    /// Returns whether it deletes something permanently.
    pub fn is_destructive(&self) -> bool {
        self.spec.destructive
    }

    /// Returns the tool that shows what this operation would send, and sends nothing.
    pub fn draft(&self) -> Option<&Tool> {
        self.draft.as_ref()
    }

    /// Returns whether the user has to agree before this request is sent: it deletes something permanently, or
    /// reaches a guest.
    pub fn needs_consent(&self, request: &UpstreamRequest) -> bool {
        self.spec.destructive || effect::reaches_guest(&self.spec, request)
    }

    /// Returns whether this request changes anything: some operations can also only calculate.
    pub fn changes(&self, request: &UpstreamRequest) -> bool {
        !self.spec.read_only && (self.needs_consent(request) || !effect::is_dry_run(&self.spec, request))
    }

    /// Returns the arguments from which a request was made.
    pub fn arguments_of(&self, request: &UpstreamRequest) -> Map<String, Value> {
        effect::arguments_of(&self.spec, request)
    }

    /// Returns the records that a request changes, such as `guests/5`, as far as they are known before it is sent.
    pub fn affected_records(&self, request: &UpstreamRequest) -> Vec<String> {
        effect::affected_records(&self.spec, request)
    }

    /// Returns the record with this id that a request of this operation created, if it creates one.
    pub fn created(&self, id: i64) -> Option<String> {
        effect::created(&self.spec, id)
    }

    /// Returns the mistakes in its schemas.
    #[cfg(test)]
    pub(super) fn schema_errors(&self) -> Vec<String> {
        self.definition.schema_errors()
    }

    /// Returns the schema of its arguments.
    #[cfg(test)]
    pub(super) fn schema(&self) -> &Value {
        self.definition.schema()
    }

    pub(super) fn spec(&self) -> &OperationSpec {
        &self.spec
    }

    /// Returns the kind of its records.
    pub(super) fn kind(&self) -> &RecordSchema {
        &self.kind
    }

    /// Returns the rules between its arguments.
    pub(super) fn rules(&self) -> &ArgumentRules {
        self.definition.rules()
    }

    /// Removes the arguments that are to be ignored, and returns one notice for each.
    pub fn remove_ignored(&self, arguments: &mut Map<String, Value>) -> Vec<String> {
        self.definition.remove_ignored(arguments, self.spec.read_only)
    }

    /// Removes the write options from the arguments of a write and returns them.
    pub fn options(&self, arguments: &mut Map<String, Value>) -> Result<WriteOptions, ArgumentError> {
        if self.spec.read_only {
            return Ok(WriteOptions::default());
        }
        let confirms = self.spec.destructive || self.spec.guest_visible != GuestVisible::Always(false);
        WriteOptions::take(arguments, self.draft.is_some(), confirms)
            .map_err(|problems| self.definition.error(problems))
    }

    /// Converts arguments to the request, or returns everything that is wrong with them.
    pub fn request(&self, arguments: &Map<String, Value>) -> Result<UpstreamRequest, ArgumentError> {
        let (arguments, mut problems) = self.coerce(arguments.clone());
        problems.extend(self.definition.problems(&arguments));
        if problems.is_empty() {
            problems.extend(View::of(&arguments).validate_fields(&self.kind));
        }
        if problems.is_empty() {
            match request::build(&self.spec, &arguments) {
                Ok((path_and_query, body)) => {
                    let operation = self.definition.shared_name();
                    let changes = self.spec.fresh_unless.iter().any(|argument| arguments.contains_key(argument));
                    let max_age = self.spec.fresh_seconds.filter(|_| !changes);
                    let max_age = max_age.map(|seconds| TimeDelta::seconds(i64::from(seconds)));
                    return Ok(UpstreamRequest { operation, method: self.spec.method, path_and_query, body, max_age });
                }
                Err(problem) => problems.push(problem),
            }
        }
        Err(self.definition.error(problems))
    }

    /// Converts the body of a successful response of OwnerRez to the whole response: always a JSON object.
    pub fn normalize(
        &self,
        request: &UpstreamRequest,
        status: u16,
        body: &RawJson,
    ) -> Result<Value, UnreadableResponse> {
        let read = |body: &RawJson| self.normalized(request, status, body).and_then(NormalizedResponse::into_value);
        with_repair(body, read).map_err(|_| UnreadableResponse { status })
    }

    /// Returns whether its records have members with text of guests.
    pub fn has_untrusted_text(&self) -> bool {
        !self.kind.guest_written.is_empty()
    }

    /// Returns the view that these arguments select.
    pub fn view(&self, arguments: &Map<String, Value>) -> View {
        let selects = [FIELDS, FORMAT].iter().any(|name| arguments.contains_key(*name));
        if self.spec.read_only && selects { View::of(&self.coerce(arguments.clone()).0) } else { View::default() }
    }

    /// Converts the same to the reduced response for the model.
    pub fn render(
        &self,
        view: &View,
        request: &UpstreamRequest,
        status: u16,
        body: &RawJson,
    ) -> Result<RenderedResponse, UnreadableResponse> {
        let rows = self.returns_list().then_some("items");
        let render = |body: &RawJson| {
            let answer = self.normalized(request, status, body);
            answer.and_then(|answer| render(&self.kind, rows, view, answer))
        };
        with_repair(body, render).map_err(|_| UnreadableResponse { status })
    }

    fn normalized<'a>(
        &self,
        request: &UpstreamRequest,
        status: u16,
        body: &'a RawJson,
    ) -> serde_json::Result<NormalizedResponse<'a>> {
        fill::fill_missing(&self.kind, normalize::normalize(&self.spec, request, status, body)?)
    }

    fn coerce(&self, mut arguments: Map<String, Value>) -> (Map<String, Value>, Vec<ArgumentProblem>) {
        let properties = self.definition.properties();
        let mut problems = Vec::new();
        if self.spec.body.is_some() && (self.spec.open_body || properties["data"].is_null()) {
            problems = coerce::merge_data(&mut arguments, self.spec.open_body.then_some(properties));
        }
        problems.extend(coerce::apply_synonyms(&mut arguments, &self.spec.synonyms));
        let (arguments, found) = self.definition.coerce(arguments, !self.spec.read_only);
        problems.extend(found);
        (arguments, problems)
    }
}

/// Parses a body. If that fails, parses it again with its texts repaired, so that half a surrogate pair in one record
/// does not make the whole page fail.
fn with_repair<T>(body: &RawJson, read: impl Fn(&RawJson) -> serde_json::Result<T>) -> serde_json::Result<T> {
    read(body).or_else(|error| body.without_lone_surrogates().map_or(Err(error), |repaired| read(&repaired)))
}
