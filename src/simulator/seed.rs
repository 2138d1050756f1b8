//! Generated, realistic portfolios. The same seed, day and order of accounts give the same data.
//!
//! `plan` defines the size of a portfolio. `properties` (owners, properties, seasons), `guests` and `stays` come first;
//! the data derived from them is in `money` (payments and charges), `communication` (inquiries, quotes, messages,
//! reviews) and `listings` (listings, channels, webhooks). `labels` comes last: it creates records from the tags and
//! fields that the others noted.

mod communication;
mod guests;
mod labels;
mod listings;
mod money;
mod plan;
mod properties;
mod stays;

use chrono::{DateTime, SecondsFormat, Utc};
use fastrand::Rng;
use serde_json::{Map, Value};

pub(super) use self::plan::Plan;
pub use self::plan::Portfolio;
use self::stays::Stay;
use super::records::Records;

const FIRST_NAMES: [&str; 24] = [
    "Ada", "Bruno", "Clara", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Keiko", "Liam", "Mara",
    "Nadia", "Oscar", "Priya", "Quentin", "Rosa", "Stefan", "Tess", "Uma", "Victor", "Wanda", "Yusuf",
];
const LAST_NAMES: [&str; 24] = [
    "Abbott",
    "Bergman",
    "Castellano",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Gallagher",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Petrov",
    "Quigley",
    "Rossi",
    "Svensson",
    "Tanaka",
    "Underhill",
    "Vasquez",
    "Whitfield",
    "Zimmer",
];
const STREETS: [&str; 6] = ["Harbor Lane", "Mill Road", "Orchard Street", "Quarry Hill", "Shore Drive", "Station Road"];
const CHANNELS: [(&str, &str); 4] = [("Airbnb", "HM"), ("Vrbo", "HA-"), ("Booking.com", "4"), ("Direct", "")];

/// Fills the records of one account.
pub(super) struct Seeder<'a> {
    plan: &'a Plan,
    rng: Rng,
    now: DateTime<Utc>,
    records: &'a mut Records,
    guests: Vec<i64>,
    stays: Vec<Stay>,
}

impl<'a> Seeder<'a> {
    pub(super) fn new(plan: &'a Plan, rng: Rng, now: DateTime<Utc>, records: &'a mut Records) -> Self {
        Seeder { plan, rng, now, records, guests: Vec::new(), stays: Vec::new() }
    }

    pub(super) fn fill(mut self) {
        let owners: Vec<i64> = (0..self.plan.properties.div_ceil(4)).map(|index| self.owner(index)).collect();
        for index in 0..self.plan.properties {
            let owner = owners.get(index % owners.len().max(1)).copied();
            let property = self.property(index, owner);
            self.seasons(property.id, index);
            self.stays_of(&property, index);
        }
        let stays = std::mem::take(&mut self.stays);
        self.listings();
        self.money(&stays);
        self.communication(&stays);
        self.labels();
    }

    fn id(&mut self) -> i64 {
        self.records.new_id()
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        self.rng.choice(from).copied().unwrap_or_default()
    }

    fn put(&mut self, collection: &str, record: Value) -> i64 {
        let id = record.get("id").and_then(Value::as_i64).unwrap_or_default();
        if let Value::Object(members) = record {
            // Null members are never shown; large portfolios must fit into memory.
            let mut compact = Map::with_capacity(members.values().filter(|value| !value.is_null()).count());
            compact.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
            self.records.put(collection, id, compact);
        }
        id
    }

    fn handle(&self) -> String {
        self.plan.tenant_label.to_lowercase().replace(' ', "-")
    }

    fn guid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.rng.u128(..).to_be_bytes()).into_uuid().to_string()
    }
}

/// Returns the nightly rate on which a property's seasons are based.
fn base_rate(index: usize) -> i64 {
    110 + 35 * (index as i64 % 8)
}

/// Formats a time as OwnerRez does.
pub(super) fn utc(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}
