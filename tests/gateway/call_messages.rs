//! The message of a tool call: what it may contain, and what is refused before the tool runs.

use serde_json::{Value, json};

use crate::world::{Gateway, Person, Reply, on_each_database};

const JSON: (&str, &str) = ("content-type", "application/json");
const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const REVISION: (&str, &str) = ("mcp-protocol-version", "2025-06-18");

async fn sent(person: &Person, message: &Value) -> Reply {
    person.send("POST", "/mcp", &[JSON, ACCEPT, REVISION], Some(message.to_string())).await
}

/// Returns the responses to a call, and to the same call with metadata that the gateway does not know.
async fn with_and_without_metadata(person: &Person, id: Value, params: Value) -> [Reply; 2] {
    let mut unusual = params.clone();
    unusual["_meta"] = json!({"example.com/unusual": true});
    let message = |params| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
    [sent(person, &message(params)).await, sent(person, &message(unusual)).await]
}

#[actix_web::test]
async fn unknown_metadata_changes_no_response() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let unconnected = gateway.user("Not connected").await;
        for (person, id, params) in [
            (&alice, json!(1), json!({"name": "get_current_user", "arguments": {}})),
            (&alice, json!("an id"), json!({"name": "list_properties", "arguments": {"limit": 2}})),
            (&alice, json!(2), json!({"name": "list_properties"})),
            (&alice, json!(3), json!({"name": "list_properties", "arguments": {"format": "table"}})),
            (&alice, json!(4), json!({"name": "list_bookings", "arguments": {"limit": "many", "colour": "red"}})),
            (&alice, json!(5), json!({"name": "get_booking", "arguments": {"id": 1}})),
            (&alice, json!(6), json!({"name": "no_such_tool", "arguments": {}})),
            (
                &alice,
                json!(7),
                json!({"name": "call_operation", "arguments": {"name": "list_owners", "arguments": {}}}),
            ),
            (&alice, json!(8), json!({"name": "find_operation", "arguments": {"query": "owners"}})),
            (&unconnected, json!(9), json!({"name": "list_owners", "arguments": {}})),
        ] {
            gateway.ownerrez().clear_requests();
            let [plain, annotated] = with_and_without_metadata(person, id.clone(), params.clone()).await;
            assert_eq!((plain.status, annotated.status), (200, 200), "{params}");
            assert_eq!(plain.header("content-type"), annotated.header("content-type"), "{params}");
            let (mut plain, mut annotated) = (plain.body, annotated.body);
            if person.account.is_none() {
                // Each response has a different link.
                for body in [&mut plain, &mut annotated] {
                    assert!(body["result"]["content"][0]["text"].as_str().unwrap().contains("/connect/"), "{body}");
                    body["result"]["content"] = Value::Null;
                }
            }
            assert_eq!(plain, annotated, "{params}");
            assert_eq!(plain["id"], id);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_progress_token_is_accepted_and_wrong_messages_are_refused() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let call = |extra: Value| {
            let mut message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": {"name": "list_owners", "arguments": {}}});
            message["params"].as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            message
        };
        let token = json!({"_meta": {"progressToken": 7}});
        assert!(sent(&alice, &call(token)).await.body["result"]["structuredContent"]["items"].is_array());

        let plain = call(json!({})).to_string();
        for (headers, status) in [
            (vec![JSON, REVISION, ("accept", "text/html")], 406),
            (vec![ACCEPT, REVISION, ("content-type", "text/plain")], 415),
            (vec![JSON, ACCEPT, ("mcp-protocol-version", "1999-12-31")], 400),
            (vec![JSON, ACCEPT, REVISION, ("mcp-method", "tools/list")], 200),
        ] {
            let reply = alice.send("POST", "/mcp", &headers, Some(plain.clone())).await;
            assert_eq!(reply.status, status, "{headers:?}: {}", reply.body);
        }
        for broken in [
            json!({"jsonrpc": "1.0", "id": 1, "method": "tools/call", "params": {"name": "list_owners"}}),
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 7}}),
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call"}),
            json!(["2.0", 1, "tools/call", {"name": "list_owners"}]),
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ["list_owners", {}, {}]}),
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_owners", "_meta": [1]}}),
        ] {
            let reply = sent(&alice, &broken).await;
            assert!(reply.body["result"].is_null() && reply.body["error"].is_object(), "{broken}: {}", reply.body);
        }
        gateway.stop().await;
    })
    .await;
}
