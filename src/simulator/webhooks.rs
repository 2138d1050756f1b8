//! Webhooks as OwnerRez documents them and as they were observed: their content, recipients, times and failures.
//!
//! This module sends nothing: `event` creates the body, `fault` decides what goes wrong, and `queue` contains the due
//! deliveries and the log. `notices` fills the queue, `sender` empties it.

mod event;
mod fault;
mod queue;

use std::{
    collections::BTreeMap,
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use chrono::TimeDelta;
use serde::Deserialize;
use tokio::sync::{Notify, watch};

pub(super) use self::{
    event::Event,
    fault::{DeliveryPlan, plan_delivery},
    queue::{Next, Queue, Ticket},
};
pub use self::{
    event::WebhookAction,
    fault::{WebhookFault, WebhookRule},
    queue::{Attempt, Delivery, DeliveryState, Outcome, WebhookApp},
};

const CONTRACT: &str = include_str!("webhooks.json");

/// The content of `webhooks.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contract {
    #[serde(rename = "about")]
    _about: String,
    pub(super) delivery: RetryPolicy,
    #[serde(rename = "trouble")]
    pub(super) faults: FaultParameters,
    pub(super) types: BTreeMap<String, WebhookType>,
}

/// The response timeout and the retries of a delivery.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryPolicy {
    answer_within_seconds: i64,
    retries: u32,
    first_retry_after_seconds: i64,
    each_retry_later_by_factor: i64,
}

impl RetryPolicy {
    pub(super) fn answer_within(&self) -> TimeDelta {
        TimeDelta::seconds(self.answer_within_seconds)
    }

    /// Returns the time to wait after this many failed attempts; `None` if no retry is left.
    pub(super) fn wait_after(&self, failed: usize) -> Option<TimeDelta> {
        let earlier = u32::try_from(failed).ok()?.checked_sub(1).filter(|earlier| *earlier < self.retries)?;
        let factor = self.each_retry_later_by_factor.checked_pow(earlier)?;
        self.first_retry_after_seconds.checked_mul(factor).map(TimeDelta::seconds)
    }
}

/// The parameters of the disturbances that variations turn on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultParameters {
    repeats_every: u64,
    delays_every: u64,
    delay_seconds: i64,
    misses_every: u64,
    stops_after_hours: i64,
}

impl FaultParameters {
    pub(super) fn stops_after(&self) -> TimeDelta {
        TimeDelta::hours(self.stops_after_hours)
    }
}

/// A type of subscriptions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookType {
    /// Its name in deliveries.
    pub(super) entity_type: String,
    pub(super) collection: String,
    /// The kind of record of `entity`.
    pub(super) record: String,
    /// Optional members of `entity`, by the parameters that add them.
    #[serde(default)]
    pub(super) asked_for: Vec<String>,
    /// The members of each category: an update belongs to it if one of them changes.
    #[serde(default)]
    categories: BTreeMap<String, Vec<String>>,
    /// The member that is true in drafts.
    #[serde(default)]
    draft: Option<String>,
}

impl Contract {
    fn load() -> io::Result<Self> {
        Ok(serde_json::from_str(CONTRACT)?)
    }
}

/// Shared data of `notices` and `sender` that does not need the lock of the queue.
pub(super) struct Service {
    pub(super) contract: Contract,
    /// Wakes the sender, because a delivery may be due earlier than before.
    pub(super) wake: Notify,
    /// Changes after each attempt.
    pub(super) settled: watch::Sender<()>,
    last_number: AtomicU64,
}

impl Service {
    pub(super) fn load() -> io::Result<Self> {
        Ok(Service {
            contract: Contract::load()?,
            wake: Notify::new(),
            settled: watch::Sender::new(()),
            last_number: AtomicU64::new(0),
        })
    }

    /// Returns a new number. Numbers continue after a reset, so that an attempt that is then being made matches no new
    /// delivery.
    pub(super) fn new_number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
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
