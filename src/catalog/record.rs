//! What is known of the records in answers: `config/records.json` holds one entry for each kind.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use super::{closest::closest, problem::Problem};

/// A kind of record, as it is written. Members are paths such as `guest.first_name`; lists on the way have no sign of
/// their own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordData {
    /// Its name.
    pub record: String,
    /// Every member, in the order in which tables show them, where that is confirmed for this kind.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Members whose text guests or channels write.
    #[serde(default)]
    pub guest_written: Vec<String>,
    /// Members that are shown only if they are asked for: keys, links to pictures, when a row was written.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// The same, in lists only.
    #[serde(default)]
    pub left_out_of_lists: Vec<LeftOut>,
    /// Members that OwnerRez leaves out, and where it says the same.
    #[serde(default)]
    pub filled: Vec<Filled>,
    /// Lists of which a whole record shows the first entries only, unless more are asked for.
    #[serde(default)]
    pub shortened: Vec<Shortened>,
    /// Where a record is itself a list: the member that holds it.
    #[serde(default)]
    pub rows: Option<String>,
    /// Members that OwnerRez never leaves out of the object that holds them. It leaves out others that are null.
    #[serde(default)]
    pub always: Vec<String>,
    /// Members that hold words of a closed vocabulary, and the words. No words are listed where they are not all known.
    #[serde(default)]
    pub words: BTreeMap<String, Vec<String>>,
}

/// A member, written `path` where it is text, else `path:type`. The type is `boolean`, `integer`, `number`, `object`,
/// `any`, or another kind of record, whose members are then members of this one too; `[]` after it says "a list of".
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct Member {
    pub path: String,
    pub holds: String,
    pub many: bool,
}

/// A member that is filled in from another one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filled {
    pub member: String,
    /// The path of the other one, in the record or beside the list.
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
pub(super) struct LeftOut {
    path: String,
    /// What an answer without it says: one word for many members of one parent.
    word: String,
}

impl From<String> for LeftOut {
    fn from(path: String) -> Self {
        let word = path.rsplit_once('.').map_or_else(|| path.clone(), |(outer, _)| format!("{outer}.…"));
        Self { path, word }
    }
}

impl From<String> for Member {
    fn from(text: String) -> Self {
        let (path, holds) = text.split_once(':').unwrap_or((&text, "string"));
        let one = holds.strip_suffix("[]");
        Self { path: path.to_owned(), holds: one.unwrap_or(holds).to_owned(), many: one.is_some() }
    }
}

/// The types that are no kinds of records.
const TYPES: [&str; 6] = ["any", "boolean", "integer", "number", "object", "string"];

/// All kinds by their names, or what is wrong with them.
pub(super) fn kinds(table: &str) -> Result<BTreeMap<String, Arc<RecordData>>, Vec<String>> {
    let records: Vec<RecordData> = serde_json::from_str(table).map_err(|error| vec![error.to_string()])?;
    let mut kinds = BTreeMap::new();
    let mut mistakes = Vec::new();
    for mut record in records {
        mistakes.extend(record.unfold(&kinds));
        let left_out = record.left_out.iter().chain(&record.left_out_of_lists).map(|left_out| &left_out.path);
        let filled = record.filled.iter().flat_map(|filled| [&filled.member, &filled.from]);
        let lists = record.shortened.iter().map(|one| &one.list);
        let others = record.rows.iter().chain(&record.always).chain(record.words.keys()).chain(filled).chain(lists);
        for path in record.guest_written.iter().chain(left_out).chain(others) {
            if !record.members.is_empty() && !record.has(path) {
                mistakes.push(format!("{}: `{path}` is none of its members", record.record));
            }
        }
        let name = record.record.clone();
        if kinds.insert(name.clone(), Arc::new(record)).is_some() {
            mistakes.push(format!("{name}: the name is taken twice"));
        }
    }
    if mistakes.is_empty() { Ok(kinds) } else { Err(mistakes) }
}

impl RecordData {
    /// Puts the members of other kinds in the place of their names, and what is known of them; or says what is wrong.
    pub(super) fn unfold(&mut self, kinds: &BTreeMap<String, Arc<RecordData>>) -> Vec<String> {
        let mut mistakes = Vec::new();
        for mut member in std::mem::take(&mut self.members) {
            let within = |path: &String| format!("{}.{path}", member.path);
            let mut members = Vec::new();
            if !TYPES.contains(&member.holds.as_str()) {
                match kinds.get(&member.holds) {
                    Some(kind) => {
                        members
                            .extend(kind.members.iter().map(|one| Member { path: within(&one.path), ..one.clone() }));
                        self.guest_written.extend(kind.guest_written.iter().map(within));
                        let of_lists = kind.left_out_of_lists.iter().filter(|_| member.many);
                        let left_out = kind.left_out.iter().chain(of_lists);
                        self.left_out.extend(left_out.map(|left_out| LeftOut::from(within(&left_out.path))));
                    }
                    None => mistakes.push(format!(
                        "{}: `{}` holds `{}`, which is no type and no kind above it",
                        self.record, member.path, member.holds
                    )),
                }
                member.holds = "object".to_owned();
            }
            self.members.push(member);
            self.members.extend(members);
        }
        mistakes
    }

    /// Whether this path is one of its members.
    pub(super) fn has(&self, path: &str) -> bool {
        self.members.iter().any(|member| member.path == path)
    }

    /// Whether members within this one are known.
    pub(super) fn describes(&self, path: &str) -> bool {
        self.members.iter().any(|member| is_within(&member.path, path))
    }

    /// What is wrong with a path that somebody asks for, as far as this is known.
    pub(super) fn unknown(&self, path: &str) -> Option<Problem> {
        if self.members.is_empty() {
            return None;
        }
        let place = self.deepest(path)?;
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
        Some(Problem::new("fields", message))
    }

    /// Of a path that leads nowhere: the last member on the way that there is. None where the path may lead somewhere.
    fn deepest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut known = "";
        for end in path.match_indices('.').map(|(at, _)| at).chain([path.len()]) {
            let part = &path[..end];
            if !self.has(part) {
                // What is within a member that nobody described may be anything.
                let is_plain = |member: &Member| member.path == known && !["any", "object"].contains(&&*member.holds);
                let described = |member: &Member| is_within(&member.path, known) || is_plain(member);
                return (known.is_empty() || self.members.iter().any(described)).then_some(known);
            }
            known = part;
        }
        None
    }

    /// This member, if the kind itself says that it is guests' text.
    pub(super) fn guest_written(&self, path: &str) -> Option<&str> {
        self.guest_written.iter().map(String::as_str).find(|member| *member == path)
    }

    /// The word for this member, if nobody asks for it, as a rule.
    pub(super) fn left_out(&self, path: &str, in_list: bool) -> Option<&str> {
        let lists_only = self.left_out_of_lists.iter().filter(|_| in_list);
        self.left_out.iter().chain(lists_only).find(|member| member.path == path).map(|member| member.word.as_str())
    }

    /// How many entries of this list are shown, where not all are.
    pub(super) fn first(&self, path: &str) -> Option<usize> {
        self.shortened.iter().find(|one| one.list == path).map(|one| one.first)
    }

    /// Where a column stands in a table: as the members are told, the others after them.
    pub(super) fn position(&self, path: &str) -> usize {
        self.members.iter().position(|member| member.path == path).unwrap_or(usize::MAX)
    }
}

/// Whether one member stands somewhere within another.
fn is_within(member: &str, outer: &str) -> bool {
    member.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}
