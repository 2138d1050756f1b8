//! The records of an account in memory, and the common parts of lists: filters, optional members, pages.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use chrono::NaiveDate;
use serde_json::{Map, Value};

use super::{
    arguments::{Argument, Arguments},
    calendar,
    operations::{Filter, Test},
    value_kind::instant,
};

/// A record as JSON. Members that begin with `_` are internal and never sent.
pub(super) type Record = Map<String, Value>;

/// Members by which records are often looked up.
const LOOKED_UP_BY: [(&str, &str); 9] = [
    ("bookings", "guest_id"),
    ("bookings", "property_id"),
    ("bookings", "quote_id"),
    ("fields", "entity_id"),
    ("messages", "thread_id"),
    ("payments", "booking_id"),
    ("seasons", "property_id"),
    ("spot_rates", "property_id"),
    ("tags", "entity_id"),
];

/// The records of one kind, by id.
#[derive(Default)]
struct Kept {
    records: BTreeMap<i64, Record>,
    /// An index for each such member: the ids of the records that contain an id in it.
    naming: BTreeMap<&'static str, BTreeMap<i64, BTreeSet<i64>>>,
}

/// A change of one record.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) collection: String,
    pub(super) id: i64,
    /// `None` if it was created.
    pub(super) before: Option<Record>,
    /// `None` if it was deleted.
    pub(super) after: Option<Record>,
}

/// All records of an account, by collection and id.
pub(super) struct Records {
    collections: BTreeMap<String, Kept>,
    last_id: i64,
    /// The changes since they were last taken; `None` while the records are generated.
    changes: Option<Vec<Change>>,
}

impl Records {
    /// Creates an empty store. Ids count from `first_id`. Each account has its own range, so that an id belongs to one
    /// account only.
    pub(super) fn new(first_id: i64) -> Self {
        Records { collections: BTreeMap::new(), last_id: first_id, changes: None }
    }

    pub(super) fn new_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn get(&self, collection: &str, id: i64) -> Option<&Record> {
        self.collections.get(collection)?.records.get(&id)
    }

    /// Starts recording changes.
    pub(super) fn note_changes(&mut self) {
        self.changes.get_or_insert_default();
    }

    /// Returns the changes since the last call, oldest first.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        self.changes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn note(&mut self, collection: &str, id: i64, before: Option<Record>, after: Option<&Record>) {
        if let Some(changes) = &mut self.changes
            && before.as_ref() != after
        {
            changes.push(Change { collection: collection.to_owned(), id, before, after: after.cloned() });
        }
    }

    /// Returns a record for changes that are not recorded and do not affect the index.
    pub(super) fn get_mut(&mut self, collection: &str, id: i64) -> Option<&mut Record> {
        self.collections.get_mut(collection)?.records.get_mut(&id)
    }

    pub(super) fn all(&self, collection: &str) -> impl Iterator<Item = &Record> {
        self.collections.get(collection).into_iter().flat_map(|kept| kept.records.values())
    }

    pub(super) fn put(&mut self, collection: &str, id: i64, record: Record) {
        let before = self.take(collection, id);
        self.note(collection, id, before, Some(&record));
        if !self.collections.contains_key(collection) {
            self.collections.insert(collection.to_owned(), Kept::default());
        }
        let Some(kept) = self.collections.get_mut(collection) else { return };
        for (_, member) in LOOKED_UP_BY.into_iter().filter(|(name, _)| *name == collection) {
            if let Some(named) = number(&record, member) {
                kept.naming.entry(member).or_default().entry(named).or_default().insert(id);
            }
        }
        kept.records.insert(id, record);
    }

    pub(super) fn remove(&mut self, collection: &str, id: i64) -> bool {
        let before = self.take(collection, id);
        let was_there = before.is_some();
        self.note(collection, id, before, None);
        was_there
    }

    fn take(&mut self, collection: &str, id: i64) -> Option<Record> {
        let kept = self.collections.get_mut(collection)?;
        let record = kept.records.remove(&id)?;
        for (member, naming) in &mut kept.naming {
            if let Some(ids) = number(&record, member).and_then(|named| naming.get_mut(&named)) {
                ids.remove(&id);
            }
        }
        Some(record)
    }

    /// Removes the records that are `unwanted`.
    pub(super) fn remove_all(&mut self, collection: &str, unwanted: impl Fn(&Record) -> bool) {
        let unwanted: Vec<i64> = self.all(collection).filter(|record| unwanted(record)).filter_map(id).collect();
        for id in unwanted {
            self.remove(collection, id);
        }
    }

    /// Returns the names of all collections with records.
    #[cfg(test)]
    pub(super) fn collections(&self) -> impl Iterator<Item = &str> {
        self.collections.keys().map(String::as_str)
    }

    /// Returns all records for changes that are not recorded and do not affect the index.
    pub(super) fn all_mut(&mut self, collection: &str) -> impl Iterator<Item = &mut Record> {
        self.collections.get_mut(collection).into_iter().flat_map(|kept| kept.records.values_mut())
    }

    /// Returns the records that contain this id in `member`, which must be in `LOOKED_UP_BY`.
    pub(super) fn naming(&self, collection: &str, member: &str, id: i64) -> impl Iterator<Item = &Record> {
        debug_assert!(LOOKED_UP_BY.contains(&(collection, member)), "{collection} are not looked up by {member}");
        let kept = self.collections.get(collection);
        let ids = kept.and_then(|kept| kept.naming.get(member)?.get(&id));
        ids.into_iter().flatten().filter_map(move |id| kept?.records.get(id))
    }

    /// Returns the records that pass every filter whose parameter was sent, ordered by id.
    pub(super) fn select(&self, collection: &str, filters: &[Filter], arguments: &Arguments) -> Vec<&Record> {
        let tests: Vec<_> = filters
            .iter()
            .filter(|filter| {
                let closing = filter.until.as_deref().and_then(|name| arguments.get(name));
                arguments.get(&filter.param).or(closing).is_some()
            })
            .map(|filter| (filter, self.staying_guests(filter, arguments)))
            .collect();
        self.all(collection)
            .filter(|record| {
                tests.iter().all(|(filter, staying)| match (filter.test, arguments.get(&filter.param)) {
                    (Test::Free, _) => self.is_free(record, filter, arguments),
                    (Test::Stays, _) => id(record).is_some_and(|id| staying.contains(&id)),
                    (Test::Tagged, Some(argument)) => {
                        wanted(argument).iter().all(|definition| self.is_tagged(record, *definition))
                    }
                    (Test::Untagged, Some(argument)) => {
                        !wanted(argument).iter().any(|definition| self.is_tagged(record, *definition))
                    }
                    (test, Some(argument)) => filter
                        .fields
                        .iter()
                        .any(|field| values(record, field).any(|value| passes(test, value, argument))),
                    (_, None) => true,
                })
            })
            .collect()
    }

    fn is_tagged(&self, record: &Record, definition: i64) -> bool {
        let mut of_this = self.naming("tags", "entity_id", id(record).unwrap_or_default());
        of_this.any(|tag| number(tag, "tag_definition_id") == Some(definition))
    }

    fn is_free(&self, property: &Record, filter: &Filter, arguments: &Arguments) -> bool {
        let (from, to) = range(filter, arguments);
        // An open end means one night; an open start means the night before the end.
        let from = from.or_else(|| to?.pred_opt());
        let to = to.or_else(|| from?.succ_opt());
        match (from, to, id(property)) {
            (Some(from), Some(to), Some(id)) => {
                calendar::is_open(property) && calendar::is_free(self, id, from, to, None)
            }
            _ => true,
        }
    }

    fn staying_guests(&self, filter: &Filter, arguments: &Arguments) -> BTreeSet<i64> {
        if !matches!(filter.test, Test::Stays) {
            return BTreeSet::new();
        }
        let (from, to) = range(filter, arguments);
        self.all("bookings")
            .filter(|booking| from.is_none_or(|from| date(booking, "departure").is_some_and(|day| day >= from)))
            .filter(|booking| to.is_none_or(|to| date(booking, "arrival").is_some_and(|day| day <= to)))
            .filter_map(|booking| booking.get("guest_id")?.as_i64())
            .collect()
    }
}

fn range(filter: &Filter, arguments: &Arguments) -> (Option<NaiveDate>, Option<NaiveDate>) {
    (arguments.date(&filter.param), filter.until.as_deref().and_then(|name| arguments.date(name)))
}

pub(super) fn id(record: &Record) -> Option<i64> {
    record.get("id")?.as_i64()
}

/// Returns an integer member, such as the id of another record.
pub(super) fn number(record: &Record, member: &str) -> Option<i64> {
    record.get(member)?.as_i64()
}

pub(super) fn text<'a>(record: &'a Record, member: &str) -> &'a str {
    record.get(member).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn date(record: &Record, member: &str) -> Option<NaiveDate> {
    text(record, member).parse().ok()
}

/// Returns the values at a dotted path. Lists of objects are traversed (`phones.number`); a list of plain values is one
/// value.
fn values<'a>(record: &'a Record, path: &str) -> Box<dyn Iterator<Item = &'a Value> + 'a> {
    match path.split_once('.') {
        None => Box::new(record.get(path).into_iter()),
        Some((first, rest)) => {
            let rest = rest.to_owned();
            let elements = record.get(first).and_then(Value::as_array).into_iter().flatten();
            Box::new(elements.filter_map(move |element| element.get(&rest)))
        }
    }
}

fn passes(test: Test, value: &Value, argument: &Argument) -> bool {
    match (test, argument) {
        (Test::Text, Argument::Text(wanted)) => {
            value.as_str().is_some_and(|text| text.to_lowercase().contains(&wanted.to_lowercase()))
        }
        (Test::In, Argument::Integers(wanted)) => value.as_i64().is_some_and(|id| wanted.contains(&id)),
        (Test::HasAll, _) => wanted(argument).iter().all(|wanted| has(value, *wanted)),
        (Test::Equals, _) => compare(value, argument) == Some(Ordering::Equal),
        (Test::AtLeast, _) => compare(value, argument).is_some_and(Ordering::is_ge),
        (Test::AtMost, _) => compare(value, argument).is_some_and(Ordering::is_le),
        (Test::After, _) => compare(value, argument).is_some_and(Ordering::is_gt),
        _ => false,
    }
}

fn wanted(argument: &Argument) -> Vec<i64> {
    match argument {
        Argument::Integer(value) => vec![*value],
        Argument::Integers(values) => values.clone(),
        _ => Vec::new(),
    }
}

fn has(list: &Value, wanted: i64) -> bool {
    list.as_array().is_some_and(|elements| elements.iter().any(|element| element.as_i64() == Some(wanted)))
}

fn compare(value: &Value, argument: &Argument) -> Option<Ordering> {
    match argument {
        Argument::Integer(wanted) => value.as_f64()?.partial_cmp(&(*wanted as f64)),
        Argument::Number(wanted) => value.as_f64()?.partial_cmp(wanted),
        Argument::Boolean(wanted) => Some(value.as_bool().unwrap_or(false).cmp(wanted)),
        Argument::Date(wanted) => Some(value.as_str()?.parse::<NaiveDate>().ok()?.cmp(wanted)),
        Argument::Instant(wanted) => Some(instant(value.as_str()?)?.cmp(wanted)),
        Argument::Text(wanted) => Some(value.as_str()?.cmp(wanted.as_str())),
        Argument::Integers(_) => None,
    }
}

/// The offset and the maximum length of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) limit: usize,
    pub(super) offset: usize,
}

impl Span {
    /// Parses `limit` and `offset`. `limit` is 20 by default and at most 100.
    pub(super) fn asked(arguments: &Arguments) -> Result<Self, Vec<String>> {
        let complaint = |name: &str| vec![format!("The value is not valid for {name}: it is too small.")];
        let limit = arguments.integer("limit").unwrap_or(20);
        let offset = arguments.integer("offset").unwrap_or(0);
        let offset = usize::try_from(offset).map_err(|_| complaint("offset"))?;
        match usize::try_from(limit) {
            Ok(limit) if limit > 0 => Ok(Span { limit: limit.min(100), offset }),
            _ => Err(complaint("limit")),
        }
    }

    /// Returns the URL of the next page: the same query with the next offset.
    pub(super) fn next_url(self, origin: &str, path: &str, query: &[(String, String)]) -> String {
        let kept = query.iter().filter(|(name, _)| name != "limit" && name != "offset");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept)
            .append_pair("limit", &self.limit.to_string())
            .append_pair("offset", &(self.offset + self.limit).to_string())
            .finish();
        format!("{origin}{path}?{query}")
    }
}
