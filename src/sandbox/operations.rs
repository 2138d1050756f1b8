//! The operations as data: the gateway's own catalogue says what is asked, `behaviour.json` what is done about it.
//!
//! Everything an operation has in common with the others (its route, the checks of its parameters and body, filters,
//! paging) runs from these two files, so that the next group of operations costs data instead of code.

use std::{collections::BTreeMap, io};

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::{Map, Value};

const CATALOGUE: &str = include_str!("../../config/operations.json");
const BEHAVIOUR: &str = include_str!("behaviour.json");

/// One operation of the API, ready to run.
pub(super) struct Operation {
    pub(super) tool: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) read_only: bool,
    pub(super) counted: bool,
    parameters: Vec<Parameter>,
    one_of_required: Vec<Vec<String>>,
    body: Option<Validator>,
    /// `None` only while an operation waits for its behaviour; a test does not let that pass.
    pub(super) kind: Option<Kind>,
    pub(super) gate: Option<Gate>,
    /// Refuses query names that it does not know, instead of ignoring them.
    pub(super) strict: bool,
}

/// What an operation does, and who may use it.
#[derive(Deserialize)]
struct Behaved {
    #[serde(default)]
    gate: Option<Gate>,
    #[serde(default)]
    strict: bool,
    #[serde(flatten)]
    kind: Kind,
}

/// What an account or its access must have, beyond being there.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum Gate {
    /// An app's token and a messaging agreement.
    Messaging,
    /// An app's token.
    App,
}

#[derive(Deserialize)]
struct Listed {
    tool: String,
    method: String,
    path: String,
    read_only: bool,
    answer: String,
    parameters: Vec<Parameter>,
    #[serde(default)]
    one_of_required: Vec<Vec<String>>,
    #[serde(default)]
    body: Option<Value>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    #[serde(rename = "in")]
    place: Place,
    #[serde(rename = "type")]
    kind: String,
    required: bool,
    #[serde(default)]
    format: String,
    #[serde(default, rename = "enum")]
    choices: Vec<String>,
    #[serde(default)]
    style: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Place {
    Path,
    Query,
}

/// What an operation does.
#[derive(Deserialize, Clone)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Kind {
    /// The account itself.
    Me,
    /// A filtered page of a collection.
    List {
        collection: String,
        filters: Vec<Filter>,
        /// The parameter that asks for `rule_violations`.
        #[serde(default)]
        rules: Option<String>,
    },
    /// One record.
    Get { collection: String },
    /// A new record.
    Create {
        collection: String,
        rule: Option<WriteRule>,
        /// What a record without a rule holds beyond what is written.
        #[serde(default)]
        blank: Map<String, Value>,
    },
    /// Changed members of a record.
    Update { collection: String, rule: Option<WriteRule> },
    /// A record removed, and with it those that name it in `key`.
    Delete {
        collection: String,
        #[serde(default)]
        with: Vec<Dependent>,
    },
    /// The records removed that pass the filters.
    DeleteMatching { collection: String, filters: Vec<Filter> },
    /// An element of a list within a record removed.
    DeletePart { collection: String, member: String, param: String, entity: String },
    /// Nights computed from seasons and bookings.
    Calendar,
    /// The messages of one thread, with the thread and its guest.
    Thread { filters: Vec<Filter> },
    /// Overrides of single nights.
    SpotRates,
    /// Always the same.
    Fixed { body: Value },
}

/// Records that go when another one goes.
#[derive(Deserialize, Clone)]
pub(super) struct Dependent {
    pub(super) collection: String,
    pub(super) key: String,
}

/// Checks and consequences of a write that data cannot express.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum WriteRule {
    Booking,
    Guest,
    Quote,
    Message,
    Tag,
    TagDefinition,
    Field,
    FieldDefinition,
}

/// How one query parameter narrows a list.
#[derive(Deserialize, Clone)]
pub(super) struct Filter {
    pub(super) param: String,
    pub(super) test: Test,
    #[serde(default)]
    pub(super) fields: Vec<String>,
    /// The parameter that closes the range which `param` opens.
    #[serde(default)]
    pub(super) until: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum Test {
    Equals,
    In,
    AtLeast,
    AtMost,
    After,
    Text,
    HasAll,
    /// Has the tags of these definitions.
    Tagged,
    /// Has none of them.
    Untagged,
    Free,
    Stays,
}

/// A kind of record.
#[derive(Deserialize)]
pub(super) struct Collection {
    pub(super) entity: String,
    #[serde(default)]
    pub(super) optional: Vec<Optional>,
}

/// A member that is answered only on request.
#[derive(Deserialize)]
pub(super) struct Optional {
    pub(super) param: String,
    pub(super) member: String,
    #[serde(default)]
    pub(super) join: Option<Join>,
    #[serde(default)]
    pub(super) gather: Option<Gather>,
    /// Reads of one record show it in any case.
    #[serde(default)]
    pub(super) lists_only: bool,
    /// Another parameter that asks for it.
    #[serde(default)]
    pub(super) or: Option<String>,
}

/// What the records of another collection say about this one, which they name in `entity_id`.
#[derive(Deserialize)]
pub(super) struct Gather {
    pub(super) collection: String,
    pub(super) shows: Shown,
}

/// One member, or members under names of their own.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Shown {
    Member(String),
    Members(BTreeMap<String, String>),
}

/// A member that is a short form of another record.
#[derive(Deserialize)]
pub(super) struct Join {
    pub(super) collection: String,
    pub(super) key: String,
    pub(super) members: Vec<String>,
}

#[derive(Deserialize)]
struct Behaviour {
    collections: BTreeMap<String, Collection>,
    operations: BTreeMap<String, Behaved>,
}

/// All operations and collections.
pub(super) struct Operations {
    pub(super) all: Vec<Operation>,
    pub(super) collections: BTreeMap<String, Collection>,
}

/// What a path leads to.
pub(super) enum Route<'a> {
    Found(&'a Operation, BTreeMap<String, String>),
    WrongMethod,
    Unknown,
}

impl Operations {
    pub(super) fn load() -> io::Result<Self> {
        let listed: Vec<Listed> = serde_json::from_str(CATALOGUE)?;
        let Behaviour { collections, mut operations } = serde_json::from_str(BEHAVIOUR)?;
        let mut all = Vec::with_capacity(listed.len());
        for Listed { tool, method, path, read_only, answer, parameters, one_of_required, body } in listed {
            let body = body.map(|schema| {
                jsonschema::options()
                    .should_validate_formats(true)
                    .with_format("date-time", |text: &str| instant(text).is_some())
                    .build(&schema)
                    .map_err(|error| io::Error::other(error.to_string()))
            });
            let (kind, gate, strict) = match operations.remove(&tool) {
                Some(Behaved { kind, gate, strict }) => (Some(kind), gate, strict),
                None => (None, None, false),
            };
            all.push(Operation {
                kind,
                gate,
                strict,
                counted: answer == "counted_page",
                body: body.transpose()?,
                tool,
                method,
                path,
                read_only,
                parameters,
                one_of_required,
            });
        }
        Ok(Operations { all, collections })
    }

    pub(super) fn route(&self, method: &str, path: &str) -> Route<'_> {
        let known = self.all.iter().filter_map(|operation| Some((operation, capture(&operation.path, path)?)));
        let (right, wrong): (Vec<_>, Vec<_>) = known.partition(|(operation, _)| operation.method == method);
        // Words come before placeholders: `/tags/byname` is no tag.
        match right.into_iter().min_by_key(|(_, values)| values.len()) {
            Some((operation, values)) => Route::Found(operation, values),
            None if wrong.is_empty() => Route::Unknown,
            None => Route::WrongMethod,
        }
    }

    pub(super) fn entity(&self, collection: &str) -> &str {
        self.collections.get(collection).map_or("Record", |collection| &collection.entity)
    }
}

fn capture(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let mut segments = path.split('/');
    for part in template.split('/') {
        let segment = segments.next()?;
        match part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => {
                values.insert(name.to_owned(), segment.to_owned());
            }
            None if part == segment => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(values)
}

/// A checked value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Date(NaiveDate),
    Instant(DateTime<Utc>),
    Text(String),
    Integers(Vec<i64>),
}

/// The checked values of a request.
#[derive(Default, Debug)]
pub(super) struct Arguments(BTreeMap<String, Argument>);

impl Arguments {
    pub(super) fn get(&self, name: &str) -> Option<&Argument> {
        self.0.get(name)
    }

    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Argument::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn date(&self, name: &str) -> Option<NaiveDate> {
        match self.get(name) {
            Some(Argument::Date(value)) => Some(*value),
            _ => None,
        }
    }

    /// Whether something is asked for: by `true`, or by the form in which it is wanted.
    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Argument::Boolean(true) | Argument::Text(_)))
    }
}

impl Operation {
    /// Reads path and query by the parameters' types. Names that the operation does not know are ignored, as OwnerRez
    /// does; every complaint names its parameter.
    pub(super) fn arguments(
        &self,
        path: &BTreeMap<String, String>,
        query: &[(String, String)],
    ) -> Result<Arguments, Vec<String>> {
        let mut arguments = BTreeMap::new();
        let mut complaints = Vec::new();
        for parameter in &self.parameters {
            let name = &parameter.name;
            let read = if parameter.style == "indexed" {
                parameter.read_indexed(query)
            } else {
                let text = match parameter.place {
                    Place::Path => path.get(name),
                    Place::Query => query.iter().find(|(key, _)| key == name).map(|(_, value)| value),
                };
                text.filter(|text| !text.is_empty()).map(|text| parameter.read(text)).transpose()
            };
            match read {
                Ok(Some(value)) => {
                    arguments.insert(name.clone(), value);
                }
                Ok(None) if parameter.required => complaints.push(format!("{name} is required.")),
                Ok(None) => {}
                Err(complaint) => complaints.push(complaint),
            }
        }
        for group in &self.one_of_required {
            if complaints.is_empty() && !group.iter().any(|name| arguments.contains_key(name)) {
                complaints.push(format!("One of {} is required.", group.join(", ")));
            }
        }
        if complaints.is_empty() { Ok(Arguments(arguments)) } else { Err(complaints) }
    }

    /// The query names that it does not know.
    pub(super) fn unknown_names<'q>(&self, query: &'q [(String, String)]) -> impl Iterator<Item = &'q str> {
        let known = |name: &str| {
            let bare = name.split('[').next().unwrap_or_default();
            self.parameters.iter().any(|parameter| parameter.place == Place::Query && parameter.name == bare)
        };
        query.iter().map(|(name, _)| name.as_str()).filter(move |name| !known(name))
    }

    /// Reads a body that is a list of objects.
    pub(super) fn read_list(&self, body: &[u8]) -> Result<Vec<Map<String, Value>>, Vec<String>> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let complaints = self.complaints(&body);
        let Value::Array(entries) = body else { return Err(vec!["The body must be a JSON array.".to_owned()]) };
        // A call that changes nothing is no mistake (measured).
        if entries.is_empty() || complaints.is_empty() {
            let objects = entries.into_iter().filter_map(|entry| entry.as_object().cloned());
            return Ok(objects.collect());
        }
        Err(complaints)
    }

    fn complaints(&self, body: &Value) -> Vec<String> {
        let found = self.body.iter().flat_map(|validator| validator.iter_errors(body));
        found
            .map(|error| {
                let at = error.instance_path().to_string();
                match at.trim_start_matches('/') {
                    "" => format!("{error}."),
                    member => format!("{member}: {error}."),
                }
            })
            .collect()
    }

    /// Reads a body. A null member clears a value on PATCH, so nulls are left out of the check but kept in the result.
    pub(super) fn read_body(&self, body: &[u8]) -> Result<Map<String, Value>, Vec<String>> {
        if self.body.is_none() {
            return Ok(Map::new());
        }
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
            return Err(vec!["The body must be a JSON object.".to_owned()]);
        };
        let present = members.iter().filter(|(_, value)| !value.is_null());
        let checked = Value::Object(present.map(|(name, value)| (name.clone(), value.clone())).collect());
        let complaints = self.complaints(&checked);
        if complaints.is_empty() { Ok(members) } else { Err(complaints) }
    }
}

impl Parameter {
    fn read(&self, text: &str) -> Result<Argument, String> {
        let name = &self.name;
        let value = match (self.kind.as_str(), self.format.as_str()) {
            ("integer", _) => text.parse().ok().map(Argument::Integer),
            ("number", _) => text.parse().ok().filter(|value: &f64| value.is_finite()).map(Argument::Number),
            ("boolean", _) => text.to_ascii_lowercase().parse().ok().map(Argument::Boolean),
            (_, "date") => day(text).map(Argument::Date),
            (_, "date-time") => instant(text).map(Argument::Instant),
            (_, "csv-int") => {
                text.split(',').map(|id| id.trim().parse().ok()).collect::<Option<_>>().map(Argument::Integers)
            }
            _ => Some(Argument::Text(text.to_owned())),
        };
        let value = value.ok_or_else(|| {
            let wanted = if self.format.is_empty() { &self.kind } else { &self.format };
            format!("The value '{text}' is not valid for {name}: {wanted} expected.")
        })?;
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice == text) {
            return Err(format!(
                "The value '{text}' is not valid for {name}: one of {} expected.",
                self.choices.join(", ")
            ));
        }
        Ok(value)
    }

    /// `name[0]=1&name[1]=2`.
    fn read_indexed(&self, query: &[(String, String)]) -> Result<Option<Argument>, String> {
        let mut values = Vec::new();
        for (key, text) in query {
            let index = key.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'));
            if index.is_some_and(|index| index.parse::<usize>().is_ok()) {
                let complaint = || format!("The value '{text}' is not valid for {key}: integer expected.");
                values.push(text.parse().map_err(|_| complaint())?);
            }
        }
        Ok((!values.is_empty()).then_some(Argument::Integers(values)))
    }
}

/// Four-digit years only: chrono reads more, up to days that have no successor.
fn day(text: &str) -> Option<NaiveDate> {
    let plain = text.len() == 10 && !text.starts_with(['+', '-']);
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| plain)
}

/// An ISO 8601 moment; without a zone it is taken as UTC.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc());
    let plain = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|moment| moment.and_utc());
    let midnight = || day(text)?.and_hms_opt(0, 0, 0).map(|at| at.and_utc());
    zoned.or_else(plain).or_else(midnight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tool: &str, query: &str) -> Result<Arguments, Vec<String>> {
        let operations = Operations::load().expect("embedded data");
        let operation = operations.all.iter().find(|operation| operation.tool == tool).expect("a tool");
        let query: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        operation.arguments(&BTreeMap::new(), &query)
    }

    #[test]
    fn every_operation_has_a_behaviour() {
        for operation in Operations::load().expect("embedded data").all {
            assert!(operation.kind.is_some(), "{} has no entry in behaviour.json", operation.tool);
        }
    }

    /// A misspelt name would be an operation that nobody serves.
    #[test]
    fn behaviours_speak_of_what_there_is() {
        let listed: Vec<Listed> = serde_json::from_str(CATALOGUE).expect("the catalogue");
        let Behaviour { collections, operations } = serde_json::from_str(BEHAVIOUR).expect("the behaviours");
        for (tool, behaved) in &operations {
            assert!(listed.iter().any(|operation| operation.tool == *tool), "{tool} is not in the catalogue");
            let (collection, filters) = match &behaved.kind {
                Kind::List { collection, filters, .. } | Kind::DeleteMatching { collection, filters } => {
                    (Some(collection), filters.as_slice())
                }
                Kind::Thread { filters } => (None, filters.as_slice()),
                Kind::Get { collection }
                | Kind::Create { collection, .. }
                | Kind::Update { collection, .. }
                | Kind::Delete { collection, .. }
                | Kind::DeletePart { collection, .. } => (Some(collection), [].as_slice()),
                Kind::Me | Kind::Calendar | Kind::SpotRates | Kind::Fixed { .. } => (None, [].as_slice()),
            };
            assert!(collection.is_none_or(|name| collections.contains_key(name)), "{tool}: {collection:?}");
            let operation = listed.iter().find(|operation| operation.tool == *tool).expect("as above");
            let known = |name: &str| operation.parameters.iter().any(|parameter| parameter.name == name);
            for filter in filters {
                assert!(known(&filter.param), "{tool}: {}", filter.param);
            }
        }
    }

    #[test]
    fn complaints_name_the_parameter() {
        for (tool, query, name) in [
            ("list_bookings", "", "property_ids, since_utc"),
            ("list_bookings", "property_ids=1,x", "property_ids"),
            ("list_bookings", "since_utc=yesterday", "since_utc"),
            ("list_bookings", "since_utc=2026-11-23T00:00:00 01:00", "since_utc"),
            ("list_bookings", "property_ids=1&status=gone", "status"),
            ("list_bookings", "property_ids=1&from=2026-02-30", "from"),
            ("list_bookings", "property_ids=1&from=%2B262142-12-31", "from"),
            ("list_properties", "active=perhaps", "active"),
            ("list_properties", "limit=many", "limit"),
            ("search_properties", "include_tag_ids[0]=x", "include_tag_ids[0]"),
            ("search_properties", "rate_min=NaN", "rate_min"),
        ] {
            let complaints = read(tool, query).expect_err(query);
            assert!(complaints.iter().any(|text| text.contains(name)), "{query}: {complaints:?}");
        }
    }

    #[test]
    fn good_values_are_read_by_type() {
        let arguments = read(
            "search_properties",
            "include_tag_ids[0]=4&include_tag_ids[1]=5&pets_allowed=true&rate_min=1.5&unknown=1",
        )
        .expect("good values");
        assert_eq!(arguments.get("include_tag_ids"), Some(&Argument::Integers(vec![4, 5])));
        assert!(arguments.flag("pets_allowed"));
        assert_eq!(arguments.get("rate_min"), Some(&Argument::Number(1.5)));
        assert!(arguments.get("unknown").is_none());
    }
}
