//! The due deliveries and the log of all. No I/O; time is an argument.

use std::collections::{BTreeSet, HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;

use super::{
    contract::RetryPolicy,
    event::Event,
    fault::{WebhookFault, WebhookRule, take_rule},
};
use crate::domain::AccountId;

/// The number of deliveries in the log.
const LOG_LENGTH: usize = 10_000;

/// The webhook settings of the app's page at OwnerRez.
#[derive(Clone, Debug)]
pub struct WebhookApp {
    /// The address for events of types without a subscription.
    pub url: Option<String>,
    /// User of the Basic credentials of every delivery.
    pub user: String,
    /// Password of the Basic credentials.
    pub password: SecretString,
}

impl Default for WebhookApp {
    fn default() -> Self {
        WebhookApp { url: None, user: "webhooks_sandbox".to_owned(), password: "wp_sandbox".into() }
    }
}

/// One delivery.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// Its number, from 1.
    pub number: u64,
    /// The account of the records; `None` for a test.
    pub account: Option<i64>,
    /// The subscription; `None` if it goes to the app's own address.
    pub subscription: Option<i64>,
    /// The receiver's URL.
    pub url: String,
    /// The JSON body.
    pub body: Value,
    /// Its state.
    pub state: DeliveryState,
    /// The attempts so far.
    pub attempts: Vec<DeliveryAttempt>,
}

/// The state of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is due now or later.
    Waiting,
    /// The receiver accepted it.
    Delivered,
    /// All attempts failed.
    GivenUp,
    /// It is never sent.
    Missed,
    /// Its subscription has stopped.
    Stopped,
    /// It is not sent, because its address is not on this machine.
    Outside,
}

/// One attempt at a delivery.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DeliveryAttempt {
    /// When it started.
    pub at: DateTime<Utc>,
    /// How it ended.
    pub outcome: DeliveryOutcome,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOutcome {
    /// The receiver responded with this status.
    Answered(u16),
    /// No response in time.
    TimedOut,
    /// The connection failed or broke.
    Broken,
}

impl DeliveryOutcome {
    fn is_success(self) -> bool {
        matches!(self, DeliveryOutcome::Answered(200..=299))
    }
}

/// An attempt to be made.
pub(in crate::simulator) struct Ticket {
    pub(in crate::simulator) number: u64,
    pub(in crate::simulator) url: String,
    pub(in crate::simulator) body: Value,
    pub(in crate::simulator) app: WebhookApp,
}

/// The next action of the sender.
pub(in crate::simulator) enum Next {
    Send(Ticket),
    /// Wait until this time, or without one for a new delivery.
    Wait(Option<DateTime<Utc>>),
}

/// The queue of deliveries.
#[derive(Default)]
pub(in crate::simulator) struct Queue {
    pub(in crate::simulator) app: WebhookApp,
    pub(in crate::simulator) rules: Vec<WebhookRule>,
    pub(in crate::simulator) log: VecDeque<Delivery>,
    due: BTreeSet<(DateTime<Utc>, u64)>,
    /// Addresses with a request in flight. One request at a time keeps the order.
    busy: BTreeSet<String>,
    events: HashMap<AccountId, u64>,
}

impl Queue {
    /// Returns the number of an account's next event, from 1.
    pub(in crate::simulator) fn count(&mut self, account: AccountId) -> u64 {
        let count = self.events.entry(account).or_default();
        *count += 1;
        *count
    }

    /// Returns the disturbance of the first matching rule for an event.
    pub(in crate::simulator) fn ordered(&mut self, account: Option<i64>, event: &Event<'_>) -> Option<WebhookFault> {
        take_rule(&mut self.rules, account, event)
    }

    /// Adds a delivery. A waiting one is due at the given time.
    pub(in crate::simulator) fn add(&mut self, delivery: Delivery, due: DateTime<Utc>) {
        if delivery.state == DeliveryState::Waiting {
            self.due.insert((due, delivery.number));
        }
        if self.log.len() == LOG_LENGTH
            && let Some(oldest) = self.log.pop_front()
            && oldest.state == DeliveryState::Waiting
        {
            self.due.retain(|(_, number)| *number != oldest.number);
        }
        self.log.push_back(delivery);
    }

    /// Removes all deliveries, including due ones.
    pub(in crate::simulator) fn clear(&mut self) {
        self.log.clear();
        self.due.clear();
    }

    pub(in crate::simulator) fn next(&mut self, now: DateTime<Utc>) -> Next {
        let (log, busy) = (&self.log, &self.busy);
        let is_free = |number: u64| find(log, number).is_none_or(|delivery| !busy.contains(&delivery.url));
        let free = self.due.iter().take_while(|(at, _)| *at <= now).find(|(_, number)| is_free(*number)).copied();
        let Some((at, number)) = free else {
            return Next::Wait(self.due.iter().map(|(at, _)| *at).find(|at| *at > now));
        };
        self.due.remove(&(at, number));
        match find(&self.log, number) {
            Some(Delivery { url, body, .. }) => {
                self.busy.insert(url.clone());
                Next::Send(Ticket { number, url: url.clone(), body: body.clone(), app: self.app.clone() })
            }
            // Deliveries that left the log are not sent.
            None => self.next(now),
        }
    }

    /// Records the outcome of an attempt; after a failure, the next attempt is due according to `retry_policy`.
    pub(in crate::simulator) fn ended(
        &mut self,
        ticket: &Ticket,
        attempt: DeliveryAttempt,
        retry_policy: &RetryPolicy,
        now: DateTime<Utc>,
    ) {
        self.busy.remove(&ticket.url);
        let index = self.log.binary_search_by_key(&ticket.number, |delivery| delivery.number);
        let Some(delivery) = index.ok().and_then(|index| self.log.get_mut(index)) else { return };
        delivery.attempts.push(attempt);
        let wait: Option<TimeDelta> = retry_policy.wait_after(delivery.attempts.len());
        delivery.state = match wait {
            _ if attempt.outcome.is_success() => DeliveryState::Delivered,
            Some(wait) => {
                self.due.insert((now + wait, ticket.number));
                DeliveryState::Waiting
            }
            None => DeliveryState::GivenUp,
        };
    }

    /// Returns whether no delivery is being sent or due.
    pub(in crate::simulator) fn is_settled(&self, now: DateTime<Utc>) -> bool {
        self.busy.is_empty() && self.due.first().is_none_or(|(at, _)| *at > now)
    }
}

fn find(log: &VecDeque<Delivery>, number: u64) -> Option<&Delivery> {
    log.get(log.binary_search_by_key(&number, |delivery| delivery.number).ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::simulator::webhooks::contract::Contract;

    fn delivery(number: u64, url: &str) -> Delivery {
        Delivery {
            number,
            account: None,
            subscription: None,
            url: url.to_owned(),
            body: json!({}),
            state: DeliveryState::Waiting,
            attempts: Vec::new(),
        }
    }

    fn numbers(queue: &mut Queue, now: DateTime<Utc>) -> Vec<u64> {
        let next = || match queue.next(now) {
            Next::Send(ticket) => Some(ticket.number),
            Next::Wait(_) => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn one_address_gets_one_delivery_at_a_time_and_the_others_do_not_wait() {
        let now = DateTime::UNIX_EPOCH;
        let retry_policy = Contract::load().expect("the contract").delivery;
        let mut queue = Queue::default();
        for (number, url) in [(1, "a"), (2, "a"), (3, "b")] {
            queue.add(delivery(number, url), now);
        }
        queue.add(delivery(4, "c"), now + TimeDelta::seconds(30));
        let Next::Send(first) = queue.next(now) else { panic!("the first is due") };
        assert_eq!((first.number, numbers(&mut queue, now)), (1, vec![3]));
        assert!(!queue.is_settled(now));
        queue.ended(&first, DeliveryAttempt { at: now, outcome: DeliveryOutcome::Answered(204) }, &retry_policy, now);
        assert_eq!(numbers(&mut queue, now), [2]);
        assert_eq!(queue.log[0].state, DeliveryState::Delivered);
        assert!(matches!(queue.next(now), Next::Wait(Some(at)) if at == now + TimeDelta::seconds(30)));
    }

    #[test]
    fn the_log_is_bounded_and_what_it_lost_is_not_sent() {
        let now = DateTime::UNIX_EPOCH;
        let mut queue = Queue::default();
        for number in 1..=LOG_LENGTH as u64 + 1 {
            queue.add(delivery(number, &number.to_string()), now);
        }
        assert_eq!(queue.log.len(), LOG_LENGTH);
        assert_eq!(numbers(&mut queue, now).first(), Some(&2));
    }
}
