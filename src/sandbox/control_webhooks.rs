//! [`Controls`] over webhooks, and over records that change without a request.

use serde_json::{Map, Value};

use super::{
    control::Controls,
    notices,
    operations::Kind,
    records::number,
    seed::utc,
    state::Shared,
    webhooks::{Delivery, WebhookApp, WebhookRule},
};
use crate::domain::{AccountId, Clock};

impl Controls {
    /// The deliveries so far, oldest first, with what became of each.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.0.lock().webhooks.log.iter().cloned().collect()
    }

    /// Empties the log of deliveries. Those that are due are not sent.
    pub fn clear_deliveries(&self) {
        self.0.lock().webhooks.clear();
    }

    /// Completes once no delivery is on its way or due. One that is due later does not count.
    pub async fn webhooks_settled(&self) {
        let mut settled = self.0.webhooks.settled.subscribe();
        // The sender is part of what `self` holds: it cannot be gone.
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

    /// Adds a trouble. Where several catch an event, the oldest applies and the others wait for the next.
    pub fn script_webhooks(&self, rule: WebhookRule) {
        self.0.lock().webhooks.rules.push(rule);
    }

    /// Changes the given members of a record, or makes one, as a person does on the account's own pages. Returns its id;
    /// none where the account or the collection is unknown. Null removes a member. Moments of change are set unless they
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

    /// Removes a record; false where there is none.
    pub fn remove_record(&self, account: AccountId, collection: &str, id: i64) -> bool {
        let mut state = self.0.lock();
        let Some(owner) = state.account_mut(account) else { return false };
        owner.fill();
        let removed = owner.records.remove(collection, id);
        notices::of_changes(&self.0, &mut state, account);
        removed
    }
}

/// Whether records of a collection have such a member.
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
