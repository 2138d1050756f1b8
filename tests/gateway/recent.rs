//! Data that rarely changes is requested once in five minutes, per user, and cached only while the user is connected.

use chrono::TimeDelta;
use serde_json::json;

use crate::world::{Gateway, Settings, on_each_database};

const PROPERTIES: &str = "GET /v2/properties";

fn remembering() -> Settings {
    Settings::default().tune(|config| config.sessions.recent_answers_bytes = 1 << 20)
}

#[actix_web::test]
async fn the_same_question_costs_one_request_in_five_minutes() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, remembering()).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        let first = alice.call("list_properties", json!({})).await.ok();
        for _ in 0..3 {
            assert_eq!(alice.call("list_properties", json!({})).await.ok(), first);
        }
        assert_eq!(gateway.ownerrez().count(PROPERTIES), 1);
        assert_ne!(bob.call("list_properties", json!({})).await.ok(), first, "to each their own");
        alice.call("list_properties", json!({"limit": 1})).await.ok();
        assert_eq!(gateway.ownerrez().count(PROPERTIES), 3, "another question");

        gateway.app().sessions().observe_allowance().await;
        gateway.advance(TimeDelta::minutes(5));
        assert_eq!(alice.call("list_properties", json!({})).await.ok(), first);
        assert_eq!(gateway.ownerrez().count(PROPERTIES), 4);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_changes_is_asked_each_time() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, remembering()).await;
        let alice = gateway.connected_user("Alice").await;
        let since = json!({"since_utc": "2000-01-01T00:00:00Z"});
        let free = json!({"availability_start_date": "2026-09-01", "availability_end_date": "2026-09-03"});
        for _ in 0..2 {
            alice.call("list_bookings", since.clone()).await.ok();
            alice.call("list_properties", free.clone()).await.ok();
        }
        assert_eq!(gateway.ownerrez().count("GET /v2/bookings"), 2);
        assert_eq!(gateway.ownerrez().count(PROPERTIES), 2);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_change_by_the_user_ends_what_was_remembered() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, remembering()).await;
        let alice = gateway.connected_user("Alice").await;
        let before = alice.call("list_tag_definitions", json!({"limit": 100})).await.ok();
        alice.call("create_tag_definition", json!({"name": "quiet"})).await.ok();
        let after = alice.call("list_tag_definitions", json!({"limit": 100})).await.ok();
        assert_eq!(after["items"].as_array().unwrap().len(), before["items"].as_array().unwrap().len() + 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn nothing_outlives_the_connection_wherever_it_ended() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, remembering()).await;
        let alice = gateway.connected_user("Alice").await;
        alice.call("list_properties", json!({})).await.ok();
        alice.delete("/api/connect/ownerrez").await;
        assert!(alice.call("list_properties", json!({})).await.refused().contains("No OwnerRez account is connected"));

        // A connection to another account has a separate cache.
        let other = gateway.ownerrez().add_account("Annex").id;
        let alice = alice.connect(&gateway, other).await;
        let annex = alice.call("list_properties", json!({})).await.ok();
        assert!(annex.to_string().contains("Annex"), "{annex}");

        // The connection is deleted in the database from outside: OwnerRez decides whether this session's token is
        // still valid.
        gateway.ownerrez().clear_requests();
        database.execute("DELETE FROM ownerrez_connections").await;
        alice.call("list_properties", json!({})).await;
        assert_eq!(gateway.ownerrez().count(PROPERTIES), 1, "nothing was taken from memory");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_answer_says_how_many_requests_it_really_took() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, remembering()).await;
        let alice = gateway.connected_user("Alice").await;
        let first = alice.call("who_is_staying", json!({})).await.ok();
        gateway.ownerrez().clear_requests();
        let second = alice.call("who_is_staying", json!({})).await.ok();
        assert_eq!(second["requests_used"], json!(gateway.ownerrez().count("* /v2/*")));
        assert!(second["requests_used"].as_u64() < first["requests_used"].as_u64(), "{second}");
        assert_eq!(second["in_house"], first["in_house"]);
        gateway.stop().await;
    })
    .await;
}
