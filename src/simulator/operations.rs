//! The behaviour of the simulator for each operation: `api.json` describes requests and responses, and `behaviour.json`
//! defines the processing.
//!
//! Everything that operations have in common (routing, validation of parameters and body, filters, paging) is driven by
//! these two files, so that another group of operations needs data instead of code.

use std::{collections::BTreeMap, io};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    description::{Described, Description},
    variations::Variation,
};

const BEHAVIOUR: &str = include_str!("behaviour.json");

/// One operation of the API, ready to run.
pub(super) struct Operation {
    pub(super) described: Described,
    pub(super) kind: Kind,
}

impl Operation {
    /// Returns whether the operation only reads.
    pub(super) fn is_read_only(&self) -> bool {
        self.described.method == "GET"
    }
}

/// The processing of an operation.
#[derive(Deserialize, Clone)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Kind {
    /// Returns the account itself.
    Me,
    /// Returns a filtered page of a collection.
    List {
        collection: String,
        filters: Vec<Filter>,
        /// The parameter that requests `rule_violations`.
        #[serde(default)]
        rules: Option<String>,
    },
    /// Returns one record.
    Get { collection: String },
    /// Creates a record.
    Create {
        collection: String,
        rule: Option<WriteRule>,
        /// Additional members of a new record without a rule.
        #[serde(default)]
        blank: Map<String, Value>,
    },
    /// Changes members of a record.
    Update { collection: String, rule: Option<WriteRule> },
    /// Deletes a record, and the records that name it in `key`.
    Delete {
        collection: String,
        #[serde(default)]
        with: Vec<Dependent>,
        /// Records that may prevent the deletion.
        #[serde(default)]
        named_by: Vec<Dependent>,
    },
    /// Deletes the records that pass the filters.
    DeleteMatching { collection: String, filters: Vec<Filter> },
    /// Deletes an element of a list within a record.
    DeletePart { collection: String, member: String, param: String, entity: String },
    /// Returns nights computed from seasons and bookings.
    Calendar,
    /// Returns the messages of one thread, with the thread and its guest.
    Thread { filters: Vec<Filter> },
    /// Writes overrides of single nights.
    SpotRates,
    /// Returns a constant response.
    Fixed { body: Value },
}

/// Records that name another one in `key`.
#[derive(Deserialize, Clone)]
pub(super) struct Dependent {
    pub(super) collection: String,
    pub(super) key: String,
}

/// Checks and effects of a write that data cannot express.
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
    /// The parameter with the end of the range that starts with `param`.
    #[serde(default)]
    pub(super) until: Option<String>,
    /// With this variation a request without `param` means true.
    #[serde(default)]
    pub(super) true_with: Option<Variation>,
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
    /// Has none of these tags.
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

/// A member that is returned only on request.
#[derive(Deserialize)]
pub(super) struct Optional {
    /// The parameter that requests it; without one it is always returned.
    #[serde(default)]
    pub(super) param: Option<String>,
    pub(super) member: String,
    #[serde(default)]
    pub(super) join: Option<Join>,
    #[serde(default)]
    pub(super) gather: Option<Gather>,
    /// Whether reads of a single record always include it.
    #[serde(default)]
    pub(super) lists_only: bool,
    /// Another parameter that requests it.
    #[serde(default)]
    pub(super) or: Option<String>,
}

/// Data of another collection's records that name this record in `entity_id`.
#[derive(Deserialize)]
pub(super) struct Gather {
    pub(super) collection: String,
    pub(super) shows: Shown,
}

/// One member, or members under separate names.
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
    operations: BTreeMap<String, Kind>,
}

/// All operations and collections.
pub(super) struct Operations {
    pub(super) description: Description,
    pub(super) all: Vec<Operation>,
    pub(super) collections: BTreeMap<String, Collection>,
}

/// The result of routing a path.
pub(super) enum Route<'a> {
    Found(&'a Operation, BTreeMap<String, String>),
    WrongMethod,
    Unknown,
}

impl Operations {
    pub(super) fn load() -> io::Result<Self> {
        let description = Description::load()?;
        let Behaviour { collections, mut operations } = serde_json::from_str(BEHAVIOUR)?;
        let ready = |(key, described): (&String, &Described)| {
            let kind = operations.remove(key).ok_or_else(|| io::Error::other(format!("{key} has no behaviour")))?;
            Ok(Operation { described: described.clone(), kind })
        };
        let all = description.operations.iter().map(ready).collect::<io::Result<_>>()?;
        match operations.keys().next() {
            Some(key) => Err(io::Error::other(format!("{key} has a behaviour and no description"))),
            None => Ok(Operations { all, collections, description }),
        }
    }

    pub(super) fn route(&self, method: &str, path: &str) -> Route<'_> {
        let known =
            self.all.iter().filter_map(|operation| Some((operation, capture(&operation.described.path, path)?)));
        let (right, wrong): (Vec<_>, Vec<_>) = known.partition(|(operation, _)| operation.described.method == method);
        // Literal segments take precedence over placeholders: `/tags/byname` is not a tag.
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
    fn behaviours_name_what_is_described() {
        let Operations { all, collections, .. } = Operations::load().expect("embedded data");
        for Operation { described, kind } in &all {
            let key = format!("{} {}", described.method, described.path);
            let (collection, filters) = match kind {
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
            assert!(collection.is_none_or(|name| collections.contains_key(name)), "{key}: {collection:?}");
            for filter in filters {
                assert!(described.in_query.contains_key(&filter.param), "{key}: {}", filter.param);
            }
        }
    }
}
