//! A user disconnects: at once here, and until it is done at OwnerRez.

use chrono::TimeDelta;
use futures_util::future::join;
use ownerrez_gateway::sandbox::Rule;
use serde_json::json;

use crate::world::{Gateway, TestDatabase, eventually, on_each_database};

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

        let chores = async || gateway.app().sessions().do_chores().await;
        chores().await;
        assert_eq!(gateway.ownerrez().count(REVOKE), 1, "not before a minute has passed");
        gateway.advance(TimeDelta::minutes(1));
        chores().await;
        eventually("the second attempt", async || (gateway.ownerrez().count(REVOKE) == 2).then_some(())).await;
        gateway.advance(TimeDelta::minutes(1));
        chores().await;
        assert_eq!(gateway.ownerrez().count(REVOKE), 2, "the pause grows");
        for _ in 0..20 {
            gateway.advance(TimeDelta::hours(7));
            chores().await;
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
        gateway.app().sessions().do_chores().await;
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

async fn pending(database: &TestDatabase, wanted: i64) {
    eventually("the revocations that wait", async || {
        (database.number("SELECT count(*) FROM pending_revocations").await == wanted).then_some(())
    })
    .await;
}
