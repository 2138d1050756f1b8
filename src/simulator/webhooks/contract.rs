//! The content of `webhooks.json`: the types of webhooks, and the times and failures of deliveries.

use std::{collections::BTreeMap, io};

use chrono::TimeDelta;
use serde::Deserialize;

const CONTRACT: &str = include_str!("../webhooks.json");

/// The content of `webhooks.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::simulator) struct Contract {
    #[serde(rename = "about")]
    _about: String,
    pub(in crate::simulator) delivery: RetryPolicy,
    #[serde(rename = "trouble")]
    pub(in crate::simulator) faults: FaultParameters,
    pub(in crate::simulator) types: BTreeMap<String, WebhookType>,
}

/// The response timeout and the retries of a delivery.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::simulator) struct RetryPolicy {
    answer_within_seconds: i64,
    retries: u32,
    first_retry_after_seconds: i64,
    each_retry_later_by_factor: i64,
}

impl RetryPolicy {
    pub(in crate::simulator) fn answer_within(&self) -> TimeDelta {
        TimeDelta::seconds(self.answer_within_seconds)
    }

    /// Returns the time to wait after this many failed attempts; `None` if no retry is left.
    pub(in crate::simulator) fn wait_after(&self, failed: usize) -> Option<TimeDelta> {
        let earlier = u32::try_from(failed).ok()?.checked_sub(1).filter(|earlier| *earlier < self.retries)?;
        let factor = self.each_retry_later_by_factor.checked_pow(earlier)?;
        self.first_retry_after_seconds.checked_mul(factor).map(TimeDelta::seconds)
    }
}

/// The parameters of the disturbances that variations turn on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::simulator) struct FaultParameters {
    pub(super) repeats_every: u64,
    pub(super) delays_every: u64,
    pub(super) delay_seconds: i64,
    pub(super) misses_every: u64,
    stops_after_hours: i64,
}

impl FaultParameters {
    pub(in crate::simulator) fn stops_after(&self) -> TimeDelta {
        TimeDelta::hours(self.stops_after_hours)
    }
}

/// A type of subscriptions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::simulator) struct WebhookType {
    /// Its name in deliveries.
    pub(in crate::simulator) entity_type: String,
    pub(in crate::simulator) collection: String,
    /// The kind of record of `entity`.
    pub(in crate::simulator) record: String,
    /// Optional members of `entity`, by the parameters that add them.
    #[serde(default)]
    pub(in crate::simulator) asked_for: Vec<String>,
    /// The members of each category: an update belongs to it if one of them changes.
    #[serde(default)]
    pub(super) categories: BTreeMap<String, Vec<String>>,
    /// The member that is true in drafts.
    #[serde(default)]
    pub(super) draft: Option<String>,
}

impl Contract {
    pub(super) fn load() -> io::Result<Self> {
        Ok(serde_json::from_str(CONTRACT)?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::simulator::{
        operations::{Kind, Operations, Route},
        value_kind::ValueKind,
    };

    #[test]
    fn the_contract_names_what_is_described() {
        let Contract { types, .. } = Contract::load().expect("the contract");
        let Operations { description, collections, .. } = Operations::load().expect("the operations");
        let subscription = &description.records["webhook_subscription"];
        let ValueKind::Word(words) = &subscription.members["type"].kind else { panic!("the types are words") };
        assert_eq!(words.names.iter().collect::<BTreeSet<_>>(), types.keys().collect());
        for kind in types.values() {
            assert!(collections.contains_key(&kind.collection), "{kind:?}");
            let members = &description.records[&kind.record].members;
            let named = kind.categories.values().flatten().chain(&kind.draft);
            named.for_each(|name| assert!(members.contains_key(name), "{name}"));
            let optional = &collections[&kind.collection].optional;
            for asked in &kind.asked_for {
                assert!(optional.iter().any(|one| one.param.as_ref() == Some(asked)), "{asked}");
            }
        }
        let operations = Operations::load().expect("the operations");
        let Route::Found(operation, _) = operations.route("GET", "/v2/webhooksubscriptions/categories") else {
            panic!("there is a list of the categories")
        };
        let Kind::Fixed { body } = &operation.kind else { panic!("it is always the same") };
        let listed = serde_json::json!(types["booking"].categories.keys().collect::<Vec<_>>());
        assert_eq!(body["Booking"], listed);
    }

    #[test]
    fn ten_retries_take_about_six_hours() {
        let retry_policy = Contract::load().expect("the contract").delivery;
        let waits: Vec<TimeDelta> = (1..).map_while(|failed| retry_policy.wait_after(failed)).collect();
        assert_eq!(waits.len(), 10);
        assert!(waits.windows(2).all(|pair| pair[1] == pair[0] * 2), "{waits:?}");
        let all: TimeDelta = waits.iter().sum();
        assert_eq!(all.num_hours(), 5, "{all}");
        assert_eq!(retry_policy.wait_after(0), None);
        assert_eq!(retry_policy.wait_after(usize::MAX), None);
    }
}
