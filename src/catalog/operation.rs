//! One operation, ready to use.

use std::mem;

use chrono::TimeDelta;
use rmcp::model::Tool;
use serde_json::{Map, Value};

use super::{
    answer,
    data::{OperationData, Toolset},
    form::{Form, Rules},
    normalise,
    problem::{ArgumentError, Problem},
    request, schema,
};
use crate::domain::{Method, Scope, UpstreamRequest};

/// One operation of OwnerRez and the tool made of it.
pub struct Operation {
    data: OperationData,
    form: Form,
}

impl Operation {
    pub(super) fn new(mut data: OperationData) -> Result<Operation, Vec<String>> {
        let schema = schema::input_schema(&data);
        let tool = schema::tool(&data, &schema);
        let rules = Rules {
            one_of_required: mem::take(&mut data.one_of_required),
            one_of_why: data.one_of_why.take(),
            ranges: mem::take(&mut data.ranges),
            checks: mem::take(&mut data.checks),
        };
        Ok(Operation { data, form: Form::new(tool, schema, rules)? })
    }

    /// Name of the tool.
    pub fn name(&self) -> &str {
        self.form.name()
    }

    /// The subject it belongs to, such as "bookings".
    pub fn group(&self) -> &str {
        &self.data.group
    }

    /// The set it is turned on and off with.
    pub fn toolset(&self) -> Toolset {
        self.data.toolset
    }

    /// Whether `tools/list` shows it without being asked to.
    pub fn is_default(&self) -> bool {
        self.data.default
    }

    /// Template of its path below the API's origin, such as `/v2/bookings/{id}`.
    pub fn path(&self) -> &str {
        &self.data.path
    }

    /// The tool as `tools/list` shows it.
    pub fn tool(&self) -> &Tool {
        self.form.tool()
    }

    /// Whether it changes nothing upstream.
    pub fn is_read_only(&self) -> bool {
        self.data.read_only
    }

    /// Whether a caller of this scope may use it.
    pub fn is_within(&self, scope: Scope) -> bool {
        self.data.read_only || scope == Scope::Full
    }

    /// Whether it removes something for good.
    pub fn is_destructive(&self) -> bool {
        self.data.destructive
    }

    /// Turns arguments into the request to send, or says all that is wrong with them.
    pub fn request(&self, arguments: &Map<String, Value>) -> Result<UpstreamRequest, ArgumentError> {
        let (arguments, mut problems) = self.normalise(arguments.clone());
        problems.extend(self.form.problems(&arguments, self.data.method == Method::Patch));
        if problems.is_empty() {
            match request::build(&self.data, &arguments) {
                Ok((path_and_query, body)) => {
                    let operation = self.form.shared_name();
                    let changes = self.data.fresh_unless.iter().any(|argument| arguments.contains_key(argument));
                    let fresh_for = self.data.fresh_seconds.filter(|_| !changes);
                    let fresh_for = fresh_for.map(|seconds| TimeDelta::seconds(i64::from(seconds)));
                    return Ok(UpstreamRequest {
                        operation,
                        method: self.data.method,
                        path_and_query,
                        body,
                        fresh_for,
                    });
                }
                Err(problem) => problems.push(problem),
            }
        }
        Err(self.form.error(problems))
    }

    /// Turns the body of OwnerRez's success reply into what the model gets: always a JSON object.
    pub fn answer(&self, request: &UpstreamRequest, status: u16, body: Value) -> Value {
        answer::answer(&self.data, request, status, body)
    }

    fn normalise(&self, mut arguments: Map<String, Value>) -> (Map<String, Value>, Vec<Problem>) {
        let properties = self.form.properties();
        let mut problems = Vec::new();
        if self.data.body.is_some() && (self.data.open_body || properties["data"].is_null()) {
            problems = normalise::merge_data(&mut arguments, self.data.open_body.then_some(properties));
        }
        problems.extend(normalise::translate(&mut arguments, &self.data.synonyms));
        (self.form.coerced(arguments, |name| self.null_may_clear(name)), problems)
    }

    /// A null in what a PATCH changes is not "nothing given".
    fn null_may_clear(&self, name: &str) -> bool {
        let is_parameter = self.data.parameters.iter().any(|parameter| parameter.name == name);
        self.data.method == Method::Patch && !is_parameter
    }
}
