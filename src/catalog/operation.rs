//! One operation, ready to use.

use std::sync::Arc;

use chrono::TimeDelta;
use jsonschema::Validator;
use rmcp::model::Tool;
use serde_json::{Map, Value};

use super::{
    answer,
    data::{OperationData, RangeData, Toolset},
    normalise::{self, Nulls},
    problem::{self, ArgumentError, Problem, show},
    request, schema,
};
use crate::domain::{Method, Scope, UpstreamRequest};

/// One operation of OwnerRez and the tool made of it.
pub struct Operation {
    name: Arc<str>,
    data: OperationData,
    tool: Tool,
    schema: Value,
    validator: Validator,
    checks: Vec<Check>,
}

/// A rule between arguments, ready to use.
struct Check {
    holds: Validator,
    problem: Problem,
}

impl Operation {
    pub(super) fn new(data: OperationData) -> Result<Operation, Vec<String>> {
        let schema = schema::input_schema(&data);
        let validator = schema::validator(&schema).map_err(|mistake| vec![mistake])?;
        let mut checks = Vec::new();
        for check in &data.checks {
            let holds = schema::validator(&check.holds).map_err(|mistake| vec![mistake])?;
            checks.push(Check { holds, problem: Problem::new(&check.argument, &check.explain) });
        }
        let tool = schema::tool(&data, &schema);
        Ok(Operation { name: data.tool.as_str().into(), data, tool, schema, validator, checks })
    }

    /// Name of the tool.
    pub fn name(&self) -> &str {
        &self.name
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
        &self.tool
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
        problems.extend(self.violations(&arguments));
        // Rules between arguments say something sensible only about arguments that are right by themselves.
        if problems.is_empty() {
            problems.extend(self.data.ranges.iter().filter_map(|range| out_of_order(range, &arguments)));
            problems.extend(self.broken_checks(&arguments));
        }
        if problems.is_empty() {
            match request::build(&self.data, &arguments) {
                Ok((path_and_query, body)) => {
                    let operation = self.name.clone();
                    return Ok(UpstreamRequest { operation, method: self.data.method, path_and_query, body });
                }
                Err(problem) => problems.push(problem),
            }
        }
        Err(ArgumentError { tool: self.name.clone(), problems })
    }

    /// Turns the body of OwnerRez's success reply into what the model gets: always a JSON object.
    pub fn answer(&self, request: &UpstreamRequest, status: u16, body: Value) -> Value {
        answer::answer(&self.data, request, status, body)
    }

    fn normalise(&self, mut arguments: Map<String, Value>) -> (Map<String, Value>, Vec<Problem>) {
        let properties = &self.schema["properties"];
        let mut problems = Vec::new();
        if self.data.body.is_some() && (self.data.open_body || properties["data"].is_null()) {
            problems = normalise::merge_data(&mut arguments, self.data.open_body.then_some(properties));
        }
        problems.extend(normalise::translate(&mut arguments, &self.data.synonyms));
        let mut right = Map::new();
        for (name, value) in arguments {
            let schema = &properties[name.as_str()];
            let nulls = if schema.is_null() || self.null_may_clear(&name) { Nulls::Keep } else { Nulls::Drop };
            if !normalise::is_dropped(schema, &value, nulls) {
                right.insert(name, normalise::coerce(schema, value, nulls));
            }
        }
        (right, problems)
    }

    /// A null in what a PATCH changes is not "nothing given".
    fn null_may_clear(&self, name: &str) -> bool {
        let is_parameter = self.data.parameters.iter().any(|parameter| parameter.name == name);
        self.data.method == Method::Patch && !is_parameter
    }

    fn violations(&self, arguments: &Map<String, Value>) -> Vec<Problem> {
        let arguments = Value::Object(arguments.clone());
        let errors = self.validator.iter_errors(&arguments);
        let mut problems = problem::from_validation(errors, &self.schema, self.data.method == Method::Patch);
        for group in &self.data.one_of_required {
            if group.iter().all(|name| arguments[name.as_str()].is_null()) {
                let names = group.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
                let why = self.data.one_of_why.as_deref().unwrap_or_default();
                problems.push(Problem::new(group.join("|"), format!("give {names}: {why}")));
            }
        }
        problems
    }

    fn broken_checks(&self, arguments: &Map<String, Value>) -> Vec<Problem> {
        let arguments = Value::Object(arguments.clone());
        let broken = self.checks.iter().filter(|check| !check.holds.is_valid(&arguments));
        broken.map(|check| check.problem.clone()).collect()
    }
}

fn out_of_order(range: &RangeData, arguments: &Map<String, Value>) -> Option<Problem> {
    let (from, to) = (arguments.get(&range.from)?, arguments.get(&range.to)?);
    let (from_name, to_name) = (&range.from, &range.to);
    let told = format!("`{to_name}` is {} and `{from_name}` is {}", show(to), show(from));
    let message = match (from.as_str().and_then(schema::date), to.as_str().and_then(schema::date)) {
        (Some(first), Some(last)) => {
            let days = (last - first).num_days();
            if days < range.min_days {
                let later = if range.min_days > 0 { "later than" } else { "equal to or later than" };
                format!("{told}: `{to_name}` has to be {later} `{from_name}`")
            } else {
                let most = range.max_days.filter(|most| days > *most)?;
                let last = first.checked_add_signed(TimeDelta::days(most))?;
                format!(
                    "{told}, {days} days later: at most {most} are possible, so ask for `{to_name}` \"{last}\" and then for the rest"
                )
            }
        }
        _ if to.as_f64()? < from.as_f64()? => format!("{told}: `{to_name}` cannot be less than `{from_name}`"),
        _ => return None,
    };
    Some(Problem::new(to_name, message))
}
