//! Disturbances of deliveries, as clients of the live service observed them: by rules, or by the account's variations.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{
    contract::FaultParameters,
    event::{Event, WebhookAction},
};
use crate::simulator::{
    rule_limits::{once, rule_limits},
    script::seconds,
    variations::{Variation, Variations},
};

/// A disturbance.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookFault {
    /// It is never sent.
    Miss,
    /// It is sent twice, under the same id.
    Repeat,
    /// It is sent this many seconds later, by the simulator's clock; later events overtake it.
    Delay(f64),
    /// It lacks `entity`.
    WithoutEntity,
    /// Its subscription sends nothing from now on, but is still listed.
    Stop,
}

/// A scripted disturbance for all deliveries of the events that it matches. By default it matches the next event.
///
/// ```ignore
/// controls.script_webhooks(WebhookRule::new(WebhookFault::Miss).of_type("booking").times(2));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookRule {
    /// Restricts it to events of this account.
    #[serde(default)]
    pub account: Option<i64>,
    /// Restricts it to events of this type, by the name in subscriptions.
    #[serde(default, rename = "type")]
    pub subscribed: Option<String>,
    /// Restricts it to events with this action.
    #[serde(default)]
    pub action: Option<WebhookAction>,
    /// The number of events that it matches; `None` for all until the rules are cleared.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// The disturbance.
    #[serde(rename = "trouble")]
    pub fault: WebhookFault,
}

rule_limits!(WebhookRule, "events");

impl WebhookRule {
    /// Creates a rule for the next event.
    pub fn new(fault: WebhookFault) -> Self {
        WebhookRule { account: None, subscribed: None, action: None, times: once(), fault }
    }

    /// Restricts the rule to events of this type, by the name in subscriptions.
    pub fn of_type(mut self, name: &str) -> Self {
        self.subscribed = Some(name.to_owned());
        self
    }

    /// Restricts the rule to events with this action.
    pub fn action(mut self, action: WebhookAction) -> Self {
        self.action = Some(action);
        self
    }

    fn catches(&self, account: Option<i64>, event: &Event<'_>) -> bool {
        self.times != Some(0)
            && (self.account.is_none() || self.account == account)
            && (self.subscribed.is_none() || self.subscribed.as_deref() == event.subscribed)
            && self.action.is_none_or(|action| action == event.action)
    }
}

/// Returns the disturbance of the first rule that matches an event, and consumes one of the rule's uses.
pub(super) fn take_rule(rules: &mut Vec<WebhookRule>, account: Option<i64>, event: &Event<'_>) -> Option<WebhookFault> {
    let rule = rules.iter_mut().find(|rule| rule.catches(account, event))?;
    rule.times = rule.times.map(|left| left - 1);
    let fault = rule.fault;
    rules.retain(|rule| rule.times != Some(0));
    Some(fault)
}

/// The handling of one delivery.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(in crate::simulator) struct DeliveryPlan {
    pub(in crate::simulator) missed: bool,
    pub(in crate::simulator) repeated: bool,
    pub(in crate::simulator) late_by: TimeDelta,
    pub(in crate::simulator) without_entity: bool,
    pub(in crate::simulator) stopped: bool,
}

impl DeliveryPlan {
    fn add(&mut self, fault: WebhookFault) {
        match fault {
            WebhookFault::Miss => self.missed = true,
            WebhookFault::Repeat => self.repeated = true,
            WebhookFault::Delay(by) => self.late_by = seconds(by),
            WebhookFault::WithoutEntity => self.without_entity = true,
            WebhookFault::Stop => self.stopped = true,
        }
    }
}

/// Decides how one delivery is handled. `count` is the number of the event within its account, from 1;
/// `long_subscribed` means that its subscription was created so long ago that it may have stopped.
pub(in crate::simulator) fn plan_delivery(
    numbers: &FaultParameters,
    variations: &Variations,
    ordered: Option<WebhookFault>,
    count: u64,
    long_subscribed: bool,
) -> DeliveryPlan {
    let mut plan = DeliveryPlan::default();
    ordered.into_iter().for_each(|fault| plan.add(fault));
    for (variation, comes, fault) in [
        (Variation::WebhooksRepeated, count.is_multiple_of(numbers.repeats_every), WebhookFault::Repeat),
        (
            Variation::WebhooksOutOfOrder,
            count.is_multiple_of(numbers.delays_every),
            WebhookFault::Delay(numbers.delay_seconds as f64),
        ),
        (Variation::WebhooksMissed, count.is_multiple_of(numbers.misses_every), WebhookFault::Miss),
        (Variation::WebhooksWithoutEntity, true, WebhookFault::WithoutEntity),
        (Variation::WebhooksStop, long_subscribed, WebhookFault::Stop),
    ] {
        if comes && variations.has(variation) {
            plan.add(fault);
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AccountId;

    #[test]
    fn a_rule_is_used_up_and_the_next_one_applies() {
        let account = AccountId(7);
        let mut rules = vec![
            WebhookRule::new(WebhookFault::Miss).of_type("guest").account(account),
            WebhookRule::new(WebhookFault::Repeat).action(WebhookAction::EntityUpdate).times(2),
            WebhookRule::new(WebhookFault::Stop).always(),
        ];
        let mut take = |account, subscribed, action| {
            let event = Event { subscribed: Some(subscribed), action, ..Event::of_the_app(action) };
            take_rule(&mut rules, Some(account), &event)
        };
        assert_eq!(take(8, "guest", WebhookAction::EntityCreate), Some(WebhookFault::Stop));
        assert_eq!(take(7, "guest", WebhookAction::EntityUpdate), Some(WebhookFault::Miss));
        assert_eq!(take(7, "guest", WebhookAction::EntityUpdate), Some(WebhookFault::Repeat));
        assert_eq!(take(7, "guest", WebhookAction::EntityUpdate), Some(WebhookFault::Repeat));
        assert_eq!(take(7, "guest", WebhookAction::EntityUpdate), Some(WebhookFault::Stop));
    }

    #[test]
    fn rules_read_from_json() {
        let rule: WebhookRule =
            serde_json::from_str(r#"{"type":"booking","action":"entity_update","trouble":{"delay":30}}"#)
                .expect("a rule");
        assert_eq!((rule.fault, rule.times), (WebhookFault::Delay(30.0), Some(1)));
        assert!(serde_json::from_str::<WebhookRule>(r#"{"kind":"booking","trouble":"miss"}"#).is_err());
    }
}
