//! Calls that delete data permanently or reach a guest: the user is asked if the client supports it, otherwise the call
//! takes two steps.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{ANYTHING, guest, with};
use crate::world::{Answer, Gateway, Person, Reply, on_each_database, rpc};

const REMOVE: &str = "DELETE /v2/guests/{id}";
const NEWEST: &str = "2026-07-28";

/// Creates a guest of this user that can be deleted.
pub(super) async fn someone(person: &Person, name: &str) -> Value {
    json!({"id": person.call("create_guest", guest(name)).await.ok()["id"]})
}

/// Returns the response to `tools/call` in the newest revision for a client with these capabilities. `more` is added to
/// the parameters.
pub(super) async fn call(person: &Person, able: Value, tool: &str, arguments: &Value, more: Value) -> Reply {
    call_at(person, "/mcp", &[], able, tool, arguments, more).await
}

/// Does the same at another path, with more headers.
pub(super) async fn call_at(
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

/// Makes a call with a client that supports elicitation; returns the question and the state to send back.
pub(super) async fn asked(person: &Person, tool: &str, arguments: &Value) -> (String, Value) {
    let reply = call(person, json!({"elicitation": {}}), tool, arguments, json!({})).await;
    let result = &reply.body["result"];
    assert_eq!(result["resultType"], json!("input_required"), "{}", reply.body);
    let question = &result["inputRequests"]["consent"];
    assert_eq!(question["method"], json!("elicitation/create"));
    assert_eq!(question["params"]["requestedSchema"]["type"], json!("object"));
    (question["params"]["message"].as_str().unwrap().to_owned(), result["requestState"].clone())
}

/// Repeats the call with the user's answer.
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
        // Both steps again.
        for again in [&confirmed, &ada] {
            assert_eq!(alice.call("delete_guest", again.clone()).await.ok()["repeated"], json!(true));
        }
        // Later, or with `again`, the same confirmation is no longer valid.
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
            (&bob, "delete_guest", &ada, &token, "another user's"),
            (&alice, "delete_guest", &bea, &token, "another call"),
            (&alice, "delete_quote", &ada, &token, "another call"),
            (&alice, "delete_guest", &ada, &json!(altered), "not copied exactly"),
            (&alice, "delete_guest", &ada, &json!("yes"), "not copied exactly"),
        ] {
            let told = who.call(tool, with(arguments.clone(), "confirm", confirm.clone())).await.refused();
            assert!(told.contains(words) && told.contains("Nothing was sent"), "{tool}: {told}");
        }
        gateway.advance(TimeDelta::minutes(10));
        let told = alice.call("delete_guest", with(ada, "confirm", token)).await.refused();
        assert!(told.contains("has expired"), "{told}");
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
        assert_eq!(question, format!("Delete a guest? This cannot be undone.\nAffects the guest {}", ada["id"]));
        for (no, words) in
            [("decline", "answered with no"), ("cancel", "without an answer"), ("perhaps", "without an answer")]
        {
            let told = answered(&alice, "delete_guest", &ada, &state, no).await.refused();
            assert!(told.contains(words) && told.contains("nothing was changed"), "{told}");
            for setting in ["`?two_steps=true`", "`X-MCP-Two-Steps: true`", "`MCP_TWO_STEPS=true`"] {
                assert!(told.contains(setting), "{told}");
            }
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
            // The token for a client without elicitation is not an answer of the user.
            (&alice, "delete_guest", &ada, &told),
        ] {
            answered(who, tool, arguments, state, "accept").await.refused();
        }
        // The state of a question, which the model never saw, is not a confirmation either.
        alice.call("delete_guest", with(ada.clone(), "confirm", state.clone())).await.refused();
        // If the user can be asked, the model's confirmation is not enough.
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

        // If the user returns without having connected, the response is text, not the same URL elicitation again.
        let back = || json!({"inputResponses": {"connect": {"action": "accept"}}});
        let told = Answer(call(&alice, able(), "list_properties", &json!({}), back()).await).refused();
        assert!(told.contains("No OwnerRez account is connected"), "{told}");

        let account = gateway.ownerrez().add_account("Alice").id;
        let alice = alice.connect(&gateway, account).await;
        Answer(call(&alice, able(), "list_properties", &json!({}), back()).await).ok();

        // A client that supports only form elicitation gets the link as text.
        let bob = gateway.user("Bob").await;
        let plain = call(&bob, json!({"elicitation": {}}), "list_properties", &json!({}), json!({})).await;
        assert!(Answer(plain).refused().contains("/api/connect/ownerrez/authorize?state="));
        gateway.stop().await;
    })
    .await;
}
