//! Messages to guests: drafted, shown, and sent once.

use chrono::TimeDelta;
use futures_util::future::join;
use ownerrez_gateway::simulator::Rule;
use serde_json::{Value, json};

use super::{
    ANYTHING,
    consent::{answered, asked},
    one_of_several, two_minutes, with,
};
use crate::world::{Gateway, Person, Settings, on_each_database, on_postgres, rpc};

const SEND: &str = "POST /v2/messages";

/// Returns a message for a thread of this user.
pub(super) async fn message(person: &Person, text: &str) -> Value {
    let inquiries = person.call("list_inquiries", json!({})).await.ok();
    json!({"thread_id": inquiries["items"][0]["thread_ids"][0], "body": text})
}

fn id(draft: &Value) -> Value {
    json!({"draft_id": draft["draft_id"]})
}

#[actix_web::test]
async fn a_draft_is_shown_and_sent_once() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let hello = message(&alice, "Welcome, Ada!").await;
        gateway.ownerrez().clear_requests();
        let draft = alice.call("draft_message", hello.clone()).await.ok();
        assert_eq!((&draft["draft"], &draft["sent"]), (&hello, &json!(false)));
        assert_eq!(gateway.ownerrez().count(ANYTHING), 0);

        gateway.advance(TimeDelta::minutes(29));
        let sent = alice.call("create_message", id(&draft)).await.ok();
        assert_eq!((&sent["body"], &sent["from_role"]), (&json!("Welcome, Ada!"), &json!("owner")));
        assert_eq!(alice.call("create_message", id(&draft)).await.ok()["id"], sent["id"], "from its record");
        let told = alice.call("create_message", with(id(&draft), "again", true)).await.refused();
        assert!(told.contains("was sent just now") && told.contains("Nothing was sent now"), "{told}");
        two_minutes(&gateway).await;
        let told = alice.call("create_message", id(&draft)).await.refused();
        assert!(told.contains("has expired"), "{told}");
        assert_eq!(gateway.ownerrez().count(SEND), 1);

        // The same text in a second draft is the same message for a minute, unless `again` is set.
        let second = alice.call("draft_message", hello.clone()).await.ok();
        alice.call("create_message", id(&second)).await.ok();
        let third = alice.call("draft_message", hello).await.ok();
        assert_eq!(alice.call("create_message", id(&third)).await.ok()["repeated"], json!(true));
        alice.call("create_message", with(id(&third), "again", true)).await.ok();
        assert_eq!(gateway.ownerrez().count(SEND), 3);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_draft_that_was_sent_is_refused_as_long_as_it_lives() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let draft = alice.call("draft_message", message(&alice, "Hello").await).await.ok();
        alice.call("create_message", id(&draft)).await.ok();
        for _ in 0..14 {
            two_minutes(&gateway).await;
            gateway.app().sessions().run_background_jobs().await;
            let told = alice.call("create_message", id(&draft)).await.refused();
            assert!(told.contains("draft was sent") && told.contains("create a new draft"), "{told}");
        }
        assert_eq!(gateway.ownerrez().count(SEND), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_shapes_of_before_answer_with_a_draft_first() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let plain = message(&alice, "Plain").await;
        let nested = json!({"data": message(&alice, "Nested").await});
        for (sent, shape) in [plain, nested].into_iter().enumerate() {
            let draft = alice.call("create_message", shape.clone()).await.ok();
            assert_eq!((&draft["sent"], gateway.ownerrez().count(SEND)), (&json!(false), sent));
            // The second step in the same format, with the id added.
            let message = alice.call("create_message", with(shape, "draft_id", draft["draft_id"].clone())).await.ok();
            assert_eq!(message["body"], draft["draft"]["body"]);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_is_not_the_draft_is_not_sent() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        let hello = message(&alice, "Hello").await;
        let draft = alice.call("draft_message", hello.clone()).await.ok();
        let confirm = alice.call("delete_guest", json!({"id": 1})).await.ok()["confirm"].clone();
        gateway.ownerrez().clear_requests();

        let text = draft["draft_id"].as_str().unwrap();
        let altered = format!("{}x{}", &text[..30], &text[31..]);
        let altered = if altered == text { format!("{}y{}", &text[..30], &text[31..]) } else { altered };
        for (who, arguments, words) in [
            (&bob, id(&draft), "another user's"),
            (&alice, json!({"draft_id": altered}), "not copied exactly"),
            (&alice, json!({"draft_id": confirm}), "not copied exactly"),
            (&alice, with(with(hello.clone(), "body", "Hello!"), "draft_id", text), "another call"),
            (&alice, with(with(hello.clone(), "thread_id", 1), "draft_id", text), "another call"),
        ] {
            let told = who.call("create_message", arguments).await.refused();
            assert!(told.contains(words) && told.contains("draft_message"), "{told}");
        }
        let told = alice.call("create_message", json!({"draft_id": 7})).await.refused();
        assert!(told.contains("`draft_id`"), "{told}");
        let told = alice.call("draft_message", json!({"thread_id": 1})).await.refused();
        assert!(told.starts_with("draft_message: `body` is missing"), "{told}");
        gateway.advance(TimeDelta::minutes(30));
        let told = alice.call("create_message", id(&draft)).await.refused();
        assert!(told.contains("has expired"), "{told}");
        assert_eq!(gateway.ownerrez().count(ANYTHING), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn two_processes_send_a_draft_once() {
    on_postgres(async |database| {
        let gateway = Gateway::start_with(database, one_of_several()).await;
        let alice = gateway.connected_user("Alice").await;
        let other = gateway.start_another(Settings::default()).await;
        let there = alice.at(&other.url);
        for round in 1..=5 {
            let draft = alice.call("draft_message", message(&alice, &format!("Hello {round}")).await).await.ok();
            let (one, two) =
                join(alice.call("create_message", id(&draft)), there.call("create_message", id(&draft))).await;
            assert!(one.is_ok() || two.is_ok());
            assert_eq!(gateway.ownerrez().count(SEND), round);
        }
        other.stop().await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_draft_that_was_not_sent_can_still_be_sent() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let draft = alice.call("draft_message", message(&alice, "Hello").await).await.ok();
        gateway.ownerrez().change(|switches| switches.messaging = false);
        let told = alice.call("create_message", id(&draft)).await.refused();
        assert!(told.contains("messaging_not_enabled"), "{told}");
        gateway.ownerrez().change(|switches| switches.messaging = true);
        alice.call("create_message", id(&draft)).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_message_whose_answer_is_lost_is_unknown_and_its_draft_is_used_up() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let draft = alice.call("draft_message", message(&alice, "Hello").await).await.ok();
        gateway.ownerrez().script(Rule::on(SEND).lose_reply());
        let told = alice.call("create_message", id(&draft)).await.refused();
        assert!(told.contains("unknown") && told.contains("`list_messages` with"), "{told}");
        let told = alice.call("create_message", with(id(&draft), "again", true)).await.refused();
        assert!(told.contains("unknown outcome") && told.contains("create a new draft"), "{told}");
        assert_eq!(gateway.ownerrez().count(SEND), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_person_who_can_be_asked_sees_the_message_and_a_draft_is_sent_once_all_the_same() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let hello = message(&alice, "Welcome, Ada!").await;
        let (question, state) = asked(&alice, "create_message", &hello).await;
        assert!(question.contains("Welcome, Ada!") && question.contains("A guest gets this at once"), "{question}");
        assert_eq!(gateway.ownerrez().count(SEND), 0);
        answered(&alice, "create_message", &hello, &state, "accept").await.ok();

        two_minutes(&gateway).await;
        let draft = id(&alice.call("draft_message", hello).await.ok());
        let states = [asked(&alice, "create_message", &draft).await.1, asked(&alice, "create_message", &draft).await.1];
        answered(&alice, "create_message", &draft, &states[0], "accept").await.ok();
        two_minutes(&gateway).await;
        for state in states {
            let told = answered(&alice, "create_message", &draft, &state, "accept").await.refused();
            assert!(told.contains("draft was sent"), "{told}");
        }
        assert_eq!(gateway.ownerrez().count(SEND), 2);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn drafting_is_listed_for_those_who_may_send() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let made = alice.post("/api/keys", &json!({"name": "reader", "scope": "read"})).await;
        let reader = alice.with_key(made.body["api_key"].as_str().unwrap(), &alice.id);
        for (who, listed) in [(&alice, true), (&reader, false)] {
            let list = who.mcp(&rpc(1, "tools/list", json!({}))).await;
            let tools = list.body["result"]["tools"].as_array().unwrap();
            assert_eq!(tools.iter().any(|tool| tool["name"] == json!("draft_message")), listed);
        }
        gateway.stop().await;
    })
    .await;
}
