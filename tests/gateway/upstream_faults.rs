//! OwnerRez fails or rejects requests: the model always learns what happened and what to do next, and no write is sent
//! twice.

use actix_rt::task::JoinHandle;
use chrono::TimeDelta;
use ownerrez_gateway::simulator::Rule;
use serde_json::{Value, json};

use crate::world::{Answer, Gateway, Person, Settings, on_each_database};

const READ: &str = "GET /v2/owners";
const WRITE: &str = "POST /v2/guests";

async fn read(person: &Person) -> Answer {
    person.call("list_owners", json!({})).await
}

async fn write(person: &Person) -> Answer {
    write_of(person, "Ada").await
}

async fn write_of(person: &Person, name: &str) -> Answer {
    person.call("create_guest", json!({"first_name": name, "last_name": "Story"})).await
}

fn calling(person: &Person, tool: &'static str, arguments: Value) -> JoinHandle<Answer> {
    let person = person.clone();
    actix_rt::spawn(async move { person.call(tool, arguments).await })
}

/// Returns the error body of OwnerRez's newer API generation.
fn error(status: u16, code: &str, message: &str) -> Value {
    json!({"messages": [message], "code": code, "status": "error", "status_code": status})
}

/// One row per line of the table "Errors and limits": OwnerRez's response, and words that the model must get.
#[actix_web::test]
async fn every_refusal_names_the_next_step() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let table: [(u16, Value, &[&str]); 16] = [
            (400, error(400, "https_required", "Use https."), &["400", "https_required", "Use https.", "Correct"]),
            (400, error(400, "validation_failed", "Minimum is 3 nights."), &["Minimum is 3 nights.", "Correct"]),
            (402, error(402, "messaging_not_enabled", "No messaging."), &["messaging_not_enabled", "Do not retry"]),
            (403, error(403, "ip_blocked", "Blocked."), &["ip_blocked", "Do not retry"]),
            (403, error(403, "account_locked", "Locked."), &["account_locked", "Do not retry"]),
            (403, error(403, "account_closed", "Closed."), &["account_closed", "Do not retry"]),
            (403, json!("<html><body>Forbidden</body></html>"), &["403", "Do not retry"]),
            (
                404,
                json!({"messages": ["Expected entity Guest:Id:1 not found."], "status": "not_found"}),
                &["Guest:Id:1", "list tool"],
            ),
            (405, json!({"error": {"code": "UnsupportedApiVersion"}}), &["405", "Do not retry it unchanged"]),
            (409, error(409, "conflict", "Changed."), &["409", "Read it again"]),
            (412, json!({}), &["412", "Read it again"]),
            (422, error(422, "invalid", "No."), &["422", "Correct"]),
            (451, json!(null), &["451", "Do not retry it unchanged"]),
            (500, json!({"message": "Object reference not set"}), &["500", "Object reference", "in a minute"]),
            (502, json!("<html>Bad gateway</html>"), &["502", "in a minute"]),
            (503, json!(null), &["503", "in a minute"]),
        ];
        for (status, body, words) in table {
            gateway.ownerrez().clear_requests();
            gateway.ownerrez().script(Rule::on(READ).reply(status, body.clone()));
            let text = read(&alice).await.refused();
            for word in words {
                assert!(text.contains(word), "{status} {body}: {word:?} is not in {text:?}");
            }
            assert!(!text.contains("<html"), "{text}");
            assert_eq!(gateway.ownerrez().count(READ), 1, "{status}");
            // The failure was OwnerRez's, not the session's.
            read(&alice).await.ok();
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_429_tells_how_long_to_wait_and_closes_for_everyone() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        let body = json!({"code": 429, "error": "Rate limit exceeded."});
        gateway.ownerrez().script(Rule::on(READ).reply(429, body.clone()).header("Retry-After", "77"));
        let text = read(&alice).await.refused();
        assert!(text.contains("77 seconds") && text.contains("Rate limit exceeded."), "{text}");
        let text = read(&bob).await.refused();
        assert!(text.contains("slow down") && text.contains("seconds"), "{text}");
        assert_eq!(gateway.ownerrez().count(READ), 1);

        gateway.advance(TimeDelta::seconds(78));
        read(&bob).await.ok();
        read(&alice).await.ok();
        assert_eq!(gateway.ownerrez().count(READ), 3);

        // As a date, and with a fraction of a second.
        for (asked, told) in [("Mon, 15 Jun 2026 12:10:00 GMT", "Try again in "), ("1.5", "Try again in 2 seconds")] {
            gateway.ownerrez().script(Rule::on(READ).reply(429, body.clone()).header("Retry-After", asked));
            let text = read(&alice).await.refused();
            assert!(text.contains(told), "{asked}: {text}");
            // The allowance receives the rejection asynchronously: its answer to another message shows that it has.
            gateway.app().sessions().observe_allowance().await;
            gateway.advance(TimeDelta::seconds(301));
            read(&bob).await.ok();
        }

        // Without Retry-After, as OwnerRez usually sends it.
        gateway.ownerrez().script(Rule::on(READ).reply(429, body));
        let text = read(&alice).await.refused();
        assert!(text.contains("Try again in") && text.contains("seconds"), "{text}");
        // The allowance receives the rejection asynchronously: its answer to another message shows that it has.
        gateway.app().sessions().observe_allowance().await;
        gateway.advance(TimeDelta::seconds(310));
        read(&alice).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_answer_that_is_none_is_explained() {
    on_each_database(async |database| {
        let settings = Settings::default().tune(|config| config.sessions.answer_limit_bytes = 100_000);
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.connected_user("Alice").await;
        let html = "<html>Sign in</html>";
        let table: [(Rule, &[&str]); 5] = [
            (Rule::on(READ).invalid_json(), &["not JSON", "Nothing was changed", "in a minute"]),
            (Rule::on(READ).reply(200, json!(html)).header("content-type", "text/html"), &["not JSON", "in a minute"]),
            (Rule::on(READ).giant_body(100_001), &["larger than 100000 bytes", "Ask for less"]),
            (Rule::on(READ).reply(200, json!(null)), &["status 200 and an empty body", "in a minute"]),
            (Rule::on(READ).reply(302, json!(null)).header("location", "/v2/users/me"), &["302", "in a minute"]),
        ];
        for (rule, words) in table {
            gateway.ownerrez().clear_requests();
            let told = format!("{:?}", rule.answer);
            gateway.ownerrez().script(rule);
            let text = read(&alice).await.refused();
            for word in words {
                assert!(text.contains(word), "{told}: {word:?} is not in {text:?}");
            }
            assert!(!text.contains("Sign in"), "{text}");
            assert_eq!(gateway.ownerrez().count("* /v2/*"), 1, "{told}: neither repeated nor redirected");
            read(&alice).await.ok();
        }
        gateway.ownerrez().script(Rule::on(READ).giant_body(100_000));
        read(&alice).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_read_whose_connection_breaks_is_repeated_once() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        for rule in [Rule::on(READ).reset(), Rule::on(READ).lose_reply()] {
            gateway.ownerrez().clear_requests();
            gateway.ownerrez().script(rule.clone());
            read(&alice).await.ok();
            assert_eq!(gateway.ownerrez().count("* /v2/*"), 2);

            gateway.ownerrez().clear_requests();
            gateway.ownerrez().script(rule.times(2));
            let text = read(&alice).await.refused();
            assert!(["broke", "Nothing was changed", "in a minute"].iter().all(|word| text.contains(word)), "{text}");
            assert_eq!(gateway.ownerrez().count("* /v2/*"), 2);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_write_without_an_answer_is_unknown_and_never_repeated() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let rules = [
            Rule::on(WRITE).lose_reply(),
            Rule::on(WRITE).reset(),
            Rule::on(WRITE).invalid_json(),
            Rule::on(WRITE).giant_body(6 << 20),
            Rule::on(WRITE).reply(500, json!({})),
            Rule::on(WRITE).reply(503, json!("<html>")),
            Rule::on(WRITE).reply(302, json!(null)).header("location", "/v2/users/me"),
            Rule::on(WRITE).reply(307, json!("<html>")).header("location", "/v2/guests"),
        ];
        for (number, rule) in rules.into_iter().enumerate() {
            gateway.ownerrez().clear_requests();
            let told = format!("{:?}", rule.answer);
            gateway.ownerrez().script(rule);
            let text = write_of(&alice, &format!("Ada {number}")).await.refused();
            assert!(text.contains("unknown") && text.contains("read first: `list_guests` with"), "{told}: {text}");
            assert_eq!(gateway.ownerrez().count("* /v2/*"), 1, "{told}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_refused_write_is_no_riddle() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().script(Rule::on(WRITE).reply(400, error(400, "validation_failed", "Too short.")));
        let text = write(&alice).await.refused();
        assert!(text.contains("Too short.") && !text.contains("unknown"), "{text}");
        assert_eq!(gateway.ownerrez().count(WRITE), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn twenty_seconds_are_enough_for_an_answer_and_its_body() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let late = TimeDelta::seconds(25);
        for (rule, tool, arguments, word) in [
            (Rule::on(READ).delay(late), "list_owners", json!({}), "Nothing was changed"),
            (Rule::on(READ).body_delay(late), "list_owners", json!({}), "Nothing was changed"),
            (Rule::on(WRITE).delay(late), "create_guest", json!({"first_name": "A", "last_name": "B"}), "unknown"),
            (Rule::on(WRITE).body_delay(late), "create_guest", json!({"first_name": "C", "last_name": "D"}), "unknown"),
        ] {
            gateway.ownerrez().clear_requests();
            gateway.ownerrez().script(rule);
            let call = calling(&alice, tool, arguments);
            gateway.ownerrez().wait_for("* /v2/*", 1).await;
            gateway.advance(TimeDelta::seconds(19));
            assert!(!call.is_finished());
            gateway.advance(TimeDelta::seconds(1));
            let text = call.await.unwrap().refused();
            assert!(text.contains(word), "{tool}: {text}");
            assert_eq!(gateway.ownerrez().count("* /v2/*"), 1);
            gateway.advance(TimeDelta::seconds(10));
        }
        // Slow, but within the timeout.
        gateway.ownerrez().clear_requests();
        gateway.ownerrez().script(Rule::on(READ).delay(TimeDelta::seconds(9)).body_delay(TimeDelta::seconds(9)));
        let call = calling(&alice, "list_owners", json!({}));
        gateway.ownerrez().wait_for(READ, 1).await;
        gateway.advance(TimeDelta::seconds(18));
        call.await.unwrap().ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_ownerrez_that_is_away_is_told_apart_from_one_that_is_silent() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.simulator.clone().stop(false).await;
        let text = write(&alice).await.refused();
        assert!(text.contains("could not be reached") && text.contains("Nothing was changed"), "{text}");
        gateway.stop().await;
    })
    .await;
}
