//! The arguments of requests, from the catalogue's parameters and from the known ids.

use chrono::{NaiveDate, TimeDelta};
use serde_json::{Map, Value, json};

use super::{
    super::{
        operation::Operation,
        spec::{OperationSpec, ParameterLocation, ParameterSpec},
    },
    ids::Ids,
};

/// Everything was created or changed after this time.
const EARLY: &str = "2000-01-01T00:00:00Z";
/// The number of days for which calendars and nightly rates are read.
const DAYS: i64 = 90;
/// The number of requests to a list whose arguments are ids, while its responses are empty.
pub(super) const TRIES: usize = 3;

/// Returns the arguments to try, best first. Empty while a required id is not known.
pub(super) fn candidates(operation: &Operation, ids: &Ids, today: NaiveDate) -> Vec<Map<String, Value>> {
    let needs = Needs { operation, spec: operation.spec(), ids, today };
    let mut options = Vec::new();
    for parameter in needs.spec.parameters.iter().filter(|parameter| parameter.required) {
        options.push((&parameter.name, needs.values(parameter)));
    }
    for group in &operation.rules().one_of_required {
        let known = needs.spec.parameters.iter().filter(|parameter| group.contains(&parameter.name));
        let mut known = known.map(|parameter| (&parameter.name, needs.values(parameter)));
        match known.find(|(_, values)| !values.is_empty()) {
            Some(option) => options.push(option),
            None => return Vec::new(),
        }
    }
    if options.iter().any(|(_, values)| values.is_empty()) {
        return Vec::new();
    }
    let most = options.iter().map(|(_, values)| values.len()).max().unwrap_or(1).min(TRIES);
    let candidate = |index: usize| {
        let mut arguments = view(operation);
        for (name, values) in &options {
            if let Some(value) = values.get(index).or(values.last()) {
                arguments.insert((*name).clone(), value.clone());
            }
        }
        arguments
    };
    (0..most).map(candidate).collect()
}

/// Returns the number of ids that an operation needs before it can be requested: operations that need fewer come first.
pub(super) fn needs(operation: &Operation) -> usize {
    let required = operation.spec().parameters.iter().filter(|parameter| parameter.required).count();
    required + operation.rules().one_of_required.len()
}

/// Returns whether this parameter adds members to records, according to its name.
pub(super) fn is_include(parameter: &ParameterSpec) -> bool {
    parameter.location == ParameterLocation::Query
        && parameter.name.starts_with("include")
        && kind_of(parameter) != "array"
}

/// Returns the type of a parameter.
pub(super) fn kind_of(parameter: &ParameterSpec) -> &str {
    parameter.schema.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Returns the arguments for lists: the longest page, with everything that a parameter adds. Single records are
/// requested without such arguments.
fn view(operation: &Operation) -> Map<String, Value> {
    let mut arguments = Map::new();
    if !operation.returns_list() {
        return arguments;
    }
    for parameter in &operation.spec().parameters {
        let value = match (kind_of(parameter), first_choice(parameter)) {
            ("boolean", _) if is_include(parameter) => Some(json!(true)),
            (_, Some(choice)) if is_include(parameter) => Some(choice),
            _ if parameter.name == "limit" => parameter.schema.get("maximum").cloned(),
            _ => None,
        };
        arguments.extend(value.map(|value| (parameter.name.clone(), value)));
    }
    arguments
}

fn first_choice(parameter: &ParameterSpec) -> Option<Value> {
    parameter.schema.get("enum")?.as_array()?.first().cloned()
}

/// The inputs for the values of parameters.
struct Needs<'a> {
    operation: &'a Operation,
    spec: &'a OperationSpec,
    ids: &'a Ids,
    today: NaiveDate,
}

impl Needs<'_> {
    /// Returns the possible values of a parameter, best first.
    fn values(&self, parameter: &ParameterSpec) -> Vec<Value> {
        let name = snake_case(&parameter.name);
        let format = parameter.schema.get("format").and_then(Value::as_str).unwrap_or_default();
        if parameter.location == ParameterLocation::Path && name == "id" {
            let list = self.spec.path.rsplit_once('/').map_or("", |(list, _)| list);
            return self.ids.of_list(list).map(Value::from).into_iter().collect();
        }
        if let Some(kind) = name.strip_suffix("_ids") {
            let ids = self.ids.of_kind(kind);
            return if ids.is_empty() { Vec::new() } else { vec![json!(ids)] };
        }
        if let Some(stem) = name.strip_suffix("_id") {
            let pairs = self.pairs(stem);
            return if pairs.is_empty() {
                self.ids.of_kind(stem).into_iter().take(TRIES).map(|id| json!(id)).collect()
            } else {
                pairs.into_iter().map(|(_, id)| json!(id)).collect()
            };
        }
        if let Some(stem) = name.strip_suffix("_type") {
            let pairs = self.pairs(stem);
            if !pairs.is_empty() {
                return pairs.into_iter().map(|(kind, _)| json!(kind)).collect();
            }
        }
        match format {
            "date" => vec![json!(self.day(&parameter.name).to_string())],
            "date-time" => vec![json!(EARLY)],
            _ => first_choice(parameter).into_iter().collect(),
        }
    }

    /// Returns kinds and ids for a pair of parameters such as `entity_type` and `entity_id`.
    fn pairs(&self, stem: &str) -> Vec<(String, i64)> {
        let (kind, id) = (format!("{stem}_type"), format!("{stem}_id"));
        let find = |name: &str| self.spec.parameters.iter().find(|parameter| snake_case(&parameter.name) == name);
        let (Some(kind), Some(_)) = (find(&kind), find(&id)) else { return Vec::new() };
        let choices = kind.schema.get("enum").and_then(Value::as_array);
        let choices: Vec<&str> = choices.into_iter().flatten().filter_map(Value::as_str).collect();
        self.ids.of_kinds(&choices, self.operation.group())
    }

    /// Returns the first day of a range, or its last one.
    fn day(&self, name: &str) -> NaiveDate {
        let range = self.operation.rules().ranges.iter().find(|range| range.to == name);
        let days = range.map_or(0, |range| range.max_days.map_or(DAYS, |most| most.min(DAYS)));
        self.today.checked_add_signed(TimeDelta::days(days)).unwrap_or(self.today)
    }
}

/// Returns a name in the usual style of the catalogue: `threadId` becomes `thread_id`.
pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
