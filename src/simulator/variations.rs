//! Variations of the real service, by name. Each account has its own set of active variations.
//!
//! `variations.json` contains the description of each, its evidence, the members it hides, and the accounts in which it
//! is active at start.

use std::{collections::BTreeMap, io};

use serde::{Deserialize, Serialize};

const TABLE: &str = include_str!("variations.json");

/// A variation of the real service; `variations.json` describes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "variations.json describes each")]
pub enum Variation {
    InactiveHidden,
    ThreadOnly,
    BookingProperty,
    ChargeCategory,
    ListingsNotEnabled,
    MessagingNotEnabled,
    UserAgentRefusedInFront,
    NextPageRelative,
    LastPageNull,
    LastPageEmpty,
    EmptyPageWithoutItems,
    NoUpdateTime,
    UnlinkedReviews,
    CalendarMissingNights,
    CalendarWithoutRules,
    NoTimeZone,
    CoHostReplies,
    ChargesOnRequest,
    NamedRecordsStay,
    SpotRateMidnights,
    WebhookDrafts,
    WebhooksRepeated,
    WebhooksOutOfOrder,
    WebhooksWithoutEntity,
    WebhooksMissed,
    WebhooksStop,
}

impl Variation {
    /// All variations; a test compares this with the table.
    pub const ALL: [Variation; 26] = [
        Variation::InactiveHidden,
        Variation::ThreadOnly,
        Variation::BookingProperty,
        Variation::ChargeCategory,
        Variation::ListingsNotEnabled,
        Variation::MessagingNotEnabled,
        Variation::UserAgentRefusedInFront,
        Variation::NextPageRelative,
        Variation::LastPageNull,
        Variation::LastPageEmpty,
        Variation::EmptyPageWithoutItems,
        Variation::NoUpdateTime,
        Variation::UnlinkedReviews,
        Variation::CalendarMissingNights,
        Variation::CalendarWithoutRules,
        Variation::NoTimeZone,
        Variation::CoHostReplies,
        Variation::ChargesOnRequest,
        Variation::NamedRecordsStay,
        Variation::SpotRateMidnights,
        Variation::WebhookDrafts,
        Variation::WebhooksRepeated,
        Variation::WebhooksOutOfOrder,
        Variation::WebhooksWithoutEntity,
        Variation::WebhooksMissed,
        Variation::WebhooksStop,
    ];
}

/// The variations of one account.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variations(std::collections::BTreeSet<Variation>);

/// A list of variations contains an unknown name.
#[derive(Debug, thiserror::Error)]
#[error("unknown variation '{0}'; use all, none, or some of: {1}")]
pub struct UnknownVariation(String, String);

impl Variations {
    /// Returns the empty set.
    pub fn none() -> Self {
        Variations::default()
    }

    /// Returns all variations.
    pub fn all() -> Self {
        Variations(Variation::ALL.into_iter().collect())
    }

    /// Returns all that change responses, without those that reject whole groups of operations.
    pub fn all_but_refusals() -> Self {
        let mut all = Variations::all();
        all.set(Variation::ListingsNotEnabled, false);
        all.set(Variation::MessagingNotEnabled, false);
        all
    }

    /// Parses `all`, `none`, or names separated by commas.
    pub fn parse(text: &str) -> Result<Self, UnknownVariation> {
        match text.trim() {
            "all" => return Ok(Variations::all()),
            "none" | "" => return Ok(Variations::none()),
            _ => {}
        }
        let names = text.split(',').map(str::trim);
        let read = names.map(|name| {
            serde_json::from_value(name.into())
                .map_err(|_| UnknownVariation(name.to_owned(), Variations::all().names().join(", ")))
        });
        read.collect::<Result<_, _>>().map(Variations)
    }

    /// Returns whether a variation is on.
    pub fn has(&self, variation: Variation) -> bool {
        self.0.contains(&variation)
    }

    /// Turns a variation on or off.
    pub fn set(&mut self, variation: Variation, on: bool) {
        if on {
            self.0.insert(variation);
        } else {
            self.0.remove(&variation);
        }
    }

    /// Returns their names, as in `variations.json`.
    pub fn names(&self) -> Vec<String> {
        let name = |variation: &Variation| {
            let name = serde_json::to_value(variation).ok();
            name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
        };
        self.0.iter().map(name).collect()
    }
}

/// Members that a variation hides in a kind of record.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hidden {
    pub(super) record: String,
    pub(super) members: Vec<String>,
    /// Only in records in which this internal member is true.
    #[serde(default)]
    pub(super) marked: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedVariation {
    name: Variation,
    /// The id of the evidence, if it is listed.
    #[serde(rename = "evidence")]
    _evidence: Option<String>,
    #[serde(rename = "says")]
    _says: String,
    #[serde(default)]
    hides: Vec<Hidden>,
    #[serde(default)]
    hides_when_off: Vec<Hidden>,
}

/// The content of `variations.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    variations: Vec<DescribedVariation>,
    on: BTreeMap<String, Variations>,
    on_in_other_accounts: Variations,
}

impl Table {
    pub(super) fn load() -> io::Result<Self> {
        Ok(serde_json::from_str(TABLE)?)
    }

    /// Returns the variations of an account at start.
    pub(super) fn at_first(&self, account: &str) -> Variations {
        self.on.get(account).unwrap_or(&self.on_in_other_accounts).clone()
    }

    /// Returns the hidden members of an account's records.
    pub(super) fn hidden(&self, on: &Variations) -> Vec<&Hidden> {
        let of = |described: &DescribedVariation| on.has(described.name);
        let hides = self
            .variations
            .iter()
            .flat_map(|described| if of(described) { &described.hides } else { &described.hides_when_off });
        hides.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::description::Description;

    #[test]
    fn each_variation_is_described_once_and_hides_what_there_is() {
        let table = Table::load().expect("the table");
        let names: std::collections::BTreeSet<_> = table.variations.iter().map(|one| one.name).collect();
        assert_eq!(names.len(), table.variations.len());
        let records = Description::load().expect("the description").records;
        for described in &table.variations {
            for hidden in described.hides.iter().chain(&described.hides_when_off) {
                let shape = &records[&hidden.record];
                assert!(hidden.members.iter().all(|name| shape.members.contains_key(name)), "{hidden:?}");
            }
        }
        assert_eq!(names, Variation::ALL.into_iter().collect());
    }

    #[test]
    fn lists_of_names_are_read() {
        assert_eq!(Variations::parse("none").expect("a list"), Variations::none());
        let two = Variations::parse("thread_only, no_time_zone").expect("a list");
        assert_eq!(two.names(), ["thread_only", "no_time_zone"]);
        assert!(Variations::parse("all").expect("a list").has(Variation::NamedRecordsStay));
        let wrong = Variations::parse("thread_onyl").expect_err("a misspelt name").to_string();
        assert!(wrong.contains("'thread_onyl'") && wrong.contains("thread_only"), "{wrong}");
    }
}
