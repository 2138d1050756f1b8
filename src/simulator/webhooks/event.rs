//! Converts a change of a record to the body of a delivery.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::contract::WebhookType;
use crate::simulator::records::{Change, Record};

/// The `entity_type` of events of the app itself.
const APPLICATION: &str = "api_application";

/// The action in a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookAction {
    /// A record was created.
    EntityCreate,
    /// A record changed.
    EntityUpdate,
    /// A record was deleted.
    EntityDelete,
    /// The user removed the app.
    ApplicationAuthorizationRevoked,
    /// The test button of the app's page.
    WebhookTest,
}

/// An event that webhooks report.
#[derive(Debug)]
pub(in crate::simulator) struct Event<'a> {
    /// The type in subscriptions; `None` for events of the app itself.
    pub(in crate::simulator) subscribed: Option<&'a str>,
    pub(in crate::simulator) action: WebhookAction,
    pub(in crate::simulator) entity_type: &'a str,
    pub(in crate::simulator) entity_id: Option<i64>,
    /// The categories of an update.
    pub(in crate::simulator) categories: Vec<&'a str>,
    /// The current record; `None` if it was deleted.
    pub(in crate::simulator) record: Option<&'a Record>,
}

impl<'a> Event<'a> {
    /// Returns the event of a change for subscriptions to a type of its collection. Drafts count as absent unless
    /// `tells_drafts` is set.
    pub(in crate::simulator) fn of(
        name: &'a str,
        kind: &'a WebhookType,
        change: &'a Change,
        tells_drafts: bool,
    ) -> Option<Self> {
        let is_draft =
            |record: &Record| kind.draft.as_ref().is_some_and(|member| record.get(member) == Some(&Value::Bool(true)));
        let told = |record: &'a Option<Record>| record.as_ref().filter(|one| tells_drafts || !is_draft(one));
        let (before, after) = (told(&change.before), told(&change.after));
        let action = match (before, after) {
            (None, Some(_)) => WebhookAction::EntityCreate,
            (Some(_), Some(_)) => WebhookAction::EntityUpdate,
            (Some(_), None) => WebhookAction::EntityDelete,
            (None, None) => return None,
        };
        let differs =
            |member: &String| before.zip(after).is_some_and(|(before, after)| before.get(member) != after.get(member));
        let touched = kind.categories.iter().filter(|(_, members)| members.iter().any(differs));
        Some(Event {
            subscribed: Some(name),
            action,
            entity_type: &kind.entity_type,
            entity_id: Some(change.id),
            categories: touched.map(|(category, _)| category.as_str()).collect(),
            record: after,
        })
    }

    /// Returns an event of the app itself.
    pub(in crate::simulator) fn of_the_app(action: WebhookAction) -> Event<'static> {
        Event {
            subscribed: None,
            action,
            entity_type: APPLICATION,
            entity_id: None,
            categories: Vec::new(),
            record: None,
        }
    }

    /// Returns the body of a delivery.
    pub(in crate::simulator) fn envelope(&self, account: Option<i64>, entity: Option<Value>) -> Value {
        let categories = (self.action == WebhookAction::EntityUpdate).then_some(&self.categories);
        let members = [
            ("id", json!(Uuid::new_v4())),
            ("user_id", json!(account)),
            ("action", json!(self.action)),
            ("entity_type", json!(self.entity_type)),
            ("entity_id", json!(self.entity_id)),
            ("categories", json!(categories)),
            ("entity", json!(entity)),
        ];
        let present = members.into_iter().filter(|(_, value)| !value.is_null());
        Value::Object(present.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::webhooks::contract::Contract;

    fn change(before: Option<Value>, after: Option<Value>) -> Change {
        let record = |value: Option<Value>| value.and_then(|value| value.as_object().cloned());
        Change { collection: "any".to_owned(), id: 7, before: record(before), after: record(after) }
    }

    #[test]
    fn an_update_has_the_categories_of_the_members_that_changed() {
        let types = Contract::load().expect("the contract").types;
        let before = json!({"arrival": "2027-03-12", "status": "active", "total_owed": 1180.0, "notes": "a"});
        for (member, value, categories) in [
            ("arrival", json!("2027-03-13"), vec!["availability"]),
            ("charges", json!([]), vec!["charge"]),
            ("total_owed", json!(0.0), vec!["financial"]),
            ("notes", json!("b"), vec![]),
        ] {
            let mut after = before.clone();
            after[member] = value;
            let change = change(Some(before.clone()), Some(after));
            let event = Event::of("booking", &types["booking"], &change, false).expect("an event");
            assert_eq!((event.action, &event.categories), (WebhookAction::EntityUpdate, &categories), "{member}");
        }
    }

    #[test]
    fn a_draft_is_told_only_where_drafts_are() {
        let types = Contract::load().expect("the contract").types;
        let (draft, sent) = (Some(json!({"is_draft": true})), Some(json!({"is_draft": false})));
        use WebhookAction::{EntityCreate, EntityDelete, EntityUpdate};
        for (before, after, quiet, told) in [
            (None, draft.clone(), None, Some(EntityCreate)),
            (draft.clone(), sent.clone(), Some(EntityCreate), Some(EntityUpdate)),
            (draft, None, None, Some(EntityDelete)),
            (sent, None, Some(EntityDelete), Some(EntityDelete)),
        ] {
            let change = change(before, after);
            let action = |drafts| Event::of("message", &types["message"], &change, drafts).map(|event| event.action);
            assert_eq!((action(false), action(true)), (quiet, told), "{change:?}");
        }
    }
}
