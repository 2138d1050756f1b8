//! Disturbances of webhooks: by the variations of an account, and by rules.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    Fixture,
    receiver::Receiver,
    webhooks::{deliveries, guest, members, send, subscribe},
};
use crate::simulator::{DeliveryState, Variation, WebhookAction, WebhookFault, WebhookRule};

/// Starts a simulator whose first account has one variation, with a receiver of new and changed guests.
async fn with(variation: Option<Variation>) -> (Fixture, Receiver) {
    let fixture = Fixture::start().await;
    let receiver = Receiver::start();
    for action in ["entity_create", "entity_update"] {
        subscribe(&fixture, "guest", action, &receiver.url).await;
    }
    fixture.controls().vary(fixture.first().id, |now| {
        variation.into_iter().for_each(|variation| now.set(variation, true));
    });
    (fixture, receiver)
}

async fn guests(fixture: &Fixture, count: usize) {
    for number in 1..=count {
        guest(fixture, &number.to_string()).await;
    }
    fixture.controls().webhooks_settled().await;
}

/// Returns the names of the guests in the received webhooks, in order of arrival.
fn names(receiver: &Receiver) -> Vec<String> {
    let name = |entity: Value| entity["first_name"].as_str().unwrap_or_default().to_owned();
    receiver.each("entity").into_iter().map(name).collect()
}

fn states(fixture: &Fixture) -> Vec<DeliveryState> {
    deliveries(fixture).iter().map(|delivery| delivery.state).collect()
}

#[actix_web::test]
async fn without_variations_each_comes_once_in_order() {
    let (fixture, receiver) = with(None).await;
    guests(&fixture, 4).await;
    assert_eq!(names(&receiver), ["1", "2", "3", "4"]);
}

#[actix_web::test]
async fn webhooks_repeated() {
    let (fixture, receiver) = with(Some(Variation::WebhooksRepeated)).await;
    guests(&fixture, 4).await;
    assert_eq!(names(&receiver), ["1", "2", "2", "3", "4", "4"]);
    let ids = receiver.each("id");
    assert!(ids[1] == ids[2] && ids[4] == ids[5] && ids[0] != ids[1], "{ids:?}");
}

#[actix_web::test]
async fn webhooks_out_of_order() {
    let (fixture, receiver) = with(Some(Variation::WebhooksOutOfOrder)).await;
    guests(&fixture, 4).await;
    assert_eq!(names(&receiver), ["1", "3"]);
    fixture.clock.advance(TimeDelta::seconds(29));
    fixture.controls().webhooks_settled().await;
    assert_eq!(names(&receiver).len(), 2);
    fixture.clock.advance(TimeDelta::seconds(1));
    fixture.controls().webhooks_settled().await;
    assert_eq!(names(&receiver), ["1", "3", "2", "4"]);
}

#[actix_web::test]
async fn webhooks_without_entity() {
    let (fixture, receiver) = with(Some(Variation::WebhooksWithoutEntity)).await;
    let made = guest(&fixture, "Ann").await;
    send(&fixture, "PATCH", &format!("/v2/guests/{}", made["id"]), json!({"first_name": "Bo"})).await;
    fixture.controls().webhooks_settled().await;
    let bodies = receiver.bodies();
    assert_eq!(bodies.len(), 2);
    for body in bodies {
        assert_eq!((body.get("entity"), &body["entity_id"]), (None, &made["id"]));
    }
}

#[actix_web::test]
async fn webhooks_missed() {
    let (fixture, receiver) = with(Some(Variation::WebhooksMissed)).await;
    guests(&fixture, 4).await;
    fixture.clock.advance(TimeDelta::days(20));
    fixture.controls().webhooks_settled().await;
    assert_eq!(names(&receiver), ["1", "2", "4"]);
    use DeliveryState::{Delivered, Missed};
    assert_eq!(states(&fixture), [Delivered, Delivered, Missed, Delivered]);
    let kept = fixture.controls().records(fixture.first().id, "guests");
    assert!(kept.iter().any(|guest| guest["first_name"] == "3"), "the record is there");
}

#[actix_web::test]
async fn webhooks_stop() {
    let (fixture, receiver) = with(Some(Variation::WebhooksStop)).await;
    let listed = async || {
        let page = fixture.get("/v2/webhooksubscriptions?limit=100").await.body;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        items.into_iter().filter(|one| one["webhook_url"] == receiver.url.as_str()).collect::<Vec<_>>()
    };
    guests(&fixture, 1).await;
    fixture.clock.advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
    guests(&fixture, 2).await;
    let before = listed().await;
    fixture.clock.advance(TimeDelta::seconds(1));
    guests(&fixture, 3).await;
    assert_eq!(names(&receiver), ["1", "1", "2"]);
    assert_eq!(states(&fixture).last(), Some(&DeliveryState::Stopped));
    assert_eq!(listed().await, before, "listed as before");
    // Deleting the subscription and creating it again helps. Missed events are not sent later.
    for one in &before {
        send(&fixture, "DELETE", &format!("/v2/webhooksubscriptions/{}", one["id"]), Value::Null).await;
    }
    subscribe(&fixture, "guest", "entity_create", &receiver.url).await;
    guests(&fixture, 1).await;
    assert_eq!(names(&receiver), ["1", "1", "2", "1"]);
}

#[actix_web::test]
async fn webhook_drafts() {
    let (fixture, receiver) = with(None).await;
    let (controls, account) = (fixture.controls(), fixture.first().id);
    for action in ["entity_create", "entity_update"] {
        subscribe(&fixture, "message", action, &receiver.url).await;
    }
    let thread = controls.records(account, "threads")[0]["id"].clone();
    let write = async |text: &str| {
        let draft = json!({"thread_id": thread, "body": text, "is_draft": true, "from_role": "owner"});
        let id = controls.put_record(account, "messages", members(draft)).expect("a message");
        controls.put_record(account, "messages", members(json!({"id": id, "is_draft": false})));
        controls.webhooks_settled().await;
    };
    write("Quiet").await;
    assert_eq!(receiver.each("action"), ["entity_create"], "once it is sent");
    controls.vary(account, |now| now.set(Variation::WebhookDrafts, true));
    write("Loud").await;
    assert_eq!(receiver.each("action"), ["entity_create", "entity_create", "entity_update"]);
    let drafts: Vec<Value> = receiver.each("entity").into_iter().map(|entity| entity["is_draft"].clone()).collect();
    assert_eq!(drafts, [json!(false), json!(true), json!(false)]);
}

#[actix_web::test]
async fn rules_order_each_trouble() {
    let (fixture, receiver) = with(None).await;
    let controls = fixture.controls();
    for (fault, arrived) in [
        (WebhookFault::Miss, vec!["2"]),
        (WebhookFault::Repeat, vec!["1", "1", "2"]),
        (WebhookFault::Delay(30.0), vec!["2", "1"]),
        (WebhookFault::WithoutEntity, vec!["", "2"]),
    ] {
        let told = receiver.bodies().len();
        controls.script_webhooks(WebhookRule::new(fault).of_type("guest").account(fixture.first().id));
        guests(&fixture, 2).await;
        fixture.clock.advance(TimeDelta::seconds(30));
        controls.webhooks_settled().await;
        assert_eq!(names(&receiver).split_off(told), arrived, "{fault:?}");
    }
    // A rule changes only matching deliveries; clearing the rules removes it.
    let told = receiver.bodies().len();
    controls.script_webhooks(WebhookRule::new(WebhookFault::Miss).action(WebhookAction::EntityUpdate).always());
    let made = guest(&fixture, "1").await;
    let path = format!("/v2/guests/{}", made["id"]);
    send(&fixture, "PATCH", &path, json!({"first_name": "2"})).await;
    controls.clear_rules();
    send(&fixture, "PATCH", &path, json!({"first_name": "3"})).await;
    controls.webhooks_settled().await;
    assert_eq!(names(&receiver).split_off(told), ["1", "3"]);
    // A stopped subscription stays stopped.
    let told = receiver.bodies().len();
    controls.script_webhooks(
        WebhookRule::new(WebhookFault::Stop).of_type("guest").action(WebhookAction::EntityCreate).times(2),
    );
    guests(&fixture, 3).await;
    assert_eq!(names(&receiver).len(), told);
    use DeliveryState::Stopped;
    assert_eq!(states(&fixture).split_off(states(&fixture).len() - 3), [Stopped; 3]);
    send(&fixture, "PATCH", &path, json!({"first_name": "4"})).await;
    controls.webhooks_settled().await;
    assert_eq!(names(&receiver).last().map(String::as_str), Some("4"), "the other subscription goes on");
}
