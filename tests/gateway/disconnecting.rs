//! A user disconnects: immediately in the gateway, and with retries until OwnerRez has revoked the tokens.

use std::{pin::pin, time::Duration};

use chrono::TimeDelta;
use futures_util::future::{join, join_all};
use ownerrez_gateway::simulator::Rule;
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::json;

use crate::world::{Browser, Gateway, Person, TestDatabase, eventually, on_each_database, on_postgres};

const REVOKE: &str = "DELETE /oauth/access_token/{token}";

#[actix_web::test]
async fn the_connection_goes_at_once_and_the_grant_soon() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.connected_user("Bob").await);
        let gone = alice.delete("/api/connect/ownerrez").await;
        assert_eq!((gone.status, &gone.body["disconnected"]), (200, &json!(true)));
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.body["connected"], json!(false));
        assert!(!alice.call("list_properties", json!({})).await.is_ok());

        gateway.ownerrez().wait_for(REVOKE, 1).await;
        pending(database, 0).await;
        let again = alice.delete("/api/connect/ownerrez").await;
        assert_eq!((again.status, &again.body["disconnected"]), (200, &json!(false)));
        bob.call("list_properties", json!({})).await.ok();

        let account = alice.account.unwrap();
        alice.connect(&gateway, account).await.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn revoking_is_tried_again_with_growing_pauses_and_given_up_in_the_end() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().script(Rule::on(REVOKE).always().reply(500, json!({})));
        alice.delete("/api/connect/ownerrez").await;
        gateway.ownerrez().wait_for(REVOKE, 1).await;

        let background_jobs = async || gateway.app().sessions().run_background_jobs().await;
        background_jobs().await;
        assert_eq!(gateway.ownerrez().count(REVOKE), 1, "not before a minute has passed");
        gateway.advance(TimeDelta::minutes(1));
        background_jobs().await;
        eventually("the second attempt", async || (gateway.ownerrez().count(REVOKE) == 2).then_some(())).await;
        gateway.advance(TimeDelta::minutes(1));
        background_jobs().await;
        assert_eq!(gateway.ownerrez().count(REVOKE), 2, "the pause grows");
        for _ in 0..20 {
            gateway.advance(TimeDelta::hours(7));
            background_jobs().await;
        }
        pending(database, 0).await;
        assert_eq!(gateway.ownerrez().count(REVOKE), 16);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_restart_loses_neither_step_and_a_token_that_is_gone_counts_as_revoked() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().script(Rule::on(REVOKE).reset());
        alice.delete("/api/connect/ownerrez").await;
        gateway.ownerrez().wait_for(REVOKE, 1).await;
        pending(database, 1).await;
        gateway.ownerrez().revoke_account_grants(alice.account.unwrap());

        let gateway = gateway.restart().await;
        gateway.advance(TimeDelta::minutes(2));
        gateway.app().sessions().run_background_jobs().await;
        pending(database, 0).await;
        assert_eq!(gateway.ownerrez().requests_to(REVOKE).last().unwrap().status, Some(404));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_call_that_runs_gets_its_answer_and_the_next_one_does_not() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold("GET /v2/properties");
        let call = alice.call("list_properties", json!({}));
        let disconnect = async {
            held.wait_arrived(1).await;
            let twin = alice.clone();
            assert_eq!(twin.delete("/api/connect/ownerrez").await.body["disconnected"], json!(true));
            held.release();
        };
        let (answer, ()) = join(call, disconnect).await;
        answer.ok();
        assert!(!alice.call("list_properties", json!({})).await.is_ok());
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_call_that_ownerrez_refuses_meanwhile_is_told_of_the_disconnect() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().revoke_account_grants(alice.account.unwrap());
        let held = gateway.ownerrez().hold("POST /oauth/access_token");
        let call = alice.call("list_properties", json!({}));
        let disconnect = async {
            held.wait_arrived(1).await;
            alice.delete("/api/connect/ownerrez").await;
            held.release();
        };
        let (answer, ()) = join(call, disconnect).await;
        let words = answer.refused();
        assert!(words.starts_with("No OwnerRez account is connected"), "{words}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn calls_that_wait_behind_a_running_one_are_told_that_nothing_is_connected() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold("GET /v2/properties");
        let twins = [alice.clone(), alice.clone()];
        let calls = join_all(twins.iter().map(|twin| twin.call("list_properties", json!({}))));
        let disconnect = async {
            held.wait_arrived(1).await;
            alice.delete("/api/connect/ownerrez").await;
            held.release();
        };
        let (answers, ()) = join(calls, disconnect).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert_eq!(gateway.ownerrez().count("GET /v2/properties"), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_user_does_not_wait_for_ownerrez_to_hear_of_it() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold(REVOKE);
        let gone = alice.delete("/api/connect/ownerrez").await;
        assert_eq!((gone.status, &gone.body["disconnected"]), (200, &json!(true)));
        held.wait_arrived(1).await;
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.body["connected"], json!(false));

        // She connects again before OwnerRez has received the revocation: the old grant ends, the new one stays.
        let account = alice.account.unwrap();
        let alice = alice.connect(&gateway, account).await;
        held.release();
        pending(database, 0).await;
        alice.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_disconnect_waits_for_a_connection_that_is_being_stored() {
    on_postgres(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let held = gateway.ownerrez().hold("POST /oauth/access_token");
        let mut browser = Browser::new();
        let disconnect = async {
            held.wait_arrived(1).await;
            disconnect_while_storing(&alice, database, || held.release()).await;
        };
        let (page, ()) = join(alice.connect_in(&mut browser, &gateway, account), disconnect).await;
        assert_eq!(page.status, 200, "{}", page.body);
        gateway.ownerrez().wait_for(REVOKE, 1).await;
        pending(database, 0).await;
        gateway.stop().await;
    })
    .await;
}

/// Disconnects while the gateway stores a new connection: another transaction locks the row that it needs, and `store`
/// lets the gateway begin to store it.
pub(crate) async fn disconnect_while_storing(person: &Person, database: &TestDatabase, store: impl FnOnce()) {
    let other = database.open_alone().await;
    let other = other.begin().await.unwrap();
    other.execute_unprepared("SELECT id FROM users FOR UPDATE").await.unwrap();
    store();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the connection is being stored", async || (database.number(waiting).await == 1).then_some(())).await;
    let twin = person.clone();
    let mut gone = pin!(twin.delete("/api/connect/ownerrez"));
    let early = actix_rt::time::timeout(Duration::from_millis(300), &mut gone).await.ok();
    assert!(early.is_none(), "answered too early: {}", early.unwrap().body);
    other.rollback().await.unwrap();
    let gone = gone.await;
    assert_eq!((gone.status, &gone.body["disconnected"]), (200, &json!(true)));
    assert_eq!(person.get("/api/connect/ownerrez/status").await.body["connected"], json!(false));
}

#[actix_web::test]
async fn a_token_is_not_revoked_while_its_user_may_depend_on_the_grant_again() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let account = alice.account.unwrap();
        gateway.ownerrez().script(Rule::on(REVOKE).reply(500, json!({})));
        alice.delete("/api/connect/ownerrez").await;
        attempted(database).await;
        let alice = alice.connect(&gateway, account).await;
        for now in ["user_id_ownerrez = user_id_ownerrez", "user_id_ownerrez = NULL"] {
            database.execute(&format!("UPDATE ownerrez_connections SET {now}")).await;
            gateway.advance(TimeDelta::minutes(5));
            gateway.app().sessions().run_background_jobs().await;
            assert_eq!(gateway.ownerrez().count(REVOKE), 1, "{now}");
            alice.call("list_properties", json!({})).await.ok();
        }
        // A task that an older version stored names no account.
        database.execute("UPDATE pending_revocations SET account = NULL").await;
        gateway.advance(TimeDelta::minutes(10));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count(REVOKE), 1, "an unknown account");

        // The next disconnect ends both.
        alice.delete("/api/connect/ownerrez").await;
        pending(database, 1).await;
        gateway.advance(TimeDelta::minutes(20));
        gateway.app().sessions().run_background_jobs().await;
        pending(database, 0).await;
        assert_eq!(gateway.ownerrez().count(REVOKE), 3);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_connection_that_depends_on_no_grant_of_the_account_delays_nothing() {
    on_each_database(async |database| {
        for other in ["token_type = 'basic'", "user_id_ownerrez = 1", "rejected_at = updated_at"] {
            let gateway = Gateway::start(database).await;
            let alice = gateway.connected_user("Alice").await;
            gateway.ownerrez().script(Rule::on(REVOKE).reply(500, json!({})));
            alice.delete("/api/connect/ownerrez").await;
            attempted(database).await;
            let account = alice.account.unwrap();
            alice.connect(&gateway, account).await;
            database.execute(&format!("UPDATE ownerrez_connections SET {other}")).await;
            gateway.advance(TimeDelta::minutes(1));
            gateway.app().sessions().run_background_jobs().await;
            pending(database, 0).await;
            assert_eq!(gateway.ownerrez().count(REVOKE), 2, "{other}");
            database.execute("DELETE FROM users").await;
            gateway.stop().await;
        }
    })
    .await;
}

#[actix_web::test]
async fn what_one_user_ends_is_not_revoked_while_another_is_connected_to_the_account() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.user("Bob").await.connect(&gateway, alice.account.unwrap()).await;
        assert_eq!(alice.delete("/api/connect/ownerrez").await.body["disconnected"], json!(true));
        for _ in 0..20 {
            gateway.app().sessions().run_background_jobs().await;
            gateway.advance(TimeDelta::hours(7));
        }
        pending(database, 0).await;
        assert_eq!(gateway.ownerrez().count(REVOKE), 0);
        bob.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn of_many_disconnects_at_once_one_does_it() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let twins = [alice.clone(), alice.clone(), alice.clone(), alice.clone()];
        let replies = join_all(twins.iter().map(|twin| twin.delete("/api/connect/ownerrez"))).await;
        assert!(replies.iter().all(|reply| reply.status == 200));
        assert_eq!(replies.iter().filter(|reply| reply.body["disconnected"] == json!(true)).count(), 1);
        pending(database, 0).await;
        assert_eq!(gateway.ownerrez().count(REVOKE), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_rejected_connection_can_be_ended_as_well() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().revoke_account_grants(alice.account.unwrap());
        alice.call("list_properties", json!({})).await.refused();

        let gone = alice.delete("/api/connect/ownerrez").await;
        assert_eq!((gone.status, &gone.body["disconnected"]), (200, &json!(true)));
        let status = alice.get("/api/connect/ownerrez/status").await.body;
        assert_eq!((&status["connected"], &status["needs_reconnect"]), (&json!(false), &json!(false)));
        pending(database, 0).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn without_a_connection_the_endpoints_say_so() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let gone = alice.delete("/api/connect/ownerrez").await;
        assert_eq!((gone.status, &gone.body["disconnected"]), (200, &json!(false)));
        let test = alice.get("/api/connect/ownerrez/test").await;
        assert_eq!((test.status, test.error()), (409, "not_connected"));
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.body["ownerrez_user_id"], json!(null));
        assert!(gateway.ownerrez().requests().is_empty(), "OwnerRez was not troubled");
        gateway.stop().await;
    })
    .await;
}

/// Waits until a revocation has failed once.
async fn attempted(database: &TestDatabase) {
    eventually("an attempt to revoke", async || {
        (database.number("SELECT count(*) FROM pending_revocations WHERE attempts = 1").await == 1).then_some(())
    })
    .await;
}

async fn pending(database: &TestDatabase, wanted: i64) {
    eventually("the revocations that wait", async || {
        (database.number("SELECT count(*) FROM pending_revocations").await == wanted).then_some(())
    })
    .await;
}
