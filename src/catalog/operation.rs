//! One operation, ready to use.

use std::{
    mem,
    sync::{Arc, OnceLock},
};

use chrono::TimeDelta;
use rmcp::model::{JsonObject, Tool};
use serde_json::{Map, Value};

use super::{
    answer::{self, Unreadable, Whole},
    data::{AnswerKind, GuestVisible, OperationData, Toolset},
    effect, fill,
    form::{Form, Rules},
    lean::{self, FIELDS, FORMAT, Shown, View},
    normalise,
    options::WriteOptions,
    output,
    problem::{ArgumentError, Problem},
    record::RecordData,
    request, schema,
};
use crate::domain::{RawJson, Scope, UpstreamRequest};

/// One operation of OwnerRez and the tool made of it.
pub struct Operation {
    data: OperationData,
    form: Form,
    kind: Arc<RecordData>,
    /// Created on first use, which is rare: output schemas take as much memory as all the rest.
    output: OnceLock<Option<Arc<JsonObject>>>,
    draft: Option<Tool>,
}

impl Operation {
    pub(super) fn new(mut data: OperationData, kind: Arc<RecordData>) -> Result<Operation, Vec<String>> {
        let schema = schema::input_schema(&data, &kind);
        let tool = schema::tool(&data, &schema);
        let rules = Rules {
            one_of_required: mem::take(&mut data.one_of_required),
            one_of_why: data.one_of_why.take(),
            ranges: mem::take(&mut data.ranges),
            checks: mem::take(&mut data.checks),
        };
        let draft = data.draft.as_ref().map(|draft| schema::draft_tool(draft, &schema));
        Ok(Operation { data, form: Form::new(tool, schema, rules), kind, output: OnceLock::new(), draft })
    }

    /// Returns the name of the tool.
    pub fn name(&self) -> &str {
        self.form.name()
    }

    /// Returns its subject, such as "bookings".
    pub fn group(&self) -> &str {
        &self.data.group
    }

    /// Returns its toolset.
    pub fn toolset(&self) -> Toolset {
        self.data.toolset
    }

    /// Returns whether `tools/list` shows it by default.
    pub fn is_default(&self) -> bool {
        self.data.default
    }

    /// Returns the template of its path below the API's origin, such as `/v2/bookings/{id}`.
    pub fn path(&self) -> &str {
        &self.data.path
    }

    /// Returns the tool as `tools/list` shows it.
    pub fn tool(&self) -> &Tool {
        self.form.tool()
    }

    /// Returns the schema of its responses, if their shape is confirmed.
    pub fn output_schema(&self) -> Option<&Arc<JsonObject>> {
        self.output.get_or_init(|| output::of_operation(&self.data, &self.kind).map(Arc::new)).as_ref()
    }

    /// Returns whether it changes nothing at OwnerRez.
    pub fn is_read_only(&self) -> bool {
        self.data.read_only
    }

    /// Returns whether its response is a list of records.
    pub fn lists(&self) -> bool {
        self.data.answer.is_page() || self.data.answer == AnswerKind::List
    }

    /// Returns the argument whose text OwnerRez searches in each member separately.
    pub fn searches_one_text(&self) -> Option<&str> {
        self.data.searches_one_text.as_deref()
    }

    /// Returns whether this scope allows it.
    pub fn is_within(&self, scope: Scope) -> bool {
        self.data.read_only || scope == Scope::Full
    }

    /// Returns whether it deletes something permanently.
    pub fn is_destructive(&self) -> bool {
        self.data.destructive
    }

    /// Returns the tool that shows what this operation would send, and sends nothing.
    pub fn draft(&self) -> Option<&Tool> {
        self.draft.as_ref()
    }

    /// Returns whether the user has to agree before this request is sent: it deletes something permanently, or
    /// reaches a guest.
    pub fn needs_consent(&self, request: &UpstreamRequest) -> bool {
        self.data.destructive || effect::reaches_guest(&self.data, request)
    }

    /// Returns whether this request changes anything: some operations can also only calculate.
    pub fn changes(&self, request: &UpstreamRequest) -> bool {
        !self.data.read_only && (self.needs_consent(request) || !effect::is_dry_run(&self.data, request))
    }

    /// Returns the arguments from which a request was made.
    pub fn said(&self, request: &UpstreamRequest) -> Map<String, Value> {
        effect::said(&self.data, request)
    }

    /// Returns the records that a request changes, such as `guests/5`, as far as they are known before it is sent.
    pub fn touched(&self, request: &UpstreamRequest) -> Vec<String> {
        effect::touched(&self.data, request)
    }

    /// Returns the record with this id that a request of this operation created, if it creates one.
    pub fn created(&self, id: i64) -> Option<String> {
        effect::created(&self.data, id)
    }

    /// Returns the mistakes in its schemas.
    #[cfg(test)]
    pub(super) fn mistakes(&self) -> Vec<String> {
        self.form.mistakes()
    }

    /// Returns the schema of its arguments.
    #[cfg(test)]
    pub(super) fn schema(&self) -> &Value {
        self.form.schema()
    }

    pub(super) fn data(&self) -> &OperationData {
        &self.data
    }

    /// Returns the kind of its records.
    pub(super) fn kind(&self) -> &RecordData {
        &self.kind
    }

    /// Returns the rules between its arguments.
    pub(super) fn rules(&self) -> &Rules {
        self.form.rules()
    }

    /// Removes the arguments that are to be ignored, and returns one notice for each.
    pub fn set_aside(&self, arguments: &mut Map<String, Value>) -> Vec<String> {
        self.form.set_aside(arguments, self.data.read_only)
    }

    /// Removes the write options from the arguments of a write and returns them.
    pub fn options(&self, arguments: &mut Map<String, Value>) -> Result<WriteOptions, ArgumentError> {
        if self.data.read_only {
            return Ok(WriteOptions::default());
        }
        let confirms = self.data.destructive || self.data.guest_visible != GuestVisible::Always(false);
        WriteOptions::take(arguments, self.draft.is_some(), confirms).map_err(|problems| self.form.error(problems))
    }

    /// Converts arguments to the request, or returns everything that is wrong with them.
    pub fn request(&self, arguments: &Map<String, Value>) -> Result<UpstreamRequest, ArgumentError> {
        let (arguments, mut problems) = self.normalise(arguments.clone());
        problems.extend(self.form.problems(&arguments));
        if problems.is_empty() {
            problems.extend(View::of(&arguments).unknown_in(&self.kind));
        }
        if problems.is_empty() {
            match request::build(&self.data, &arguments) {
                Ok((path_and_query, body)) => {
                    let operation = self.form.shared_name();
                    let changes = self.data.fresh_unless.iter().any(|argument| arguments.contains_key(argument));
                    let max_age = self.data.fresh_seconds.filter(|_| !changes);
                    let max_age = max_age.map(|seconds| TimeDelta::seconds(i64::from(seconds)));
                    return Ok(UpstreamRequest { operation, method: self.data.method, path_and_query, body, max_age });
                }
                Err(problem) => problems.push(problem),
            }
        }
        Err(self.form.error(problems))
    }

    /// Converts the body of a successful response of OwnerRez to the whole response: always a JSON object.
    pub fn answer(&self, request: &UpstreamRequest, status: u16, body: &RawJson) -> Result<Value, Unreadable> {
        let read = |body: &RawJson| self.whole(request, status, body).and_then(Whole::into_value);
        repairing(body, read).map_err(|_| Unreadable { status })
    }

    /// Returns whether its records have members with text of guests.
    pub fn marks_guests_words(&self) -> bool {
        !self.kind.guest_written.is_empty()
    }

    /// Returns the view that these arguments select.
    pub fn view(&self, arguments: &Map<String, Value>) -> View {
        let says = [FIELDS, FORMAT].iter().any(|name| arguments.contains_key(*name));
        if self.data.read_only && says { View::of(&self.normalise(arguments.clone()).0) } else { View::default() }
    }

    /// Converts the same to the reduced response for the model.
    pub fn show(
        &self,
        view: &View,
        request: &UpstreamRequest,
        status: u16,
        body: &RawJson,
    ) -> Result<Shown, Unreadable> {
        let rows = self.lists().then_some("items");
        let show = |body: &RawJson| {
            let answer = self.whole(request, status, body);
            answer.and_then(|answer| lean::show(&self.kind, rows, view, answer))
        };
        repairing(body, show).map_err(|_| Unreadable { status })
    }

    fn whole<'a>(&self, request: &UpstreamRequest, status: u16, body: &'a RawJson) -> serde_json::Result<Whole<'a>> {
        fill::fill(&self.kind, answer::answer(&self.data, request, status, body)?)
    }

    fn normalise(&self, mut arguments: Map<String, Value>) -> (Map<String, Value>, Vec<Problem>) {
        let properties = self.form.properties();
        let mut problems = Vec::new();
        if self.data.body.is_some() && (self.data.open_body || properties["data"].is_null()) {
            problems = normalise::merge_data(&mut arguments, self.data.open_body.then_some(properties));
        }
        problems.extend(normalise::translate(&mut arguments, &self.data.synonyms));
        let (arguments, found) = self.form.read(arguments, !self.data.read_only);
        problems.extend(found);
        (arguments, problems)
    }
}

/// Parses a body. If that fails, parses it again with its texts repaired, so that half a surrogate pair in one record
/// does not make the whole page fail.
fn repairing<T>(body: &RawJson, read: impl Fn(&RawJson) -> serde_json::Result<T>) -> serde_json::Result<T> {
    read(body).or_else(|error| body.without_lone_surrogates().map_or(Err(error), |repaired| read(&repaired)))
}
