//! Whatever OwnerRez does, the model is told what happened and what to do next.

use chrono::TimeDelta;
use futures_util::future::join;
use ownerrez_gateway::sandbox::Rule;
use serde_json::{Value, json};

use crate::world::{Gateway, on_each_database};

const LIST: &str = "GET /v2/properties";

#[actix_web::test]
async fn refusals_reach_the_model_in_ownerrez_words_and_with_a_next_step() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let error = |code: &str| json!({"messages": ["Said by OwnerRez."], "code": code, "status_code": 0});
        let html = Value::String("<html><body>Bad gateway</body></html>".to_owned());
        for (status, body, expected) in [
            (400, error("validation_failed"), "Correct the arguments"),
            (402, error("messaging_not_enabled"), "Do not retry"),
            (403, error("ip_blocked"), "Do not retry"),
            (
                404,
                json!({"messages": ["Expected entity Guest:Id:1 not found."], "status": "not_found"}),
                "no such record",
            ),
            (405, json!({"error": {"code": "UnsupportedApiVersion"}}), "Do not retry"),
            (409, error("conflict"), "Read it again"),
            (422, error("validation_failed"), "Correct the arguments"),
            (418, json!(null), "Do not retry"),
            (500, error("oops"), "Try again"),
            (502, html, "Try again"),
            (302, json!(null), "Try again"),
        ] {
            gateway.ownerrez().clear_requests();
            gateway.ownerrez().script(Rule::on(LIST).reply(status, body.clone()).header("Location", "/v2/owners"));
            let text = alice.call("list_properties", json!({})).await.refused();
            assert!(text.contains(expected) && text.contains(&status.to_string()), "{status}: {text}");
            if body["code"].is_string() {
                assert!(text.contains("Said by OwnerRez.") && text.contains(body["code"].as_str().unwrap()), "{text}");
            }
            assert_eq!(gateway.ownerrez().requests().len(), 1, "nothing is repeated or followed");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn broken_answers_are_told_and_harm_nothing() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        for (rule, expected) in [
            (Rule::on(LIST).reset(), "Try again"),
            (Rule::on(LIST).lose_reply(), "Try again"),
            (Rule::on(LIST).invalid_json(), "Try again"),
            (Rule::on(LIST).giant_body(6 << 20), "Ask for less"),
        ] {
            gateway.ownerrez().script(rule);
            let text = alice.call("list_properties", json!({})).await.refused();
            assert!(text.contains(expected) && text.contains("Nothing was changed"), "{text}");
            alice.call("list_properties", json!({})).await.ok();
        }
        gateway.ownerrez().script(Rule::on(LIST).giant_body(4 << 20));
        let large = alice.call("list_properties", json!({})).await;
        assert_eq!(large.0.status, 200, "below the limit");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn slow_answers_are_waited_for_twenty_seconds() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        for rule in [Rule::on(LIST).delay(TimeDelta::seconds(25)), Rule::on(LIST).body_delay(TimeDelta::seconds(25))] {
            let seen = gateway.ownerrez().count(LIST);
            gateway.ownerrez().script(rule);
            let turn = async {
                gateway.ownerrez().wait_for(LIST, seen + 1).await;
                gateway.advance(TimeDelta::seconds(20));
            };
            let (answer, ()) = join(alice.call("list_properties", json!({})), turn).await;
            let text = answer.refused();
            assert!(text.contains("in time"), "{text}");
        }
        alice.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_write_whose_answer_is_lost_is_unknown_and_never_repeated() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let guest = json!({"first_name": "Ann", "last_name": "Other"});
        for rule in [
            Rule::on("POST /v2/guests").lose_reply(),
            Rule::on("POST /v2/guests").invalid_json(),
            Rule::on("POST /v2/guests").reply(500, json!({})),
        ] {
            gateway.ownerrez().clear_requests();
            gateway.ownerrez().script(rule);
            let text = alice.call("create_guest", guest.clone()).await.refused();
            assert!(text.contains("unknown"), "{text}");
            assert_eq!(gateway.ownerrez().count("POST /v2/guests"), 1);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_rest_test_tells_the_same_faults_in_its_own_shape() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let me = || Rule::on("GET /v2/users/me");
        for (rule, status, code) in [
            (me().reply(500, json!({})), 502, "ownerrez_unavailable"),
            (me().reply(403, json!({"code": "account_locked"})), 502, "ownerrez_refused"),
            (me().reset(), 502, "ownerrez_unavailable"),
        ] {
            gateway.ownerrez().script(rule);
            let reply = alice.get("/api/connect/ownerrez/test").await;
            assert_eq!((reply.status, reply.error()), (status, code));
        }
        let unconnected = gateway.user("Bob").await.get("/api/connect/ownerrez/test").await;
        assert_eq!((unconnected.status, unconnected.error()), (409, "not_connected"));
        gateway.stop().await;
    })
    .await;
}
