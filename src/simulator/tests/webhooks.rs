//! Webhooks as documented: content, receivers, credentials and retries.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::{Fixture, basic, ids, receiver::Receiver};
use crate::{
    domain::AccountId,
    simulator::{Delivery, DeliveryOutcome, DeliveryState, WebhookApp},
};

pub(super) const ACTIONS: [&str; 3] = ["entity_create", "entity_update", "entity_delete"];
/// Each type with its name in deliveries and the collection of its records.
const TYPES: [(&str, &str, &str); 8] = [
    ("booking", "booking", "bookings"),
    ("discount", "discount", "discounts"),
    ("guest", "guest", "guests"),
    ("inquiry", "inquiry", "inquiries"),
    ("message", "thread_message", "messages"),
    ("property", "property", "properties"),
    ("quote", "quote", "quotes"),
    ("surcharge", "surcharge", "surcharges"),
];

pub(super) async fn send(fixture: &Fixture, method: &str, target: &str, body: Value) -> Value {
    let authorization = fixture.bearer(fixture.first().id);
    let answer = fixture.send(method, target, &authorization, (!body.is_null()).then_some(body)).await;
    assert!((200..300).contains(&answer.status), "{method} {target}: {} {}", answer.status, answer.body);
    answer.body
}

pub(super) async fn subscribe(fixture: &Fixture, kind: &str, action: &str, url: &str) -> i64 {
    let body = json!({"type": kind, "action": action, "webhook_url": url});
    send(fixture, "POST", "/v2/webhooksubscriptions", body).await["id"].as_i64().expect("an id")
}

pub(super) fn members(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

/// Creates a guest of the first account through the API.
pub(super) async fn guest(fixture: &Fixture, name: &str) -> Value {
    send(fixture, "POST", "/v2/guests", json!({"first_name": name})).await
}

/// Returns the deliveries to addresses of this machine; the accounts have subscriptions to other addresses, too.
pub(super) fn deliveries(fixture: &Fixture) -> Vec<Delivery> {
    let mut all = fixture.controls().deliveries();
    all.retain(|delivery| delivery.state != DeliveryState::Outside);
    all
}

fn outcomes(delivery: &Delivery) -> Vec<DeliveryOutcome> {
    delivery.attempts.iter().map(|attempt| attempt.outcome).collect()
}

#[actix_web::test]
async fn each_type_tells_of_each_action_in_the_documented_envelope() {
    let fixture = Fixture::start().await;
    let (controls, account) = (fixture.controls(), fixture.first().id);
    let receiver = Receiver::start();
    for (kind, _, _) in TYPES {
        for action in ACTIONS {
            subscribe(&fixture, kind, action, &receiver.url).await;
        }
    }
    let thread = controls.records(account, "threads")[0]["id"].clone();
    let mut told = 0;
    for (kind, entity_type, collection) in TYPES {
        let first = json!({"name": "One", "thread_id": thread, "arrival": "2028-03-01", "body": "Hello"});
        let id = controls.put_record(account, collection, members(first)).expect("a new record");
        let change = json!({"id": id, "name": "Two", "body": "Hello again", "notes": "n", "first_name": "Ann"});
        assert_eq!(controls.put_record(account, collection, members(change)), Some(id));
        assert!(controls.remove_record(account, collection, id));
        controls.webhooks_settled().await;

        let bodies = receiver.bodies().split_off(told);
        told += bodies.len();
        assert_eq!(bodies.len(), 3, "{kind}");
        for (body, action) in bodies.iter().zip(ACTIONS) {
            let mut expected = vec!["action", "entity_id", "entity_type", "id", "user_id"];
            expected.extend((action == "entity_update").then_some("categories"));
            expected.extend((action != "entity_delete").then_some("entity"));
            let names: BTreeSet<&str> = body.as_object().expect("an object").keys().map(String::as_str).collect();
            assert_eq!(names, expected.into_iter().collect(), "{kind} {action}");
            assert_eq!((&body["action"], &body["entity_type"]), (&json!(action), &json!(entity_type)));
            assert_eq!((&body["entity_id"], &body["user_id"]), (&json!(id), &json!(account.0)));
            assert!(body["id"].as_str().is_some_and(|id| uuid::Uuid::parse_str(id).is_ok()), "{body}");
            if action != "entity_delete" {
                assert_eq!(body["entity"]["id"], json!(id), "{kind} {action}");
                let own = body["entity"].as_object().into_iter().flatten().find(|(name, _)| name.starts_with('_'));
                assert_eq!(own, None, "{kind}: what serves the simulator only");
            }
        }
    }
    let delivery_ids: BTreeSet<String> = receiver.each("id").iter().map(Value::to_string).collect();
    assert_eq!(delivery_ids.len(), 24);
    assert!(deliveries(&fixture).iter().all(|delivery| delivery.state == DeliveryState::Delivered));
}

#[actix_web::test]
async fn writes_through_the_api_set_webhooks_off() {
    let fixture = Fixture::start().await;
    let receiver = Receiver::start();
    for kind in ["booking", "guest", "message", "quote", "discount", "surcharge"] {
        for action in ACTIONS {
            subscribe(&fixture, kind, action, &receiver.url).await;
        }
    }
    let property = ids(&fixture.get("/v2/properties?active=true").await.body)[0];
    let thread = fixture.get("/v2/inquiries?limit=1").await.body["items"][0]["thread_ids"][0].clone();
    let created = guest(&fixture, "Ann").await;
    let path = format!("/v2/guests/{}", created["id"]);
    let with_phone = send(&fixture, "PATCH", &path, json!({"phones": [{"number": "1"}]})).await;
    let as_read = fixture.get(&path).await.body;
    send(&fixture, "DELETE", &format!("{path}/phones/{}", with_phone["phones"][0]["id"]), Value::Null).await;
    let block = json!({"property_id": property, "is_block": true, "arrival": "2028-02-01", "departure": "2028-02-05"});
    let block = send(&fixture, "POST", "/v2/bookings", block).await;
    send(&fixture, "PATCH", &format!("/v2/bookings/{}", block["id"]), json!({"departure": "2028-02-06"})).await;
    let quote = json!({"property_id": property, "guest_id": created["id"], "arrival": "2028-03-01",
        "departure": "2028-03-09", "hold_dates": true});
    let quote = send(&fixture, "POST", "/v2/quotes", quote).await;
    send(&fixture, "DELETE", &format!("/v2/quotes/{}", quote["id"]), Value::Null).await;
    send(&fixture, "POST", "/v2/messages", json!({"thread_id": thread, "body": "Hello"})).await;
    for kind in ["discounts", "surcharges"] {
        let made = send(&fixture, "POST", &format!("/v2/{kind}"), json!({"name": "Early"})).await;
        let path = format!("/v2/{kind}/{}", made["id"]);
        send(&fixture, "PATCH", &path, json!({"name": "Late"})).await;
        send(&fixture, "DELETE", &path, Value::Null).await;
    }
    send(&fixture, "DELETE", &path, Value::Null).await;
    fixture.controls().webhooks_settled().await;

    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told: Vec<String> = receiver
        .bodies()
        .iter()
        .map(|body| format!("{} {}", word(&body["entity_type"]), word(&body["action"]).replace("entity_", "")))
        .collect();
    let expected = [
        "guest create",
        "guest update",
        "guest update",
        "booking create",
        "booking update",
        // The hold of the quote's dates.
        "booking create",
        "quote create",
        "quote delete",
        "booking delete",
        "thread_message create",
        "discount create",
        "discount update",
        "discount delete",
        "surcharge create",
        "surcharge update",
        "surcharge delete",
        "guest delete",
    ];
    assert_eq!(told, expected);
    let bodies = receiver.bodies();
    assert_eq!(bodies[1]["entity"], as_read, "the record as a read answers it");
    assert_eq!((&bodies[3]["entity"]["type"], &bodies[4]["categories"]), (&json!("block"), &json!(["availability"])));
    assert_eq!(bodies[9]["entity"]["thread"]["id"], thread);
    // A rejected write sends no webhook.
    let authorization = fixture.bearer(fixture.first().id);
    assert_eq!(fixture.send("PATCH", &path, &authorization, Some(json!({"first_name": "Bo"}))).await.status, 404);
    fixture.controls().webhooks_settled().await;
    assert_eq!(receiver.bodies().len(), expected.len());
}

#[actix_web::test]
async fn a_category_narrows_updates_and_another_account_is_not_told() {
    let fixture = Fixture::start().await;
    let (controls, account) = (fixture.controls(), fixture.first().id);
    let receiver = Receiver::start();
    let body = json!({"type": "Booking", "action": "EntityUpdate", "category": "financial",
        "webhook_url": receiver.url});
    send(&fixture, "POST", "/v2/webhooksubscriptions", body).await;
    let booking = controls.records(account, "bookings")[0]["id"].clone();
    for change in [json!({"arrival": "2028-04-01"}), json!({"total_paid": 17.5}), json!({"title": "Quiet"})] {
        let mut change = members(change);
        change.insert("id".to_owned(), booking.clone());
        controls.put_record(account, "bookings", change);
    }
    let other = controls.accounts()[1].id;
    let theirs = controls.records(other, "bookings")[0]["id"].clone();
    controls.put_record(other, "bookings", members(json!({"id": theirs, "total_paid": 17.5})));
    controls.webhooks_settled().await;
    assert_eq!(receiver.each("categories"), [json!(["financial"])]);
    assert_eq!(receiver.bodies()[0]["entity"]["total_paid"], 17.5);
}

#[actix_web::test]
async fn deliveries_are_json_posts_with_the_credentials_of_the_app() {
    let fixture = Fixture::start().await;
    let receiver = Receiver::start();
    let subscription = subscribe(&fixture, "guest", "entity_create", &receiver.url).await;
    guest(&fixture, "Ann").await;
    fixture.controls().webhooks_settled().await;
    let app = WebhookApp { url: None, user: "me".to_owned(), password: "p:w".into() };
    fixture.controls().set_webhook_app(app);
    guest(&fixture, "Bo").await;
    fixture.controls().webhooks_settled().await;
    let received = receiver.received();
    for (received, authorization) in received.iter().zip([basic("webhooks_sandbox", "wp_sandbox"), basic("me", "p:w")])
    {
        assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/hook"));
        assert_eq!((&received.authorization, received.content_type.as_str()), (&authorization, "application/json"));
    }
    assert_eq!(received.len(), 2);
    let log = deliveries(&fixture);
    assert_eq!((log[0].subscription, outcomes(&log[0])), (Some(subscription), vec![DeliveryOutcome::Answered(204)]));
    let log = serde_json::to_string(&log).expect("a log");
    assert!(!log.contains("wp_sandbox") && !log.contains("p:w"), "{log}");
}

#[actix_web::test]
async fn the_address_of_the_app_gets_what_no_subscription_overrides() {
    let fixture = Fixture::start().await;
    let controls = fixture.controls();
    // The subscription is for bookings only.
    let account = controls.add_account("Two Houses").id;
    let receiver = Receiver::start();
    controls.set_webhook_app(WebhookApp { url: Some(receiver.url.clone()), ..WebhookApp::default() });
    controls.put_record(account, "guests", members(json!({"first_name": "Ann"})));
    controls.put_record(account, "bookings", members(json!({"arrival": "2028-04-01"})));
    controls.revoke_account_grants(account);
    controls.send_test_webhook();
    controls.webhooks_settled().await;
    let bodies = receiver.bodies();
    assert_eq!(
        receiver.each("action"),
        ["entity_create", "application_authorization_revoked", "webhook_test"],
        "nothing about the booking"
    );
    let without_id = |body: &Value| {
        let mut body = body.clone();
        body.as_object_mut().expect("an object").remove("id");
        body
    };
    assert_eq!(
        without_id(&bodies[1]),
        json!({"user_id": account.0, "action": "application_authorization_revoked", "entity_type": "api_application"})
    );
    assert_eq!(without_id(&bodies[2]), json!({"action": "webhook_test", "entity_type": "api_application"}));
    let test = deliveries(&fixture).pop().expect("the test");
    assert_eq!((test.account, test.subscription), (None, None));
}

#[actix_web::test]
async fn an_answer_has_two_seconds_and_what_fails_is_tried_again() {
    let fixture = Fixture::start().await;
    let controls = fixture.controls();
    let receiver = Receiver::start();
    subscribe(&fixture, "guest", "entity_create", &receiver.url).await;
    receiver.answer(None);
    guest(&fixture, "Ann").await;
    receiver.wait(1).await;
    fixture.clock.advance(TimeDelta::milliseconds(1999));
    assert!(deliveries(&fixture)[0].attempts.is_empty());
    fixture.clock.advance(TimeDelta::milliseconds(1));
    controls.webhooks_settled().await;
    let delivery = deliveries(&fixture).remove(0);
    assert_eq!((delivery.state, outcomes(&delivery)), (DeliveryState::Waiting, vec![DeliveryOutcome::TimedOut]));
    receiver.answer(Some(302));
    fixture.clock.advance(TimeDelta::seconds(21));
    controls.webhooks_settled().await;
    // The simulator's own clock counts, too.
    controls.advance(TimeDelta::seconds(42));
    controls.webhooks_settled().await;
    let delivery = deliveries(&fixture).remove(0);
    assert_eq!(delivery.state, DeliveryState::Delivered);
    assert_eq!(
        outcomes(&delivery),
        [DeliveryOutcome::TimedOut, DeliveryOutcome::Answered(302), DeliveryOutcome::Answered(204)]
    );
    let bodies = receiver.bodies();
    assert!(bodies.len() == 3 && bodies.iter().all(|body| *body == bodies[0]), "the same, with the same id");
}

#[actix_web::test]
async fn ten_retries_come_ever_later_and_then_it_is_given_up() {
    let fixture = Fixture::start().await;
    let controls = fixture.controls();
    let receiver = Receiver::start();
    subscribe(&fixture, "guest", "entity_create", &receiver.url).await;
    (0..11).for_each(|_| receiver.answer(Some(503)));
    guest(&fixture, "Ann").await;
    for (tried, seconds) in (1..=11).map(|tried| (tried, 21 << (tried - 1))) {
        controls.webhooks_settled().await;
        assert_eq!(receiver.bodies().len(), tried as usize);
        fixture.clock.advance(TimeDelta::seconds(seconds - 1));
        controls.webhooks_settled().await;
        assert_eq!(receiver.bodies().len(), tried as usize, "not too early");
        fixture.clock.advance(TimeDelta::seconds(1));
    }
    fixture.clock.advance(TimeDelta::days(30));
    controls.webhooks_settled().await;
    let delivery = deliveries(&fixture).remove(0);
    assert_eq!(
        (delivery.state, outcomes(&delivery)),
        (DeliveryState::GivenUp, vec![DeliveryOutcome::Answered(503); 11])
    );
    assert_eq!(receiver.bodies().len(), 11);
}

#[actix_web::test]
async fn a_receiver_that_is_not_there_is_tried_again_and_a_hanging_one_holds_up_no_other() {
    let fixture = Fixture::start().await;
    let controls = fixture.controls();
    let closed = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        format!("http://{}/hook", listener.local_addr().expect("an address"))
    };
    subscribe(&fixture, "guest", "entity_create", &closed).await;
    guest(&fixture, "Ann").await;
    controls.webhooks_settled().await;
    let broken = deliveries(&fixture).remove(0);
    assert_eq!((broken.state, outcomes(&broken)), (DeliveryState::Waiting, vec![DeliveryOutcome::Broken]));

    let (hanging, prompt) = (Receiver::start(), Receiver::start());
    hanging.answer(None);
    for url in [&hanging.url, &prompt.url] {
        subscribe(&fixture, "booking", "entity_update", url).await;
    }
    let account = fixture.first().id;
    let booking = controls.records(account, "bookings")[0]["id"].clone();
    controls.put_record(account, "bookings", members(json!({"id": booking, "title": "Quiet"})));
    hanging.wait(1).await;
    prompt.wait(1).await;
    let log = deliveries(&fixture);
    let waits = log.iter().find(|delivery| delivery.url == hanging.url).expect("a delivery");
    assert!(waits.attempts.is_empty(), "{waits:?}");
}

#[actix_web::test]
async fn nothing_leaves_this_machine_and_a_reset_forgets_what_was_due() {
    let fixture = Fixture::start().await;
    let controls = fixture.controls();
    let receiver = Receiver::start();
    guest(&fixture, "Ann").await;
    let elsewhere = controls.deliveries();
    assert_eq!((elsewhere.len(), elsewhere[0].state), (1, DeliveryState::Outside));
    assert!(elsewhere[0].url.starts_with("https://heron-point.hooks.example/"), "{elsewhere:?}");

    subscribe(&fixture, "guest", "entity_create", &receiver.url).await;
    receiver.answer(None);
    guest(&fixture, "Bo").await;
    receiver.wait(1).await;
    controls.reset();
    controls.webhooks_settled().await;
    assert!(controls.deliveries().is_empty());
    fixture.clock.advance(TimeDelta::days(1));
    controls.webhooks_settled().await;
    assert_eq!((receiver.bodies().len(), controls.deliveries().len()), (1, 0));
}

#[actix_web::test]
async fn records_change_through_the_controls_and_reads_see_it() {
    let fixture = Fixture::start().await;
    let (controls, account) = (fixture.controls(), fixture.first().id);
    let booking = controls.records(account, "bookings")[0]["id"].clone();
    fixture.clock.advance(TimeDelta::hours(1));
    controls.put_record(account, "bookings", members(json!({"id": booking, "status": "canceled", "title": null})));
    let read = fixture.get(&format!("/v2/bookings/{booking}")).await.body;
    assert_eq!((&read["status"], &read["updated_utc"]), (&json!("canceled"), &json!("2026-11-23T13:00:00Z")));
    assert_eq!(read.get("title"), None);
    let changed = fixture.get("/v2/bookings?since_utc=2026-11-23T12:30:00Z").await.body;
    assert_eq!(ids(&changed), [booking.as_i64().expect("an id")]);
    assert_eq!(controls.put_record(account, "unknown", Map::new()), None);
    assert_eq!(controls.put_record(AccountId(1), "guests", Map::new()), None);
    assert!(!controls.remove_record(account, "guests", 1));
}

#[actix_web::test]
async fn drivers_in_other_languages_do_the_same_over_http() {
    let fixture = Fixture::start().await;
    let account = fixture.controls().add_account("Over HTTP").id;
    let receiver = Receiver::start();
    let control = async |method: &str, path: &str, body: Value| {
        let body = (!body.is_null()).then_some(body);
        fixture.send(method, &format!("/_control{path}"), "", body).await
    };
    let app = json!({"url": receiver.url, "user": "u", "password": "p"});
    assert_eq!(control("PUT", "/webhooks/app", app).await.status, 200);
    let rule = json!({"type": "guest", "action": "entity_update", "trouble": "miss"});
    assert_eq!(control("POST", "/webhooks/rules", rule).await.status, 200);
    assert_eq!(control("POST", "/webhooks/rules", json!({"trouble": "unknown"})).await.status, 400);
    let guests = format!("/accounts/{}/records/guests", account.0);
    let id = control("POST", &guests, json!({"first_name": "Ann"})).await.body["id"].clone();
    control("POST", &guests, json!({"id": id, "first_name": "Bo"})).await;
    let all = control("GET", &guests, Value::Null).await.body;
    assert!(all.as_array().expect("a list").iter().any(|guest| guest["id"] == id && guest["first_name"] == "Bo"));
    assert_eq!(control("DELETE", &format!("{guests}/{id}"), Value::Null).await.status, 200);
    assert_eq!(control("DELETE", &format!("{guests}/{id}"), Value::Null).await.status, 404);
    assert_eq!(control("POST", "/webhooks/test", Value::Null).await.status, 200);
    let log = control("GET", "/webhooks?settled=true", Value::Null).await.body;
    let states: Vec<&Value> = log.as_array().expect("a list").iter().map(|delivery| &delivery["state"]).collect();
    assert_eq!(states, ["delivered", "missed", "delivered", "delivered"]);
    assert_eq!(log[0]["attempts"][0]["outcome"], json!({"answered": 204}));
    assert_eq!(receiver.received()[0].authorization, basic("u", "p"));
    assert_eq!(control("DELETE", "/webhooks", Value::Null).await.status, 200);
    assert_eq!(control("GET", "/webhooks", Value::Null).await.body, json!([]));
}
