//! The ids in responses, by the kind of their record. They are used in requests and never in a report.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::operation::Operation;

/// The largest number of ids that an argument takes.
const MOST: usize = 100;

#[derive(Default)]
pub(super) struct Ids {
    /// By kind: ids of records in responses.
    own: BTreeMap<String, Vec<i64>>,
    /// By kind: ids that other records refer to (`guest_id`, `thread_ids`).
    referred: BTreeMap<String, Vec<i64>>,
    /// By the path of the list: the record with the most members.
    richest: BTreeMap<String, (usize, i64)>,
    /// By the name of a list that is not empty, such as `tags`: the kinds and ids of records that have one.
    holders: BTreeMap<String, Vec<(String, i64)>>,
}

impl Ids {
    /// Records the ids in one record of an operation's response.
    pub(super) fn note(&mut self, operation: &Operation, record: &Map<String, Value>) {
        let kind = kind_of(operation);
        if let Some(id) = own_id(record) {
            add(&mut self.own, kind, id);
            if operation.returns_list() {
                let richest = self.richest.entry(operation.path().to_owned()).or_insert((0, id));
                if record.len() > richest.0 {
                    *richest = (record.len(), id);
                }
            }
            for (name, value) in record {
                if value.as_array().is_some_and(|items| !items.is_empty()) {
                    self.holders.entry(name.clone()).or_default().push((kind.to_owned(), id));
                }
            }
        }
        for (name, value) in record {
            let ids = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            if let Some(kind) = name.strip_suffix("_ids").or_else(|| name.strip_suffix("_id")) {
                ids.iter().filter_map(Value::as_i64).for_each(|id| add(&mut self.referred, kind, id));
            }
        }
    }

    /// Returns the ids of a kind, those of records in responses first.
    pub(super) fn of_kind(&self, kind: &str) -> Vec<i64> {
        let ids = |known: &BTreeMap<String, Vec<i64>>| known.get(kind).cloned().unwrap_or_default();
        let (mut all, referred) = (ids(&self.own), ids(&self.referred));
        all.extend(referred.into_iter().filter(|id| !self.own.get(kind).is_some_and(|own| own.contains(id))));
        all.truncate(MOST);
        all
    }

    /// Returns the id of a record in the list of this path.
    pub(super) fn of_list(&self, path: &str) -> Option<i64> {
        self.richest.get(path).map(|(_, id)| *id)
    }

    /// Returns one record for each of these kinds, records with a list of this name first.
    pub(super) fn of_kinds(&self, kinds: &[&str], holding: &str) -> Vec<(String, i64)> {
        let holders = self.holders.get(holding).map_or(&[][..], Vec::as_slice);
        let holders = kinds.iter().filter_map(|kind| holders.iter().find(|(holder, _)| holder == kind).cloned());
        let others = kinds.iter().filter_map(|kind| Some(((*kind).to_owned(), *self.of_kind(kind).first()?)));
        let mut all: Vec<(String, i64)> = holders.collect();
        for other in others {
            if !all.contains(&other) {
                all.push(other);
            }
        }
        all
    }
}

fn add(to: &mut BTreeMap<String, Vec<i64>>, kind: &str, id: i64) {
    let known = to.entry(kind.to_owned()).or_default();
    if id > 0 && known.len() < MOST && !known.contains(&id) {
        known.push(id);
    }
}

/// Returns the kind of an operation's records.
fn kind_of(operation: &Operation) -> &str {
    let group = operation.group();
    operation.spec().record.as_deref().unwrap_or_else(|| group.strip_suffix('s').unwrap_or(group))
}

/// Returns the id of a record; a listing has that of its property.
fn own_id(record: &Map<String, Value>) -> Option<i64> {
    ["id", "property_id"].into_iter().find_map(|name| record.get(name)?.as_i64())
}
