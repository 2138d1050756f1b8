//! Creates webhooks: for changes of records, the end of an authorization, and the test button.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    argument::Argument,
    arguments::Arguments,
    call::is_of_this_machine,
    records::{Record, id, text},
    state::{Account, Shared, State},
    value_kind::instant,
    variations::{Variation, Variations},
    view::View,
    webhooks::{self, Delivery, DeliveryPlan, DeliveryState, Event, WebhookAction, WebhookType},
};
use crate::domain::{AccountId, Clock};

/// The internal member of a subscription that has stopped; it is never sent.
const STOPPED: &str = "_stopped";

/// The recipient of a delivery.
struct Target {
    /// `None` for the app's own address.
    subscription: Option<i64>,
    url: String,
    stopped: bool,
    /// Whether it was created so long ago that it may have stopped.
    long_subscribed: bool,
}

/// Sends webhooks for the changes of an account's records since the last call.
pub(super) fn of_changes(shared: &Shared, state: &mut State, account: AccountId) {
    let Some(owner) = state.account_mut(account) else { return };
    let changes = owner.records.take_changes();
    let tells_drafts = owner.variations.has(Variation::WebhookDrafts);
    for change in &changes {
        let types = shared.webhooks.contract.types.iter();
        for (name, kind) in types.filter(|(_, kind)| kind.collection == change.collection) {
            if let Some(event) = Event::of(name, kind, change, tells_drafts) {
                let entity = event.record.and_then(|record| entity(shared, state, account, kind, record));
                enqueue(shared, state, Some(account), &event, entity);
            }
        }
    }
}

/// Sends the webhook for an app that the user removed.
pub(super) fn of_revocation(shared: &Shared, state: &mut State, account: AccountId) {
    let event = Event::of_the_app(WebhookAction::ApplicationAuthorizationRevoked);
    enqueue(shared, state, Some(account), &event, None);
}

/// Sends the webhook of the test button.
pub(super) fn of_test(shared: &Shared, state: &mut State) {
    enqueue(shared, state, None, &Event::of_the_app(WebhookAction::WebhookTest), None);
}

/// Returns the record as the API shows it, for the member `entity`.
fn entity(shared: &Shared, state: &State, account: AccountId, kind: &WebhookType, record: &Record) -> Option<Value> {
    let owner = state.account(account)?;
    let collection = shared.operations.collections.get(&kind.collection)?;
    let mut arguments = Arguments::default();
    kind.asked_for.iter().for_each(|name| arguments.assume(name, Argument::Boolean(true)));
    let hidden = shared.variations.hidden(&owner.variations);
    let description = &shared.operations.description;
    let view = View { records: &owner.records, description, arguments: &arguments, listed: true, hidden: &hidden };
    Some(view.of(record, collection, &kind.record))
}

fn enqueue(shared: &Shared, state: &mut State, account: Option<AccountId>, event: &Event<'_>, entity: Option<Value>) {
    let (now, contract) = (shared.clock.now(), &shared.webhooks.contract);
    let owner = account.and_then(|account| state.account(account));
    let variations: Variations = owner.map(|owner| owner.variations.clone()).unwrap_or_default();
    let app = state.webhooks.app.url.clone();
    let stops_after = contract.faults.stops_after();
    let subscribed_before = now - stops_after;
    let targets = targets(owner, event, app, subscribed_before);
    let count = account.map_or(1, |account| state.webhooks.count(account));
    let number = account.map(|account| account.0);
    // An event without recipients uses up no rule.
    let ordered = if targets.is_empty() { None } else { state.webhooks.ordered(number, event) };
    for target in targets {
        let plan = webhooks::plan_delivery(&contract.faults, &variations, ordered, count, target.long_subscribed);
        if plan.stopped
            && let Some((account, subscription)) = account.zip(target.subscription)
        {
            stop(state, account, subscription);
        }
        let shown_entity = entity.clone().filter(|_| !plan.without_entity);
        let delivery = Delivery {
            number: shared.webhooks.new_number(),
            account: number,
            subscription: target.subscription,
            state: begin(&target, &plan),
            url: target.url,
            body: event.envelope(number, shown_entity),
            attempts: Vec::new(),
        };
        let again = plan.repeated.then(|| Delivery { number: shared.webhooks.new_number(), ..delivery.clone() });
        for delivery in [Some(delivery), again].into_iter().flatten() {
            state.webhooks.add(delivery, now + plan.late_by);
        }
    }
    shared.webhooks.wake.notify_one();
}

/// Returns the recipients of an event. Subscriptions of a type override the app's own address for that type.
fn targets(
    owner: Option<&Account>,
    event: &Event<'_>,
    app: Option<String>,
    subscribed_before: DateTime<Utc>,
) -> Vec<Target> {
    let subscriptions = owner.into_iter().flat_map(|owner| owner.records.all("webhook_subscriptions"));
    let of_type: Vec<&Record> = match event.subscribed {
        Some(name) => subscriptions.filter(|one| text(one, "type") == name).collect(),
        None => Vec::new(),
    };
    if of_type.is_empty() {
        let target = |url| Target { subscription: None, url, stopped: false, long_subscribed: false };
        return app.map(target).into_iter().collect();
    }
    let target = |one: &&Record| Target {
        subscription: id(one),
        url: text(one, "webhook_url").to_owned(),
        stopped: one.get(STOPPED) == Some(&Value::Bool(true)),
        long_subscribed: instant(text(one, "_updated_utc")).is_none_or(|made| made <= subscribed_before),
    };
    of_type.iter().filter(|one| wants(one, event)).map(target).collect()
}

/// Returns whether a subscription is for this action and, if it is an update, for one of its categories.
fn wants(subscription: &Record, event: &Event<'_>) -> bool {
    let action = subscription.get("action").cloned().unwrap_or_default();
    let category = text(subscription, "category");
    serde_json::from_value::<WebhookAction>(action).is_ok_and(|action| action == event.action)
        && (category.is_empty()
            || event.action != WebhookAction::EntityUpdate
            || event.categories.iter().any(|name| name.eq_ignore_ascii_case(category)))
}

fn begin(target: &Target, plan: &DeliveryPlan) -> DeliveryState {
    if !is_of_this_machine(&target.url) {
        DeliveryState::Outside
    } else if target.stopped || plan.stopped {
        DeliveryState::Stopped
    } else if plan.missed {
        DeliveryState::Missed
    } else {
        DeliveryState::Waiting
    }
}

/// Stops a subscription silently: it stays listed.
fn stop(state: &mut State, account: AccountId, subscription: i64) {
    let records = state.account_mut(account).map(|owner| &mut owner.records);
    let record = records.and_then(|records| records.get_mut("webhook_subscriptions", subscription));
    if let Some(record) = record {
        record.insert(STOPPED.to_owned(), true.into());
    }
}
