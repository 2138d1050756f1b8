//! The records of an account in memory.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde_json::{Map, Value};

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
