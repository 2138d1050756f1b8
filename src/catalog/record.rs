//! The kinds of records in responses: `config/records.json` contains one entry for each kind.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use super::{closest::closest, problem::ArgumentProblem};

/// The table of record kinds.
pub(super) const RECORD_SCHEMAS: &str = include_str!("../../config/records.json");

/// A kind of record, as written. Members are paths such as `guest.first_name`; lists on a path are not marked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordSchema {
    /// Its name.
    pub record: String,
    /// All members, in the order of tables, if they are confirmed for this kind.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Members whose text guests or channels write.
    #[serde(default)]
    pub guest_written: Vec<String>,
    /// Members that are shown only on request: keys, links to pictures, timestamps of rows.
    #[serde(default)]
    pub left_out: Vec<HiddenField>,
    /// The same, in lists only.
    #[serde(default)]
    pub left_out_of_lists: Vec<HiddenField>,
    /// Members that OwnerRez omits, and another member with the same value.
    #[serde(default)]
    pub filled: Vec<CopiedField>,
    /// Lists of which a whole record shows only the first entries, unless all are requested.
    #[serde(default)]
    pub shortened: Vec<Shortened>,
    /// If a record is itself a list: the member that contains it.
    #[serde(default)]
    pub rows: Option<String>,
    /// Members that OwnerRez always sends with their parent object. It omits other members that are null.
    #[serde(default)]
    pub always: Vec<String>,
    /// Members with a closed vocabulary, and its words. The list is empty if not all words are known.
    #[serde(default)]
    pub words: BTreeMap<String, Vec<String>>,
}

/// A member, written `path` if it is text, otherwise `path:type`. The type is `boolean`, `integer`, `number`, `object`,
/// `any`, or another kind of record, whose members are then members of this one, too; `[]` after it means "a list of".
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct Member {
    pub path: String,
    pub type_name: String,
    pub many: bool,
}

/// A member that is filled in from another one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CopiedField {
    pub member: String,
    /// The path of the other one, in the record or next to the list.
    pub from: String,
}

/// A list that is shown in part.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shortened {
    pub list: String,
    pub first: usize,
}

/// A member that is left out, written as its path.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct HiddenField {
    path: String,
    /// The text for it in the `omitted` notice: one word for several members of one parent.
    label: String,
}

impl From<String> for HiddenField {
    fn from(path: String) -> Self {
        let label = path.rsplit_once('.').map_or_else(|| path.clone(), |(outer, _)| format!("{outer}.…"));
        Self { path, label }
    }
}

impl From<String> for Member {
    fn from(text: String) -> Self {
        let (path, holds) = text.split_once(':').unwrap_or((&text, "string"));
        let one = holds.strip_suffix("[]");
        Self { path: path.to_owned(), type_name: one.unwrap_or(holds).to_owned(), many: one.is_some() }
    }
}

/// The types other than kinds of records.
const TYPES: [&str; 6] = ["any", "boolean", "integer", "number", "object", "string"];

/// Returns all kinds by their names, or the mistakes in the table.
pub(super) fn record_schemas(table: &str) -> Result<BTreeMap<String, Arc<RecordSchema>>, Vec<String>> {
    let records: Vec<RecordSchema> = serde_json::from_str(table).map_err(|error| vec![error.to_string()])?;
    let mut schemas = BTreeMap::new();
    let mut errors = Vec::new();
    for mut record in records {
        errors.extend(record.expand_references(&schemas));
        let left_out = record.left_out.iter().chain(&record.left_out_of_lists).map(|left_out| &left_out.path);
        let filled = record.filled.iter().flat_map(|filled| [&filled.member, &filled.from]);
        let lists = record.shortened.iter().map(|one| &one.list);
        let others = record.rows.iter().chain(&record.always).chain(record.words.keys()).chain(filled).chain(lists);
        for path in record.guest_written.iter().chain(left_out).chain(others) {
            if !record.members.is_empty() && !record.has(path) {
                errors.push(format!("{}: `{path}` is not one of its members", record.record));
            }
        }
        let name = record.record.clone();
        if schemas.insert(name.clone(), Arc::new(record)).is_some() {
            errors.push(format!("{name}: the name is used twice"));
        }
    }
    if errors.is_empty() { Ok(schemas) } else { Err(errors) }
}

impl RecordSchema {
    /// Replaces names of other kinds by the members of these kinds and their attributes; returns the mistakes.
    pub(super) fn expand_references(&mut self, schemas: &BTreeMap<String, Arc<RecordSchema>>) -> Vec<String> {
        let mut errors = Vec::new();
        for mut member in std::mem::take(&mut self.members) {
            let within = |path: &String| format!("{}.{path}", member.path);
            let mut members = Vec::new();
            if !TYPES.contains(&member.type_name.as_str()) {
                match schemas.get(&member.type_name) {
                    Some(kind) => {
                        members
                            .extend(kind.members.iter().map(|one| Member { path: within(&one.path), ..one.clone() }));
                        self.guest_written.extend(kind.guest_written.iter().map(within));
                        let of_lists = kind.left_out_of_lists.iter().filter(|_| member.many);
                        let left_out = kind.left_out.iter().chain(of_lists);
                        self.left_out.extend(left_out.map(|left_out| HiddenField::from(within(&left_out.path))));
                    }
                    None => errors.push(format!(
                        "{}: `{}` has the type `{}`, which is neither a type nor a kind defined before it",
                        self.record, member.path, member.type_name
                    )),
                }
                member.type_name = "object".to_owned();
            }
            self.members.push(member);
            self.members.extend(members);
        }
        errors
    }

    /// Returns whether this path is one of its members.
    pub(super) fn has(&self, path: &str) -> bool {
        self.members.iter().any(|member| member.path == path)
    }

    /// Returns whether members of this member are known.
    pub(super) fn has_nested(&self, path: &str) -> bool {
        self.members.iter().any(|member| is_within(&member.path, path))
    }

    /// Returns an error for a requested path that cannot exist.
    pub(super) fn validate_path(&self, path: &str) -> Option<ArgumentProblem> {
        if self.members.is_empty() {
            return None;
        }
        let place = self.deepest_known(path)?;
        let paths = || self.members.iter().map(|member| member.path.as_str());
        let within = |member: &&str| match place {
            "" => !member.contains('.'),
            place => is_within(member, place),
        };
        let known: Vec<&str> = paths().filter(within).collect();
        let shown: String = path.chars().take(60).map(|c| if c.is_control() || c == '`' { '?' } else { c }).collect();
        let near = closest(path, paths());
        let near = near.map_or(String::new(), |near| format!("perhaps `{near}` is meant; "));
        let known =
            if known.is_empty() { format!("`{place}` has no members") } else { format!("it has {}", known.join(", ")) };
        let message = format!("there is no member `{shown}` in a {}: {near}{known}", self.record);
        Some(ArgumentProblem::new("fields", message))
    }

    /// Returns the last existing member on a path that does not exist; `None` if the path may exist.
    fn deepest_known<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut known = "";
        for end in path.match_indices('.').map(|(at, _)| at).chain([path.len()]) {
            let part = &path[..end];
            if !self.has(part) {
                // The members of an undescribed member are unknown.
                let is_plain =
                    |member: &Member| member.path == known && !["any", "object"].contains(&&*member.type_name);
                let described = |member: &Member| is_within(&member.path, known) || is_plain(member);
                return (known.is_empty() || self.members.iter().any(described)).then_some(known);
            }
            known = part;
        }
        None
    }

    /// Returns this member if the kind lists it as text of guests.
    pub(super) fn guest_written(&self, path: &str) -> Option<&str> {
        self.guest_written.iter().map(String::as_str).find(|member| *member == path)
    }

    /// Returns the word for this member if it is left out by default.
    pub(super) fn omitted_label(&self, path: &str, in_list: bool) -> Option<&str> {
        let lists_only = self.left_out_of_lists.iter().filter(|_| in_list);
        self.left_out.iter().chain(lists_only).find(|member| member.path == path).map(|member| member.label.as_str())
    }

    /// Returns how many entries of this list are shown, if not all.
    pub(super) fn shown_entries(&self, path: &str) -> Option<usize> {
        self.shortened.iter().find(|one| one.list == path).map(|one| one.first)
    }

    /// Returns the position of a column in a table: in the order of the members, others last.
    pub(super) fn position(&self, path: &str) -> usize {
        self.members.iter().position(|member| member.path == path).unwrap_or(usize::MAX)
    }
}

/// Returns whether one member is below another.
fn is_within(member: &str, outer: &str) -> bool {
    member.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}
