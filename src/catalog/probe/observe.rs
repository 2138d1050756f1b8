//! Observations on responses, without their values: counts, types, words and formats by member. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    super::{record::RecordSchema, spec::ResponseKind},
    found::{Found, NextPage, TextFormat, ValueType},
    shown::{MemberPath, Word},
};

/// The depth to which members that the catalogue does not describe are followed.
const UNKNOWN_LEVELS: usize = 2;
/// A member with more different words is not a closed vocabulary.
const MOST_WORDS: usize = 20;
/// Names of members that contain days, times or date-times, in addition to names that end in `_utc` or `_date`.
const TIME_MEMBERS: [&str; 6] = ["arrival", "check_in", "check_in_end", "check_out", "date", "departure"];

/// The member of a page that contains its records.
pub(super) const ITEMS: &str = "items";

/// The observations on the responses of one operation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Observed {
    /// The number of records.
    pub records: u32,
    /// The number of objects at each path; the empty path is the record itself.
    pub objects: BTreeMap<MemberPath, u32>,
    pub members: BTreeMap<MemberPath, SeenMember>,
    pub envelope: Envelope,
}

/// One member over all objects that may contain it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct SeenMember {
    /// Whether the catalogue names it.
    pub known: bool,
    /// The number of objects in which it had a value.
    pub seen: u32,
    /// The number of objects in which it was null.
    pub nulls: u32,
    pub types: BTreeSet<Found>,
    pub words: BTreeSet<Word>,
    /// Texts of a word member that are not words, or exceed the maximum number of words.
    pub other_words: u32,
    pub formats: BTreeSet<TextFormat>,
}

/// The structure around the records.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Envelope {
    /// Successful responses.
    pub responses: u32,
    /// Successes without the expected JSON value, by what they contained instead.
    pub other: BTreeMap<Found, u32>,
    /// Members of a page that are absent, by name.
    pub missing: BTreeMap<&'static str, u32>,
    /// Members of a page with another type, by name and type.
    pub other_types: BTreeMap<(&'static str, ValueType), u32>,
    /// Members of a page that the catalogue does not name.
    pub unknown: BTreeMap<MemberPath, u32>,
    /// The forms of `next_page_url`.
    pub next_page: BTreeMap<NextPage, u32>,
    pub empty_pages: u32,
    /// Empty pages that lack `items`.
    pub without_items: u32,
}

/// The catalogue's description of the responses of one operation.
pub(super) struct Expected<'a> {
    pub answer: ResponseKind,
    pub kind: &'a RecordSchema,
    /// Additional members of pages.
    pub page_members: &'a [String],
}

/// A position within a record.
struct PathPosition {
    shown: MemberPath,
    /// The same path as the catalogue writes it, as long as every name on the path is known.
    known: Option<String>,
    /// The number of unknown names on the path.
    unknown_levels: usize,
}

impl Observed {
    /// Records the body of a success.
    pub(super) fn response(&mut self, expected: &Expected<'_>, body: &Value) {
        self.envelope.responses += 1;
        for record in self.envelope.open(expected, body) {
            match record {
                Value::Object(members) => self.record(expected.kind, members),
                other => *self.envelope.other.entry(Found::ListOf(ValueType::of(other))).or_default() += 1,
            }
        }
    }

    /// Records a success whose body is not JSON.
    pub(super) fn no_json(&mut self) {
        self.envelope.responses += 1;
        *self.envelope.other.entry(Found::NotJson).or_default() += 1;
    }

    fn record(&mut self, kind: &RecordSchema, members: &Map<String, Value>) {
        self.records += 1;
        let position = PathPosition { shown: MemberPath::default(), known: Some(String::new()), unknown_levels: 0 };
        self.object(kind, &position, members);
    }

    fn object(&mut self, kind: &RecordSchema, position: &PathPosition, members: &Map<String, Value>) {
        *self.objects.entry(position.shown.clone()).or_default() += 1;
        // Several names may be masked to one, which counts once for each object.
        let (mut seen, mut nulls) = (BTreeSet::new(), BTreeSet::new());
        for (name, value) in members {
            let position = position.member(kind, name);
            let member = self.members.entry(position.shown.clone()).or_default();
            member.known = position.known.is_some();
            let first = if value.is_null() { &mut nulls } else { &mut seen };
            if first.insert(position.shown.clone()) {
                *(if value.is_null() { &mut member.nulls } else { &mut member.seen }) += 1;
            }
            member.value(kind, &position, value);
            self.below(kind, &position, value);
        }
    }

    /// Follows objects, and objects in a list.
    fn below(&mut self, kind: &RecordSchema, position: &PathPosition, value: &Value) {
        if !position.is_followed(kind) {
            return;
        }
        match value {
            Value::Object(members) => self.object(kind, position, members),
            Value::Array(items) => {
                for members in items.iter().filter_map(Value::as_object) {
                    self.object(kind, position, members);
                }
            }
            _ => {}
        }
    }
}

impl PathPosition {
    fn member(&self, kind: &RecordSchema, name: &str) -> Self {
        let path =
            self.known.as_ref().map(|outer| if outer.is_empty() { name.into() } else { format!("{outer}.{name}") });
        match path.filter(|path| kind.has(path)) {
            Some(path) => Self { shown: self.shown.known(name), known: Some(path), unknown_levels: 0 },
            None => Self { shown: self.shown.unknown(name), known: None, unknown_levels: self.unknown_levels + 1 },
        }
    }

    /// Returns whether the members of objects here are observed: not below members that the catalogue names without
    /// describing them, because their keys may be data.
    fn is_followed(&self, kind: &RecordSchema) -> bool {
        match &self.known {
            Some(path) => kind.has_nested(path),
            None => self.unknown_levels < UNKNOWN_LEVELS,
        }
    }
}

impl SeenMember {
    fn value(&mut self, kind: &RecordSchema, position: &PathPosition, value: &Value) {
        match value {
            Value::Null => return,
            Value::Array(items) => {
                self.types.extend(items.iter().map(|item| Found::ListOf(ValueType::of(item))));
                if items.is_empty() {
                    self.types.insert(Found::EmptyList);
                }
            }
            other => {
                self.types.insert(Found::One(ValueType::of(other)));
            }
        }
        // The words of members that the catalogue does not describe may be free text, such as a host's own categories.
        let holds_words = position.known.as_ref().is_some_and(|path| kind.words.contains_key(path));
        let texts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for text in texts.iter().filter_map(Value::as_str) {
            if holds_words {
                self.word(text);
            }
            if is_time_member(position.shown.name()) {
                self.formats.insert(TextFormat::of(text));
            }
        }
    }

    fn word(&mut self, text: &str) {
        match Word::new(text) {
            Some(word) if self.words.len() < MOST_WORDS || self.words.contains(&word) => {
                self.words.insert(word);
            }
            _ => self.other_words += 1,
        }
    }
}

impl Envelope {
    /// Checks the structure around the records, and returns the records.
    fn open<'v>(&mut self, expected: &Expected<'_>, body: &'v Value) -> &'v [Value] {
        match (expected.answer, body) {
            (ResponseKind::Record, Value::Object(_)) => std::slice::from_ref(body),
            (ResponseKind::List, Value::Array(items)) => items,
            (ResponseKind::Page | ResponseKind::CountedPage, Value::Object(page)) => self.page(expected, page),
            (ResponseKind::Page | ResponseKind::CountedPage, Value::Array(items)) => {
                *self.other.entry(Found::One(ValueType::List)).or_default() += 1;
                items
            }
            (ResponseKind::None, _) => &[],
            (_, other) => {
                *self.other.entry(Found::One(ValueType::of(other))).or_default() += 1;
                &[]
            }
        }
    }

    fn page<'v>(&mut self, expected: &Expected<'_>, page: &'v Map<String, Value>) -> &'v [Value] {
        let is_counted = expected.answer == ResponseKind::CountedPage;
        let numbers = ["limit", "offset", "count"].into_iter().take(if is_counted { 3 } else { 2 });
        let mut known = vec![ITEMS, "next_page_url"];
        for name in numbers {
            known.push(name);
            match page.get(name) {
                None => *self.missing.entry(name).or_default() += 1,
                Some(value) if ValueType::of(value) == ValueType::Integer => {}
                Some(other) => *self.other_types.entry((name, ValueType::of(other))).or_default() += 1,
            }
        }
        *self.next_page.entry(NextPage::of(page.get("next_page_url"))).or_default() += 1;
        let others =
            page.keys().filter(|name| !known.contains(&name.as_str()) && !expected.page_members.contains(name));
        for name in others {
            *self.unknown.entry(MemberPath::default().unknown(name)).or_default() += 1;
        }
        let items = match page.get(ITEMS) {
            Some(Value::Array(items)) => items.as_slice(),
            None => {
                self.without_items += 1;
                &[]
            }
            Some(other) => {
                *self.other_types.entry((ITEMS, ValueType::of(other))).or_default() += 1;
                return if other.is_object() { std::slice::from_ref(other) } else { &[] };
            }
        };
        self.empty_pages += u32::from(items.is_empty());
        items
    }
}

fn is_time_member(name: &str) -> bool {
    name.ends_with("_utc") || name.ends_with("_date") || TIME_MEMBERS.contains(&name)
}
