//! What removes something for good or reaches a guest: the person is asked where the client can ask, and otherwise it
//! takes two steps.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{ANYTHING, guest, with};
use crate::world::{Answer, Gateway, Person, Reply, on_each_database, rpc};

const REMOVE: &str = "DELETE /v2/guests/{id}";
const NEWEST: &str = "2026-07-28";

/// A guest of this person's who can be removed.
async fn someone(person: &Person, name: &str) -> Value {
    json!({"id": person.call("create_guest", guest(name)).await.ok()["id"]})
}

/// What `tools/call` of the newest revision answers a client with these capabilities. `more` stands beside the arguments.
pub(super) async fn call(person: &Person, able: Value, tool: &str, arguments: &Value, more: Value) -> Reply {
    call_at(person, "/mcp", &[], able, tool, arguments, more).await
}

/// The same at another path, with more headers.
async fn call_at(
    person: &Person,
    path: &str,
    more_headers: &[(&str, &str)],
    able: Value,
    tool: &str,
    arguments: &Value,
    more: Value,
) -> Reply {
    let mut params = json!({"name": tool, "arguments": arguments, "_meta": {
        "io.modelcontextprotocol/protocolVersion": NEWEST,
        "io.modelcontextprotocol/clientInfo": {"name": "story", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": able,
    }});
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", NEWEST),
        ("mcp-method", "tools/call"),
        ("mcp-name", tool),
    ];
    let headers = [&headers, more_headers].concat();
    let reply = person.send("POST", path, &headers, Some(rpc(1, "tools/call", params).to_string())).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply
}

/// A call by a client that can ask; the question and the state that goes back with the answer.
pub(super) async fn asked(person: &Person, tool: &str, arguments: &Value) -> (String, Value) {
    let reply = call(person, json!({"elicitation": {}}), tool, arguments, json!({})).await;
    let result = &reply.body["result"];
    assert_eq!(result["resultType"], json!("input_required"), "{}", reply.body);
    let question = &result["inputRequests"]["consent"];
    assert_eq!(question["method"], json!("elicitation/create"));
    assert_eq!(question["params"]["requestedSchema"]["type"], json!("object"));
    (question["params"]["message"].as_str().unwrap().to_owned(), result["requestState"].clone())
}

/// The same call once more, with the person's answer.
pub(super) async fn answered(person: &Person, tool: &str, arguments: &Value, state: &Value, action: &str) -> Answer {
    let answers = json!({"requestState": state, "inputResponses": {"consent": {"action": action, "content": {}}}});
    Answer(call(person, json!({"elicitation": {"form": {}}}), tool, arguments, answers).await)
}

#[actix_web::test]
async fn a_removal_takes_two_steps_and_the_first_costs_nothing() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let ada = someone(&alice, "Ada").await;
        gateway.ownerrez().clear_requests();
        let first = alice.call("delete_guest", ada.clone()).await.ok();
        assert_eq!(first["would"], json!({"tool": "delete_guest", "arguments": ada}));
        assert_eq!((&first["done"], gateway.ownerrez().count(ANYTHING)), (&json!(false), 0));
        assert!(first["next"].as_str().unwrap().contains("cannot be undone"), "{first}");

        let confirmed = with(ada.clone(), "confirm", first["confirm"].clone());
        assert_eq!(alice.call("delete_guest", confirmed.clone()).await.ok()["done"], json!(true));
        // Both steps, once more.
        for again in [&confirmed, &ada] {
            assert_eq!(alice.call("delete_guest", again.clone()).await.ok()["repeated"], json!(true));
        }
        // Later, and on purpose, the same confirmation holds no more.
        for late in [with(confirmed.clone(), "again", true), confirmed] {
            let told = alice.call("delete_guest", late).await.refused();
            assert!(told.contains("confirmation was used") && told.contains("Nothing was sent"), "{told}");
            gateway.advance(TimeDelta::minutes(2));
        }
        assert!(alice.call("delete_guest", ada).await.ok()["confirm"].is_string(), "a new wish, to be agreed to anew");
        assert_eq!(gateway.ownerrez().count(REMOVE), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_confirmation_is_for_one_user_one_tool_and_one_set_of_arguments() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        let (ada, bea) = (someone(&alice, "Ada").await, someone(&alice, "Bea").await);
        let token = alice.call("delete_guest", ada.clone()).await.ok()["confirm"].clone();
        gateway.ownerrez().clear_requests();

        let text = token.as_str().unwrap();
        let altered = format!("{}{}", &text[..text.len() - 2], if text.ends_with("AA") { "BB" } else { "AA" });
        for (who, tool, arguments, confirm, words) in [
            (&bob, "delete_guest", &ada, &token, "not one of this user's"),
            (&alice, "delete_guest", &bea, &token, "not this call"),
            (&alice, "delete_quote", &ada, &token, "not this call"),
            (&alice, "delete_guest", &ada, &json!(altered), "not copied exactly"),
            (&alice, "delete_guest", &ada, &json!("yes"), "not copied exactly"),
        ] {
            let told = who.call(tool, with(arguments.clone(), "confirm", confirm.clone())).await.refused();
            assert!(told.contains(words) && told.contains("Nothing was sent"), "{tool}: {told}");
        }
        gateway.advance(TimeDelta::minutes(10));
        let told = alice.call("delete_guest", with(ada, "confirm", token)).await.refused();
        assert!(told.contains("too old"), "{told}");
        assert_eq!(gateway.ownerrez().count(ANYTHING), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_client_that_can_ask_asks_its_person() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let ada = someone(&alice, "Ada").await;
        gateway.ownerrez().clear_requests();

        let (question, state) = asked(&alice, "delete_guest", &ada).await;
        assert_eq!(question, format!("Delete a guest? This cannot be undone.\nAffects id: {}", ada["id"]));
        for (no, words) in
            [("decline", "answered with no"), ("cancel", "without an answer"), ("perhaps", "without an answer")]
        {
            let told = answered(&alice, "delete_guest", &ada, &state, no).await.refused();
            assert!(told.contains(words) && told.contains("nothing was changed"), "{told}");
            assert!(told.contains("`?two_steps=true`") && told.contains("`X-MCP-Two-Steps: true`"), "{told}");
        }
        assert_eq!(gateway.ownerrez().count(ANYTHING), 0);
        assert_eq!(answered(&alice, "delete_guest", &ada, &state, "accept").await.ok()["done"], json!(true));
        assert_eq!(gateway.ownerrez().count(REMOVE), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_answer_counts_for_what_was_asked_and_for_nobody_else() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        let (ada, bea) = (someone(&alice, "Ada").await, someone(&alice, "Bea").await);
        gateway.ownerrez().clear_requests();
        let (_, state) = asked(&alice, "delete_guest", &ada).await;
        let told = alice.call("delete_guest", ada.clone()).await.ok()["confirm"].clone();

        for (who, tool, arguments, state) in [
            (&alice, "delete_guest", &bea, &state),
            (&alice, "delete_quote", &ada, &state),
            (&bob, "delete_guest", &ada, &state),
            (&alice, "delete_guest", &ada, &json!("made up")),
            // The token of a client that cannot ask is no answer of a person.
            (&alice, "delete_guest", &ada, &told),
        ] {
            answered(who, tool, arguments, state, "accept").await.refused();
        }
        // Nor is the state of a question, which the model never saw, a confirmation.
        alice.call("delete_guest", with(ada.clone(), "confirm", state.clone())).await.refused();
        // And where the person can be asked, the model's word is not enough.
        asked(&alice, "delete_guest", &with(ada.clone(), "confirm", told)).await;
        assert_eq!(gateway.ownerrez().count(ANYTHING), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_client_of_the_newest_revision_that_cannot_show_a_question_takes_two_steps() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let ada = someone(&alice, "Ada").await;
        for able in [json!({}), json!({"elicitation": {"url": {}}})] {
            let first = Answer(call(&alice, able, "delete_guest", &ada, json!({})).await).ok();
            assert!(first["confirm"].is_string(), "{first}");
        }
        gateway.stop().await;
    })
    .await;
}

/// `claude -p` and `copilot -p` declare that they can ask, and answer by themselves.
#[actix_web::test]
async fn a_connection_set_to_two_steps_is_never_asked() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let made = alice.post("/api/keys", &json!({"name": "headless", "scope": "full", "two_steps": true})).await;
        assert_eq!((made.status, &made.body["two_steps"]), (201, &json!(true)), "{}", made.body);
        let keys = alice.get("/api/keys").await.body["keys"].clone();
        let shown: Vec<&Value> = keys.as_array().unwrap().iter().map(|key| &key["two_steps"]).collect();
        assert_eq!(shown, [&json!(false), &json!(true)]);
        let headless = alice.with_key(made.body["api_key"].as_str().unwrap(), &alice.id);
        let able = || json!({"elicitation": {"form": {}}});
        for (who, path, headers) in [
            (&headless, "/mcp", &[][..]),
            (&headless, "/mcp?two_steps=false", &[("x-mcp-two-steps", "false")]),
            (&alice, "/mcp?two_steps=true", &[]),
            (&alice, "/mcp/x/all?two_steps=1", &[]),
            (&alice, "/mcp", &[("x-mcp-two-steps", "true")]),
        ] {
            let ada = someone(&alice, "Ada").await;
            let first = call_at(who, path, headers, able(), "delete_guest", &ada, json!({})).await;
            let first = Answer(first).ok();
            assert_eq!(first["done"], json!(false), "{path}: {first}");
            // An answer to a question that was never shown is no consent.
            let reply = json!({"requestState": first["confirm"], "inputResponses": {"consent": {"action": "accept"}}});
            let second = call_at(who, path, headers, able(), "delete_guest", &ada, reply).await;
            assert_eq!(Answer(second).ok()["done"], json!(false));
            let next = &first["next_call"];
            let tool = next["tool"].as_str().unwrap();
            let done = call_at(who, path, headers, able(), tool, &next["arguments"], json!({})).await;
            assert_eq!(Answer(done).ok()["done"], json!(true), "{path}");
            gateway.advance(TimeDelta::minutes(2));
        }
        // Without the setting, and where a model says it, the person is asked.
        let ada = someone(&alice, "Ada").await;
        for (path, headers) in [("/mcp", &[][..]), ("/mcp?two_steps=", &[("x-mcp-two-steps", "no")])] {
            let asked = call_at(&alice, path, headers, able(), "delete_guest", &ada, json!({})).await;
            assert_eq!(asked.body["result"]["resultType"], json!("input_required"), "{}", asked.body);
        }
        let argument = call(&alice, able(), "delete_guest", &with(ada, "two_steps", true), json!({})).await;
        assert!(Answer(argument).refused().contains("no argument `two_steps`"));
        gateway.stop().await;
    })
    .await;
}

/// What is not listed is confirmed by the tool that called it.
#[actix_web::test]
async fn the_second_step_of_call_operation_is_call_operation() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let tagged = async |name: &str| {
            let ada = someone(&alice, name).await["id"].clone();
            let tag = json!({"name": "007", "entity_id": ada, "entity_type": "guest"});
            alice.call("create_tag", tag.clone()).await.ok();
            tag
        };
        let call = |arguments: &Value| json!({"name": "delete_tag_by_name", "arguments": arguments});
        let tag = tagged("Ada").await;
        let first = alice.call("call_operation", call(&tag)).await.ok();
        let next = &first["next_call"];
        assert_eq!(next["tool"], json!("call_operation"), "{first}");
        assert!(first["next"].as_str().unwrap().contains("call `call_operation`"), "{first}");
        assert_eq!(alice.call("call_operation", next["arguments"].clone()).await.ok()["done"], json!(true));

        // The confirmation is good beside the name and within the arguments, and not with two values.
        let tag = tagged("Bea").await;
        let confirm = alice.call("call_operation", call(&tag)).await.ok()["confirm"].clone();
        let torn = with(call(&with(tag.clone(), "confirm", confirm.clone())), "confirm", "another");
        assert!(alice.call("call_operation", torn).await.refused().contains("give it once"));
        let within = call(&with(tag.clone(), "confirm", confirm.clone()));
        assert_eq!(alice.call("call_operation", with(within, "confirm", "")).await.ok()["done"], json!(true));

        let tag = tagged("Cleo").await;
        let asked = with(with(call(&tag), "again", true), "idempotency_key", "k-1");
        let first = alice.call("call_operation", asked).await.ok();
        let second = &first["next_call"]["arguments"];
        assert_eq!(
            (&second["arguments"]["again"], &second["arguments"]["idempotency_key"]),
            (&json!(true), &json!("k-1"))
        );
        assert_eq!(alice.call("call_operation", second.clone()).await.ok()["done"], json!(true));
        // A read takes what a client has to send and the model left empty.
        alice.call("call_operation", json!({"name": "list_surcharges", "arguments": "", "confirm": ""})).await.ok();

        // A draft that was made this way is sent this way.
        let draft = json!({"name": "draft_message", "arguments": super::drafts::message(&alice, "Hello").await});
        let draft = alice.call("call_operation", draft).await.ok();
        assert!(
            draft["next"].as_str().unwrap().contains("`call_operation` with `name`: \"create_message\""),
            "{draft}"
        );
        let send = json!({"name": "create_message", "draft_id": draft["draft_id"]});
        alice.call("call_operation", send).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_quote_needs_consent_when_it_is_mailed() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let property = alice.call("list_properties", json!({})).await.ok()["items"][0]["id"].clone();
        let ada = someone(&alice, "Ada").await["id"].clone();
        let quote =
            json!({"property_id": property, "guest_id": ada, "arrival": "2028-04-10", "departure": "2028-04-14"});
        assert!(alice.call("create_quote", quote.clone()).await.ok()["id"].is_number());
        let mailed = with(quote, "generate_email", true);
        let first = alice.call("create_quote", mailed.clone()).await.ok();
        assert!(first["next"].as_str().unwrap().contains("reaches a guest"), "{first}");
        assert_eq!(gateway.ownerrez().count("POST /v2/quotes"), 1);
        let second = alice.call("create_quote", with(mailed, "confirm", first["confirm"].clone())).await.ok();
        assert!(second["id"].is_number());
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn whoever_has_not_connected_is_sent_to_the_page_and_the_call_is_made_afterwards() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let able = || json!({"elicitation": {"url": {}}});
        let reply = call(&alice, able(), "list_properties", &json!({}), json!({})).await;
        let errand = &reply.body["result"]["inputRequests"]["connect"];
        assert_eq!(reply.body["result"]["resultType"], json!("input_required"), "{}", reply.body);
        assert_eq!((&errand["method"], &errand["params"]["mode"]), (&json!("elicitation/create"), &json!("url")));
        let page = errand["params"]["url"].as_str().unwrap();
        assert!(page.starts_with(&format!("{}/api/connect/ownerrez/authorize?state=", gateway.url)), "{page}");

        // Back without having connected: told in words, not sent round in circles.
        let back = || json!({"inputResponses": {"connect": {"action": "accept"}}});
        let told = Answer(call(&alice, able(), "list_properties", &json!({}), back()).await).refused();
        assert!(told.contains("No OwnerRez account is connected"), "{told}");

        let account = gateway.ownerrez().add_account("Alice").id;
        let alice = alice.connect(&gateway, account).await;
        Answer(call(&alice, able(), "list_properties", &json!({}), back()).await).ok();

        // A client that shows forms only gets the link in words.
        let bob = gateway.user("Bob").await;
        let plain = call(&bob, json!({"elicitation": {}}), "list_properties", &json!({}), json!({})).await;
        assert!(Answer(plain).refused().contains("/api/connect/ownerrez/authorize?state="));
        gateway.stop().await;
    })
    .await;
}
