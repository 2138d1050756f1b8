//! The lifecycle of a token: decrypted on first use, refreshed in time, stored before use, lost, rejected, revoked.

use chrono::TimeDelta;
use futures_util::future::join;
use ownerrez_gateway::simulator::Rule;
use serde_json::json;

use crate::world::{Gateway, Person, Settings, TestDatabase, eventually, on_each_database, on_postgres};

const TOKEN: &str = "POST /oauth/access_token";
const ALMOST_A_MONTH: TimeDelta = TimeDelta::seconds(30 * 86_400 - 240);

async fn works(person: &Person) {
    person.call("list_properties", json!({})).await.ok();
}

/// Returns Alice with a token that is due for refresh; her requests for connecting have left the window.
async fn alice_with_a_due_token(database: &TestDatabase, rotation: bool) -> (Gateway, Person) {
    let gateway = Gateway::start(database).await;
    gateway.ownerrez().change(|switches| switches.rotate_refresh_tokens = rotation);
    let alice = gateway.connected_user("Alice").await;
    // The background job would refresh it, because the user is inactive; in this test the call must find it due.
    database.execute("UPDATE ownerrez_connections SET renew_at = NULL").await;
    gateway.advance(ALMOST_A_MONTH);
    gateway.ownerrez().clear_requests();
    (gateway, alice)
}

async fn rejected(database: &TestDatabase) -> bool {
    database.number("SELECT count(*) FROM ownerrez_connections WHERE rejected_at IS NOT NULL").await == 1
}

#[actix_web::test]
async fn two_calls_share_one_refresh() {
    for rotation in [false, true] {
        on_each_database(async |database| {
            let (gateway, alice) = alice_with_a_due_token(database, rotation).await;
            let (first, second) = (alice.clone(), alice.clone());
            join(works(&first), works(&second)).await;
            assert_eq!(gateway.ownerrez().count(TOKEN), 1);

            // The new token is valid for a month; after 27 days the background job would refresh it.
            gateway.advance(TimeDelta::days(26));
            works(&alice).await;
            assert_eq!(gateway.ownerrez().count(TOKEN), 1);
            gateway.stop().await;
        })
        .await;
    }
}

#[actix_web::test]
async fn short_lived_tokens_are_refreshed_a_tenth_of_their_life_early() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        gateway.ownerrez().change(|switches| switches.token_life_seconds = Some(600));
        let alice = gateway.connected_user("Alice").await;
        database.execute("UPDATE ownerrez_connections SET renew_at = NULL").await;
        gateway.advance(TimeDelta::seconds(539));
        works(&alice).await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 1, "the exchange of the code only");
        gateway.advance(TimeDelta::seconds(1));
        works(&alice).await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 2);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_new_token_is_stored_sealed_before_it_is_used() {
    on_each_database(async |database| {
        let (gateway, alice) = alice_with_a_due_token(database, true).await;
        assert_eq!(database.number("SELECT version FROM ownerrez_connections").await, 0);
        let held = gateway.ownerrez().hold("GET /v2/properties");
        let look = async {
            held.wait_arrived(1).await;
            assert_eq!(database.number("SELECT version FROM ownerrez_connections").await, 1);
            for column in ["access_token", "refresh_token"] {
                let sealed = format!("SELECT count(*) FROM ownerrez_connections WHERE {column} LIKE 'v1.%'");
                assert_eq!(database.number(&sealed).await, 1);
            }
            held.release();
        };
        join(works(&alice), look).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn without_a_known_end_a_401_refreshes_once() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let mut reply = gateway.ownerrez().grant(account);
        for member in ["expires_in", "expires_at"] {
            reply.as_object_mut().unwrap().remove(member);
        }
        gateway.ownerrez().script(Rule::on(TOKEN).reply(200, reply));
        let alice = alice.connect(&gateway, account).await;
        gateway.ownerrez().clear_requests();

        gateway.advance(TimeDelta::days(20));
        works(&alice).await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 0, "nothing proactive");
        gateway.ownerrez().expire_access_tokens(account);
        works(&alice).await;
        assert_eq!((gateway.ownerrez().count(TOKEN), gateway.ownerrez().count("GET /v2/properties")), (1, 3));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_token_without_end_and_refresh_is_good_until_it_is_refused() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        gateway.ownerrez().change(|switches| switches.token_life_seconds = None);
        let alice = gateway.connected_user("Alice").await;
        gateway.advance(TimeDelta::days(400));
        works(&alice).await;
        gateway.ownerrez().revoke_account_grants(alice.account.unwrap());
        assert!(!alice.call("list_properties", json!({})).await.is_ok());
        assert!(rejected(database).await);
        assert_eq!(gateway.ownerrez().count(TOKEN), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_401_is_answered_with_one_refresh_and_one_repeat() {
    for rotation in [false, true] {
        on_each_database(async |database| {
            let gateway = Gateway::start(database).await;
            gateway.ownerrez().change(|switches| switches.rotate_refresh_tokens = rotation);
            let alice = gateway.connected_user("Alice").await;
            works(&alice).await;
            gateway.ownerrez().expire_access_tokens(alice.account.unwrap());
            gateway.ownerrez().clear_requests();
            works(&alice).await;
            assert_eq!((gateway.ownerrez().count(TOKEN), gateway.ownerrez().count("GET /v2/properties")), (1, 2));

            // OwnerRez grants the refresh and still rejects the token: this causes no loop and does not yet end the
            // connection.
            gateway
                .ownerrez()
                .script(Rule::on("GET /v2/properties").always().reply(401, json!({"code": "invalid_token"})));
            gateway.ownerrez().clear_requests();
            assert!(!alice.call("list_properties", json!({})).await.is_ok());
            assert_eq!((gateway.ownerrez().count(TOKEN), gateway.ownerrez().count("GET /v2/properties")), (1, 2));
            assert!(!rejected(database).await);
            gateway.stop().await;
        })
        .await;
    }
}

#[actix_web::test]
async fn a_lost_reply_is_asked_for_once_more() {
    on_each_database(async |database| {
        let (gateway, alice) = alice_with_a_due_token(database, false).await;
        gateway.ownerrez().script(Rule::on(TOKEN).lose_reply());
        works(&alice).await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 1, "not by the same call");
        gateway.advance(TimeDelta::seconds(10));
        works(&alice).await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 2);
        assert_eq!(database.number("SELECT version FROM ownerrez_connections").await, 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn where_the_refresh_token_was_lost_the_access_token_serves_to_its_end() {
    on_each_database(async |database| {
        let (gateway, alice) = alice_with_a_due_token(database, true).await;
        gateway.ownerrez().script(Rule::on(TOKEN).lose_reply());
        works(&alice).await;
        gateway.advance(TimeDelta::seconds(10));
        works(&alice).await;
        gateway.advance(TimeDelta::seconds(30));
        works(&alice).await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 2, "lost, refused, and not asked again");
        assert!(!rejected(database).await);

        // This state survives a restart, and ends with the 401.
        let gateway = gateway.restart().await;
        let alice = alice.at(&gateway.url);
        works(&alice).await;
        gateway.ownerrez().expire_access_tokens(alice.account.unwrap());
        assert!(!alice.call("list_properties", json!({})).await.is_ok());
        assert!(rejected(database).await);
        assert_eq!(gateway.ownerrez().count(TOKEN), 2);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_refresh_that_fails_for_now_rejects_nothing() {
    on_each_database(async |database| {
        let (gateway, alice) = alice_with_a_due_token(database, true).await;
        let on = || Rule::on(TOKEN);
        for (rule, pause) in [
            (on().reply(500, json!({})), 10),
            (on().reply(401, json!({"error": "invalid_client"})), 20),
            (on().invalid_json(), 40),
            (on().giant_body(6 << 20), 80),
            (on().reset(), 120),
        ] {
            gateway.ownerrez().script(rule);
            let before = gateway.ownerrez().count(TOKEN);
            works(&alice).await;
            works(&alice).await;
            assert_eq!(gateway.ownerrez().count(TOKEN) - before, 1, "the next try waits");
            gateway.advance(TimeDelta::seconds(pause));
        }
        works(&alice).await;
        assert!(!rejected(database).await);
        assert_eq!(database.number("SELECT version FROM ownerrez_connections").await, 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_silent_token_endpoint_costs_time_and_no_call() {
    on_each_database(async |database| {
        let (gateway, alice) = alice_with_a_due_token(database, true).await;
        let held = gateway.ownerrez().hold(TOKEN);
        let turn = async {
            held.wait_arrived(1).await;
            gateway.advance(TimeDelta::seconds(20));
        };
        join(works(&alice), turn).await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 1, "there was no time for a second attempt");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_expired_token_that_cannot_be_refreshed_now_says_try_again() {
    on_each_database(async |database| {
        let (gateway, alice) = alice_with_a_due_token(database, false).await;
        gateway.advance(TimeDelta::minutes(10));
        gateway.ownerrez().expire_access_tokens(alice.account.unwrap());
        gateway.ownerrez().script(Rule::on(TOKEN).reply(503, json!({})));
        for _ in 0..2 {
            let text = alice.call("list_properties", json!({})).await.refused();
            assert!(text.contains("Try again"), "{text}");
        }
        assert_eq!(gateway.ownerrez().requests().len(), 1, "what has expired is not sent");
        assert!(!rejected(database).await);
        gateway.advance(TimeDelta::seconds(10));
        works(&alice).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn tokens_that_were_won_but_not_stored_are_stored_first() {
    on_postgres(async |database| {
        let (gateway, alice) = alice_with_a_due_token(database, true).await;
        let held = gateway.ownerrez().hold(TOKEN);
        let cut = async {
            held.wait_arrived(1).await;
            database.make_unavailable().await;
            held.release();
        };
        let (answer, ()) = join(alice.call("list_properties", json!({})), cut).await;
        assert!(answer.refused().contains("database"));

        database.make_available().await;
        assert_eq!(database.number("SELECT version FROM ownerrez_connections").await, 0);
        // Even an idle session keeps the only copy.
        gateway.advance(TimeDelta::seconds(1000));
        gateway.regains_its_share().await;
        works(&alice).await;
        assert_eq!(database.number("SELECT version FROM ownerrez_connections").await, 1);
        assert_eq!(gateway.ownerrez().count(TOKEN), 1, "no second refresh");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_revoked_grant_is_remembered_and_costs_nothing_more() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().revoke_account_grants(alice.account.unwrap());
        assert!(!alice.call("list_properties", json!({})).await.is_ok());
        assert!(rejected(database).await);

        let gateway = gateway.restart().await;
        let alice = alice.at(&gateway.url);
        gateway.ownerrez().clear_requests();
        let status = alice.get("/api/connect/ownerrez/status").await;
        assert_eq!((&status.body["connected"], &status.body["needs_reconnect"]), (&json!(false), &json!(true)));
        for _ in 0..3 {
            let text = alice.call("list_properties", json!({})).await.refused();
            assert!(text.contains("/api/connect/ownerrez/authorize?state="), "{text}");
        }
        let test = alice.get("/api/connect/ownerrez/test").await;
        assert_eq!((test.status, test.error()), (409, "needs_reconnect"));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().requests().len(), 0);

        let account = alice.account.unwrap();
        works(&alice.connect(&gateway, account).await).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_disconnect_during_a_refresh_wins() {
    on_each_database(async |database| {
        let (gateway, alice) = alice_with_a_due_token(database, true).await;
        let held = gateway.ownerrez().hold(TOKEN);
        let twin = alice.clone();
        let disconnect = async {
            held.wait_arrived(1).await;
            assert_eq!(twin.delete("/api/connect/ownerrez").await.body["disconnected"], json!(true));
            held.release();
        };
        let (answer, ()) = join(alice.call("list_properties", json!({})), disconnect).await;
        assert!(!answer.is_ok());
        assert_eq!(gateway.ownerrez().count("GET /v2/properties"), 0, "the new token is not used");
        // The call is answered when the user disconnects, and the refresh may end after that.
        eventually("both tokens are revoked", async || {
            gateway.app().sessions().run_background_jobs().await;
            (gateway.ownerrez().count("DELETE /oauth/access_token/{token}") == 2).then_some(())
        })
        .await;
        assert_eq!(database.number("SELECT count(*) FROM pending_revocations").await, 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_process_that_died_over_a_refresh_leaves_a_usable_token() {
    on_each_database(async |database| {
        let (gateway, alice) = alice_with_a_due_token(database, true).await;
        // The other process refreshed, which invalidated the stored refresh token, and crashed before it stored the new
        // one.
        gateway.ownerrez().script(Rule::on(TOKEN).lose_reply().times(1));
        let until = (gateway.now() + TimeDelta::seconds(60)).format("%Y-%m-%dT%H:%M:%S+00:00");
        database
            .execute(&format!(
                "UPDATE ownerrez_connections SET lease_until = '{until}', \
                 lease_holder = {}",
                if database.is_postgres() {
                    "'00000000-0000-0000-0000-000000000001'"
                } else {
                    "x'00000000000000000000000000000001'"
                }
            ))
            .await;
        works(&alice).await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 0, "the lease of the dead is respected, the old token is good");
        gateway.advance(TimeDelta::seconds(60));
        works(&alice).await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 1, "lost again");
        gateway.advance(TimeDelta::seconds(10));
        works(&alice).await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 2, "and refused");
        works(&alice).await;
        gateway.ownerrez().expire_access_tokens(alice.account.unwrap());
        assert!(!alice.call("list_properties", json!({})).await.is_ok());
        assert!(rejected(database).await);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn two_processes_share_one_refresh() {
    on_postgres(async |database| {
        let share = || Settings::default().set("UPSTREAM_SHARED", "true").set("UPSTREAM_LIMIT", "150");
        let gateway = Gateway::start_with(database, share()).await;
        gateway.ownerrez().change(|switches| {
            switches.request_limit = 300;
            switches.rotate_refresh_tokens = true;
            switches.refresh_ends_old_access = true;
        });
        let alice = gateway.connected_user("Alice").await;
        let other = gateway.start_another(Settings::default()).await;
        let there = alice.at(&other.url);
        join(works(&alice), works(&there)).await;
        database.execute("UPDATE ownerrez_connections SET renew_at = NULL").await;
        gateway.advance(ALMOST_A_MONTH);
        gateway.ownerrez().clear_requests();

        // While one process refreshes, the other uses the current token; then it finds the new one in the row.
        let held = gateway.ownerrez().hold(TOKEN);
        let meanwhile = async {
            held.wait_arrived(1).await;
            works(&there).await;
            held.release();
        };
        join(works(&alice), meanwhile).await;
        works(&there).await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 1);

        // One process refreshes after a 401; the other one's copy becomes invalid and is replaced from the row.
        gateway.ownerrez().expire_access_tokens(alice.account.unwrap());
        works(&alice).await;
        works(&there).await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 2);
        other.stop().await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn connections_of_users_who_are_away_are_renewed() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        gateway.ownerrez().revoke_account_grants(bob.account.unwrap());
        assert!(!bob.call("list_properties", json!({})).await.is_ok());
        gateway.ownerrez().clear_requests();

        gateway.advance(TimeDelta::days(27));
        gateway.ownerrez().script(Rule::on(TOKEN).reply(500, json!({})));
        gateway.app().sessions().run_background_jobs().await;
        let tried = gateway.ownerrez().count(TOKEN);
        assert_eq!(tried, 1, "Alice's only");
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count(TOKEN), tried, "put off by an hour");
        gateway.advance(TimeDelta::hours(1));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count(TOKEN), tried + 1);

        gateway.advance(TimeDelta::days(20));
        gateway.ownerrez().clear_requests();
        works(&alice).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn every_request_says_who_it_is_from() {
    on_each_database(async |database| {
        let (gateway, alice) = alice_with_a_due_token(database, true).await;
        works(&alice).await;
        alice.delete("/api/connect/ownerrez").await;
        gateway.ownerrez().wait_for("DELETE /oauth/access_token/{token}", 1).await;
        let expected = format!("ownerrez-gateway/{} (c_sandbox)", env!("CARGO_PKG_VERSION"));
        let requests = gateway.ownerrez().requests();
        assert_eq!(requests.len(), 3);
        for request in requests {
            assert_eq!(request.user_agent.as_deref(), Some(expected.as_str()), "{} {}", request.method, request.path);
        }
        gateway.stop().await;
    })
    .await;
}
