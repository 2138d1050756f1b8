//! The state of the generation of one account, and the parts that all generated records share.

use chrono::{DateTime, Utc};
use fastrand::Rng;
use serde_json::{Map, Value};

use super::{plan::Plan, stay::Stay};
use crate::simulator::records::Records;

/// Fills the records of one account.
pub(in crate::simulator) struct Seeder<'a> {
    pub(super) plan: &'a Plan,
    pub(super) rng: Rng,
    pub(super) now: DateTime<Utc>,
    pub(super) records: &'a mut Records,
    pub(super) guests: Vec<i64>,
    pub(super) stays: Vec<Stay>,
}

impl<'a> Seeder<'a> {
    pub(in crate::simulator) fn new(plan: &'a Plan, rng: Rng, now: DateTime<Utc>, records: &'a mut Records) -> Self {
        Seeder { plan, rng, now, records, guests: Vec::new(), stays: Vec::new() }
    }

    pub(super) fn id(&mut self) -> i64 {
        self.records.new_id()
    }

    pub(super) fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        self.rng.choice(from).copied().unwrap_or_default()
    }

    pub(super) fn put(&mut self, collection: &str, record: Value) -> i64 {
        let id = record.get("id").and_then(Value::as_i64).unwrap_or_default();
        if let Value::Object(members) = record {
            // Null members are never shown; large portfolios must fit into memory.
            let mut compact = Map::with_capacity(members.values().filter(|value| !value.is_null()).count());
            compact.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
            self.records.put(collection, id, compact);
        }
        id
    }

    pub(super) fn handle(&self) -> String {
        self.plan.tenant_label.to_lowercase().replace(' ', "-")
    }

    pub(super) fn guid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.rng.u128(..).to_be_bytes()).into_uuid().to_string()
    }
}
