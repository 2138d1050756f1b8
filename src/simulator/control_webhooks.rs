//! [`Controls`] of webhooks, and of records that change without a request.

use serde_json::{Map, Value};

use super::{
    control::Controls,
    notices,
    operations::Kind,
    records::number,
    state::Shared,
    timestamp::utc,
    webhooks::{Delivery, WebhookApp, WebhookRule},
};
use crate::domain::{AccountId, Clock};

impl Controls {
    /// Returns the deliveries so far, oldest first, with the state of each.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.0.lock().webhooks.log.iter().cloned().collect()
    }

    /// Empties the log of deliveries. Pending ones are not sent.
    pub fn clear_deliveries(&self) {
        self.0.lock().webhooks.clear();
    }

    /// Completes once no delivery is being sent or due. Deliveries that are due later do not count.
    pub async fn webhooks_settled(&self) {
        let mut settled = self.0.webhooks.settled.subscribe();
        // The sender is part of `self`, so it exists while this waits.
        while !self.is_settled() && settled.changed().await.is_ok() {}
    }

    fn is_settled(&self) -> bool {
        self.0.lock().webhooks.is_settled(self.0.clock.now())
    }

    /// Sets the app's own address for webhooks and the credentials of every delivery.
    pub fn set_webhook_app(&self, app: WebhookApp) {
        self.0.lock().webhooks.app = app;
    }

    /// Presses the test button of the app's page.
    pub fn send_test_webhook(&self) {
        notices::of_test(&self.0, &mut self.0.lock());
    }

    /// Adds a disturbance. If several match an event, the oldest applies and the others stay for the next event.
    pub fn script_webhooks(&self, rule: WebhookRule) {
        self.0.lock().webhooks.rules.push(rule);
    }

    /// Changes the given members of a record, or creates one, as a user does on the pages of OwnerRez. Returns its id;
    /// `None` if the account or the collection is unknown. Null removes a member. Times of change are set unless they
    /// are given.
    pub fn put_record(&self, account: AccountId, collection: &str, members: Map<String, Value>) -> Option<i64> {
        let shared = &*self.0;
        let now = utc(shared.clock.now());
        if !shared.operations.collections.contains_key(collection) {
            return None;
        }
        let mut state = shared.lock();
        let owner = state.account_mut(account)?;
        owner.fill();
        let id = number(&members, "id").unwrap_or_else(|| owner.records.new_id());
        let current = owner.records.get(collection, id).cloned();
        let fresh = current.is_none();
        let mut record = current.unwrap_or_default();
        for (name, only_new) in [("updated_utc", false), ("created_utc", true), ("date_utc", true)] {
            if (fresh || !only_new) && has_member(shared, collection, name) {
                record.insert(name.to_owned(), now.clone().into());
            }
        }
        record.insert("_updated_utc".to_owned(), now.clone().into());
        record.entry("_created_utc").or_insert_with(|| now.into());
        record.insert("_never_changed".to_owned(), fresh.into());
        record.extend(members);
        record.insert("id".to_owned(), id.into());
        record.retain(|_, value| !value.is_null());
        owner.records.put(collection, id, record);
        notices::of_changes(shared, &mut state, account);
        Some(id)
    }

    /// Removes a record; returns false if it does not exist.
    pub fn remove_record(&self, account: AccountId, collection: &str, id: i64) -> bool {
        let mut state = self.0.lock();
        let Some(owner) = state.account_mut(account) else { return false };
        owner.fill();
        let removed = owner.records.remove(collection, id);
        notices::of_changes(&self.0, &mut state, account);
        removed
    }
}

/// Returns whether records of a collection have this member.
fn has_member(shared: &Shared, collection: &str, name: &str) -> bool {
    let read = shared
        .operations
        .all
        .iter()
        .find(|operation| matches!(&operation.kind, Kind::Get { collection: read } if read == collection));
    let kind = read.and_then(|operation| operation.described.answer.record());
    let shape = kind.and_then(|kind| shared.operations.description.records.get(kind));
    shape.is_some_and(|shape| shape.members.contains_key(name))
}
