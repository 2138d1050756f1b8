//! The operations as data: the gateway's own catalogue says what is asked, `behaviour.json` what is done about it.
//!
//! Everything an operation has in common with the others (its route, the checks of its parameters and body, filters,
//! paging) runs from these two files, so that the next group of operations costs data instead of code.

use std::{collections::BTreeMap, io};

use jsonschema::Validator;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::arguments::instant;

const CATALOGUE: &str = include_str!("../../config/operations.json");
const BEHAVIOUR: &str = include_str!("behaviour.json");

/// One operation of the API, ready to run.
pub(super) struct Operation {
    pub(super) tool: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) read_only: bool,
    pub(super) counted: bool,
    pub(super) parameters: Vec<Parameter>,
    pub(super) one_of_required: Vec<Vec<String>>,
    pub(super) body: Option<Validator>,
    /// Members of its entries that null empties.
    pub(super) clears: Vec<String>,
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
    #[serde(default)]
    clears: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Parameter {
    /// OwnerRez's name. The catalogue may give the argument of a tool another one.
    pub(super) name: String,
    #[serde(default)]
    wire: Option<String>,
    #[serde(rename = "in")]
    pub(super) place: Place,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) required: bool,
    #[serde(default)]
    pub(super) format: String,
    #[serde(default, rename = "enum")]
    pub(super) choices: Vec<String>,
    #[serde(default)]
    pub(super) style: String,
}

impl Parameter {
    fn under_its_wire_name(mut self) -> Self {
        if let Some(wire) = self.wire.take() {
            self.name = wire;
        }
        self
    }
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
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
        for Listed { tool, method, path, read_only, answer, parameters, one_of_required, body, clears } in listed {
            let parameters = parameters.into_iter().map(Parameter::under_its_wire_name).collect();
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
                clears,
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

#[cfg(test)]
mod tests {
    use super::*;

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
            let known = |name: &str| {
                let names = operation.parameters.iter().map(|one| one.wire.as_ref().unwrap_or(&one.name));
                names.into_iter().any(|known| known == name)
            };
            for filter in filters {
                assert!(known(&filter.param), "{tool}: {}", filter.param);
            }
        }
    }
}
