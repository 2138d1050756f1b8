//! Writes: each is recorded before it is sent, none is repeated by mistake, and an uncertain outcome is reported as
//! unknown. `consent` covers deletions and messages to guests, `drafts` covers drafts of messages.

mod consent;
mod drafts;
mod two_steps;

use actix_rt::task::JoinHandle;
use chrono::TimeDelta;
use futures_util::future::join;
use ownerrez_gateway::simulator::Rule;
use serde_json::{Value, json};

use crate::world::{Answer, Gateway, Person, Settings, TestDatabase, eventually, on_each_database, on_postgres};

const CREATE: &str = "POST /v2/guests";
const CHANGE: &str = "PATCH /v2/guests/{id}";
const ANYTHING: &str = "* /v2/*";

fn guest(name: &str) -> Value {
    json!({"first_name": name, "last_name": "Story"})
}

/// Returns the same call with one more argument.
fn with(mut arguments: Value, name: &str, value: impl Into<Value>) -> Value {
    arguments[name] = value.into();
    arguments
}

fn calling(person: &Person, tool: &'static str, arguments: Value) -> JoinHandle<Answer> {
    let person = person.clone();
    actix_rt::spawn(async move { person.call(tool, arguments).await })
}

async fn records(database: &TestDatabase) -> i64 {
    database.number("SELECT count(*) FROM writes").await
}

/// One of several processes that share a database and OwnerRez's allowance.
fn one_of_several() -> Settings {
    Settings::default().set("UPSTREAM_SHARED", "true").set("UPSTREAM_LIMIT", "150")
}

async fn two_minutes(gateway: &Gateway) {
    gateway.advance(TimeDelta::minutes(2));
}

#[actix_web::test]
async fn the_same_change_within_a_minute_is_answered_from_its_record() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        let made = alice.call("create_guest", guest("Ada")).await.ok();
        gateway.advance(TimeDelta::seconds(59));

        // The same arguments in the predecessor's format, and with an empty member.
        for same in [guest("Ada"), json!({"data": guest("Ada")}), with(guest("Ada"), "notes", Value::Null)] {
            let again = alice.call("create_guest", same).await.ok();
            assert_eq!((&again["repeated"], &again["done"], &again["id"]), (&json!(true), &json!(true), &made["id"]));
            let note = again["note"].as_str().unwrap();
            assert!(note.contains("59 seconds ago") && note.contains("`again`: true"), "{note}");
        }
        assert_eq!(gateway.ownerrez().count(CREATE), 1);

        // Calls of other users and with other arguments are different writes.
        bob.call("create_guest", guest("Ada")).await.ok();
        alice.call("create_guest", guest("Bea")).await.ok();
        alice.call("create_guest", with(guest("Ada"), "notes", "x")).await.ok();
        assert_eq!(gateway.ownerrez().count(CREATE), 4);

        // One minute later it is a new write.
        gateway.advance(TimeDelta::seconds(1));
        let later = alice.call("create_guest", guest("Ada")).await.ok();
        assert_ne!(later["id"], made["id"]);
        assert_eq!(gateway.ownerrez().count(CREATE), 5);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_restart_and_another_process_know_the_record_too() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        alice.call("create_guest", guest("Ada")).await.ok();
        let gateway = gateway.restart().await;
        let again = alice.at(&gateway.url).call("create_guest", guest("Ada")).await.ok();
        assert_eq!(again["repeated"], json!(true));
        assert_eq!(gateway.ownerrez().count(CREATE), 1);
        gateway.stop().await;
    })
    .await;
    on_postgres(async |database| {
        let gateway = Gateway::start_with(database, one_of_several()).await;
        let alice = gateway.connected_user("Alice").await;
        let other = gateway.start_another(Settings::default()).await;
        let there = alice.at(&other.url);
        let (one, two) = join(alice.call("create_guest", guest("Ada")), there.call("create_guest", guest("Ada"))).await;
        assert!(one.is_ok() || two.is_ok());
        assert_eq!(gateway.ownerrez().count(CREATE), 1);
        other.stop().await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_change_to_the_same_record_in_between_makes_it_a_new_one() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let (ada, bea) = (alice.call("create_guest", guest("Ada")).await.ok(), guest("Bea"));
        let bea = alice.call("create_guest", bea).await.ok();
        let notes = |guest: &Value, text: &str| json!({"id": guest["id"], "notes": text});

        alice.call("update_guest", notes(&ada, "one")).await.ok();
        alice.call("update_guest", notes(&bea, "two")).await.ok();
        let repeated = alice.call("update_guest", notes(&ada, "one")).await.ok();
        assert_eq!(repeated["repeated"], json!(true), "the change in between was of another guest");
        alice.call("update_guest", notes(&ada, "two")).await.ok();
        let back = alice.call("update_guest", notes(&ada, "one")).await.ok();
        assert_eq!(back["notes"], json!("one"));
        assert_eq!(gateway.ownerrez().count(CHANGE), 4);

        // A record that was created and deleted is created again, whichever of its names it was deleted by.
        let tag = json!({"name": "vip", "entity_id": ada["id"], "entity_type": "guest"});
        let first = alice.call("create_tag", tag.clone()).await.ok();
        alice.call_confirmed("delete_tag", json!({"id": first["id"]})).await.ok();
        assert!(alice.call("create_tag", tag.clone()).await.ok()["repeated"].is_null());
        alice.call_confirmed("delete_tag_by_name", tag.clone()).await.ok();
        assert!(alice.call("create_tag", tag.clone()).await.ok()["repeated"].is_null());
        assert_eq!(gateway.ownerrez().count("POST /v2/tags"), 3);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn again_sends_the_same_once_more() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let first = alice.call("create_guest", guest("Ada")).await.ok();
        let second = alice.call("create_guest", with(guest("Ada"), "again", true)).await.ok();
        assert_ne!(first["id"], second["id"]);
        let third = alice.call("create_guest", with(guest("Ada"), "again", false)).await.ok();
        assert_eq!((&third["repeated"], &third["id"]), (&json!(true), &second["id"]));
        assert_eq!(gateway.ownerrez().count(CREATE), 2);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_idempotency_key_holds_for_a_day() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        let keyed = |name: &str, key: &str| with(guest(name), "idempotency_key", key);
        let made = alice.call("create_guest", keyed("Ada", "k1")).await.ok();

        gateway.advance(TimeDelta::hours(23));
        gateway.app().sessions().run_background_jobs().await;
        let again = alice.call("create_guest", keyed("Ada", "k1")).await.ok();
        assert_eq!((&again["repeated"], &again["id"]), (&json!(true), &made["id"]));
        let refused = alice.call("create_guest", keyed("Bea", "k1")).await.refused();
        assert!(refused.contains("belongs to another") && refused.contains("Nothing was sent"), "{refused}");
        assert_eq!(gateway.ownerrez().count(CREATE), 1);

        // Another key means another write, even with the same arguments; keys of different users are independent.
        alice.call("create_guest", keyed("Ada", "k2")).await.ok();
        alice.call("create_guest", keyed("Ada", "k3")).await.ok();
        bob.call("create_guest", keyed("Ada", "k1")).await.ok();
        assert_eq!(gateway.ownerrez().count(CREATE), 4);
        gateway.advance(TimeDelta::hours(2));
        alice.call("create_guest", keyed("Ada", "k1")).await.ok();
        assert_eq!(gateway.ownerrez().count(CREATE), 5);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn of_two_at_once_one_is_sent() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold(CREATE);
        let first = calling(&alice, "create_guest", guest("Ada"));
        held.wait_arrived(1).await;
        let second = alice.call("create_guest", guest("Ada")).await.refused();
        assert!(
            second.contains("under way") && second.contains("unknown") && second.contains("list_guests"),
            "{second}"
        );
        held.release();
        let made = first.await.unwrap().ok();
        assert_eq!(alice.call("create_guest", guest("Ada")).await.ok()["id"], made["id"]);
        assert_eq!(gateway.ownerrez().count(CREATE), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_lost_answer_is_unknown_and_the_read_that_settles_it_is_named() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().script(Rule::on(CREATE).lose_reply());
        let lost = alice.call("create_guest", guest("Ada")).await.refused();
        assert!(lost.contains("unknown"), "{lost}");
        two_minutes(&gateway).await;
        let again = alice.call("create_guest", guest("Ada")).await.refused();
        assert!(again.contains("unknown") && again.contains("not sent again"), "{again}");
        assert_eq!(gateway.ownerrez().count(ANYTHING), 1);

        for told in [lost, again] {
            assert!(told.contains("`again`: true"), "{told}");
            let (_, read) = told.split_once("read first: `list_guests` with ").unwrap();
            let mut arguments = serde_json::Deserializer::from_str(read).into_iter::<Value>();
            let shown = alice.call("list_guests", arguments.next().unwrap().unwrap()).await.ok();
            assert_eq!(shown["items"][0]["first_name"], json!("Ada"), "it was made: {shown}");
        }
        // After a check, the caller decides.
        alice.call("create_guest", with(guest("Ada"), "again", true)).await.ok();
        assert_eq!(gateway.ownerrez().count(CREATE), 2);

        // A read of the record settles a change of that record.
        let ada = alice.call("create_guest", guest("Bea")).await.ok();
        gateway.ownerrez().script(Rule::on(CHANGE).reply(503, json!({"messages": ["Busy."]})));
        let lost = alice.call("update_guest", json!({"id": ada["id"], "notes": "x"})).await.refused();
        let read = format!("`get_guest` with {}", json!({"id": ada["id"]}));
        assert!(lost.contains("status 503") && lost.contains("Busy.") && lost.contains(&read), "{lost}");
        gateway.stop().await;
    })
    .await;
}

/// The record of a process that crashed between the request and the outcome.
#[actix_web::test]
async fn a_record_without_an_outcome_is_unknown() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        alice.call("create_guest", guest("Ada")).await.ok();
        let gateway = gateway.restart().await;
        let alice = alice.at(&gateway.url);
        database.execute("UPDATE writes SET outcome = 'sent', settled_at = NULL, answer_id = NULL").await;
        two_minutes(&gateway).await;
        let told = alice.call("create_guest", guest("Ada")).await.refused();
        assert!(told.contains("unknown") && told.contains("list_guests"), "{told}");
        assert_eq!(gateway.ownerrez().count(CREATE), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn whoever_hangs_up_finds_the_outcome_when_they_come_back() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold(CREATE);
        let gone = calling(&alice, "create_guest", guest("Ada"));
        held.wait_arrived(1).await;
        gone.abort();
        held.release();
        let settled = "SELECT count(*) FROM writes WHERE outcome = 'done'";
        eventually("the outcome is recorded", async || (database.number(settled).await == 1).then_some(())).await;
        assert_eq!(alice.call("create_guest", guest("Ada")).await.ok()["repeated"], json!(true));
        assert_eq!(gateway.ownerrez().count(CREATE), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_was_not_made_leaves_no_record_and_is_sent_when_it_comes_again() {
    on_each_database(async |database| {
        let settings = Settings::default().tune(|config| config.sessions.queue_depth = 1);
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.user("Alice").await;
        let told = alice.call("create_guest", guest("Ada")).await.refused();
        assert!(told.contains("No OwnerRez account"), "{told}");
        let told = alice.call("delete_guest", json!({"id": 1})).await.refused();
        assert!(told.contains("No OwnerRez account"), "nobody is asked about what cannot be: {told}");

        let account = gateway.ownerrez().add_account("Alice").id;
        let alice = alice.connect(&gateway, account).await;
        let wrong = [
            ("create_guest", json!({"first_name": 7, "surname": "Story"}), "surname"),
            ("create_guest", with(guest("Ada"), "again", "perhaps"), "again"),
            ("create_guest", with(guest("Ada"), "idempotency_key", ""), "idempotency_key"),
            ("create_guest", with(guest("Ada"), "draft_id", "x"), "draft_id"),
            ("delete_guest", json!({"id": "x", "confirm": "y"}), "id"),
        ];
        for (tool, arguments, name) in wrong {
            let told = alice.call(tool, arguments).await.refused();
            assert!(told.contains(&format!("`{name}`")) && told.contains("Nothing was sent"), "{told}");
        }
        assert_eq!((records(database).await, gateway.ownerrez().count(ANYTHING)), (0, 0));

        let refusal = json!({"messages": ["Too short."], "code": "validation_failed"});
        gateway.ownerrez().script(Rule::on(CREATE).reply(400, refusal));
        let told = alice.call("create_guest", guest("Ada")).await.refused();
        assert!(told.contains("Too short.") && !told.contains("unknown"), "{told}");
        assert_eq!(records(database).await, 0);

        let held = gateway.ownerrez().hold("GET /v2/users/me");
        let calls = [(); 2].map(|()| calling(&alice, "get_current_user", json!({})));
        eventually("the queue is full", async || {
            let stats = gateway.app().sessions().observe_session(alice.user()).await?;
            (stats.waiting == 1).then_some(())
        })
        .await;
        let told = alice.call("create_guest", guest("Ada")).await.refused();
        assert!(told.contains("already waiting"), "{told}");
        assert_eq!(records(database).await, 0);
        held.release();
        for call in calls {
            call.await.unwrap().ok();
        }

        alice.call("create_guest", guest("Ada")).await.ok();
        assert_eq!((records(database).await, gateway.ownerrez().count(CREATE)), (1, 2));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_price_is_asked_as_often_as_one_likes() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let property = alice.call("list_properties", json!({})).await.ok()["items"][0]["id"].clone();
        let stay = json!({"property_id": property, "arrival": "2028-04-10", "departure": "2028-04-14", "test": true});
        for _ in 0..2 {
            assert_eq!(alice.call("create_quote", stay.clone()).await.ok()["charges"][0]["type"], json!("rent"));
        }
        assert_eq!((records(database).await, gateway.ownerrez().count("POST /v2/quotes")), (0, 2));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_read_key_writes_nothing_and_is_told_so() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let made = alice.post("/api/keys", &json!({"name": "reader", "scope": "read"})).await;
        let reader = alice.with_key(made.body["api_key"].as_str().unwrap(), &alice.id);
        for (tool, arguments) in [
            ("create_guest", guest("Ada")),
            ("delete_guest", json!({"id": 1})),
            ("draft_message", json!({"thread_id": 1, "body": "Hello"})),
            ("create_message", json!({"draft_id": "x"})),
        ] {
            let told = reader.call(tool, arguments).await.refused();
            assert!(told.contains("may only read") && told.contains("Nothing was sent"), "{told}");
        }
        assert_eq!((records(database).await, gateway.ownerrez().count(ANYTHING)), (0, 0));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_connection_that_may_only_read_is_remembered_until_it_is_replaced() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        gateway.ownerrez().change(|switches| switches.read_only = true);
        let alice = gateway.connected_user("Alice").await;
        let account = alice.account.unwrap();
        let told = alice.call("create_guest", guest("Ada")).await.refused();
        assert!(told.contains("read-only access") && told.contains("connect OwnerRez again"), "{told}");
        assert_eq!((records(database).await, gateway.ownerrez().count(ANYTHING)), (0, 1));

        let gateway = gateway.restart().await;
        let alice = alice.at(&gateway.url);
        for (tool, arguments) in [("create_guest", guest("Bea")), ("delete_guest", json!({"id": 1}))] {
            let told = alice.call(tool, arguments).await.refused();
            assert!(told.contains("may only read") && told.contains("Nothing was sent"), "{told}");
        }
        assert_eq!(gateway.ownerrez().count(ANYTHING), 1);
        alice.call("list_owners", json!({})).await.ok();

        gateway.ownerrez().change(|switches| switches.read_only = false);
        assert_eq!(alice.delete("/api/connect/ownerrez").await.status, 200);
        let alice = alice.connect(&gateway, account).await;
        alice.call("create_guest", guest("Ada")).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_refusal_for_another_reason_closes_nothing() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let refusal = json!({"messages": ["Blocked."], "code": "ip_blocked"});
        gateway.ownerrez().script(Rule::on(CREATE).reply(403, refusal));
        let told = alice.call("create_guest", guest("Ada")).await.refused();
        assert!(told.contains("ip_blocked"), "{told}");
        alice.call("create_guest", guest("Ada")).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn records_go_when_nothing_can_ask_for_them_any_more() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        alice.call("create_guest", guest("Ada")).await.ok();
        alice.call("create_guest", with(guest("Bea"), "idempotency_key", "k")).await.ok();
        for (after, left) in [(0, 2), (59, 2), (2, 1), (24 * 60, 0)] {
            gateway.advance(TimeDelta::minutes(after));
            gateway.app().sessions().run_background_jobs().await;
            assert_eq!(records(database).await, left, "{after} minutes later");
        }
        gateway.stop().await;
    })
    .await;
}

/// No names and no keys: the stored record of a write has only digests and numbers. The words contain letters that no
/// hexadecimal digest has.
#[actix_web::test]
async fn records_hold_nothing_of_what_was_said() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let made = alice.call("create_guest", with(guest("Ottoline"), "idempotency_key", "secret-k")).await.ok();
        alice.call("update_guest", json!({"id": made["id"], "notes": "Ottoline prefers tea"})).await.ok();
        let all = "tool || digest || coalesce(idempotency_digest, '') || touched || outcome";
        for word in ["Ottoline", "Story", "tea", "secret-k"] {
            let query = format!("SELECT count(*) FROM writes WHERE {all} LIKE '%{word}%'");
            assert_eq!(database.number(&query).await, 0, "{word}");
        }
        let touched = format!("SELECT count(*) FROM writes WHERE touched = 'guests/{}'", made["id"]);
        assert_eq!(database.number(&touched).await, 2);
        gateway.stop().await;
    })
    .await;
}
