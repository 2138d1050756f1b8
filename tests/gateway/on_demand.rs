//! Unlisted operations, found by search and called by name: with the same checks, permissions, responses and metrics as
//! listed ones.

use serde_json::{Value, json};

use crate::world::{Answer, Gateway, Person, on_each_database, rpc};

fn found(answer: &Value) -> Vec<&str> {
    answer["operations"].as_array().unwrap().iter().map(|found| found["name"].as_str().unwrap()).collect()
}

async fn at(person: &Person, path: &str, tool: &str, arguments: Value) -> Answer {
    let call = rpc(1, "tools/call", json!({"name": tool, "arguments": arguments}));
    Answer(person.mcp_at(path, &[], &call).await)
}

#[actix_web::test]
async fn an_operation_is_found_by_words_and_called_by_name() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().clear_requests();
        let answer = alice.call("find_operation", json!({"query": "our surcharges, such as for cleaning"})).await.ok();
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0, "looking costs nothing");
        let best = &answer["operations"][0];
        assert_eq!(best["name"], json!("list_surcharges"), "{answer}");
        assert_eq!((&best["read_only"], &best["destructive"]), (&json!(true), &json!(false)));
        assert!(best["input_schema"]["properties"]["limit"].is_object(), "{best}");

        let through = alice.call("call_operation", json!({"name": "list_surcharges", "arguments": {"limit": 1}})).await;
        let direct = alice.call("list_surcharges", json!({"limit": 1})).await;
        assert_eq!(through.0.body, direct.0.body);
        assert_eq!(through.ok()["items"][0]["name"], json!("Cleaning"));
        // Listed operations and composite tools can be called that way as well.
        alice.call("call_operation", json!({"name": "get_current_user"})).await.ok();
        alice.call("call_operation", json!({"name": "who_is_staying", "arguments": "{}"})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn finding_leaves_out_what_is_listed_and_says_so() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let list = alice.mcp(&rpc(1, "tools/list", json!({}))).await;
        let listed: Vec<&str> = list.body["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].as_str().unwrap())
            .collect();
        assert!(listed.contains(&"find_operation") && listed.contains(&"call_operation"));
        for query in ["list bookings", "guest", "delete", "tag", "a"] {
            let answer = alice.call("find_operation", json!({"query": query, "limit": 10})).await.ok();
            assert!(found(&answer).iter().all(|name| !listed.contains(name)), "{query}: {answer}");
        }
        let answer = alice.call("find_operation", json!({"query": "list bookings"})).await.ok();
        assert_eq!(answer["already_listed"][0], json!("list_bookings"), "{answer}");
        let nothing = alice.call("find_operation", json!({"query": "launch a rocket"})).await.ok();
        assert!(found(&nothing).is_empty() && nothing["note"].is_string(), "{nothing}");

        // The response says what is not possible, and suggests no operation that changes something else.
        for (query, cannot) in [
            ("delete booking", "no operation that deletes a booking"),
            ("refund a guest", "makes no refunds"),
            ("send email", "`create_message`"),
            ("charge card", "charges no card"),
        ] {
            let answer = alice.call("find_operation", json!({"query": query, "limit": 10})).await.ok();
            assert!(answer["cannot"].as_str().unwrap().contains(cannot), "{answer}");
            assert!(answer["note"].as_str().unwrap().contains("`cannot`"), "{answer}");
            let shown = answer["operations"].as_array().unwrap();
            assert!(shown.iter().all(|operation| operation["read_only"] == json!(true)), "{answer}");
            let listed = answer["already_listed"].as_array().cloned().unwrap_or_default();
            assert!(listed.iter().all(|name| !name.as_str().unwrap().contains("delete")), "{answer}");
        }
        let possible = alice.call("find_operation", json!({"query": "delete a discount"})).await.ok();
        assert!(possible["cannot"].is_null() && found(&possible)[0] == "delete_discount", "{possible}");

        let few = alice.call("find_operation", json!({"query": "discounts", "limit": 2})).await.ok();
        assert_eq!(found(&few).len(), 2);
        for wrong in [json!({}), json!({"query": ""}), json!({"query": "x", "limit": 11}), json!({"words": "x"})] {
            assert!(!alice.call("find_operation", wrong).await.refused().is_empty());
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_is_called_through_another_obeys_the_same_rules() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let made = alice.post("/api/keys", &json!({"scope": "read"})).await;
        let reader = alice.with_key(made.body["api_key"].as_str().unwrap(), &alice.id);
        gateway.ownerrez().clear_requests();
        for (tool, arguments) in [
            ("get_surcharge", json!({"id": "x"})),
            ("list_surcharges", json!({"limit": 500, "nope": 1})),
            ("create_tag", json!({})),
        ] {
            let through = alice.call("call_operation", json!({"name": tool, "arguments": arguments.clone()})).await;
            assert_eq!(through.refused(), alice.call(tool, arguments).await.refused());
        }
        let delete = json!({"name": "delete_surcharge", "arguments": {"id": 1}});
        let text = reader.call("call_operation", delete.clone()).await.refused();
        assert!(text.contains("`delete_surcharge`") && text.contains("may only read"), "{text}");
        let text = at(&alice, "/mcp/readonly", "call_operation", delete.clone()).await.refused();
        assert!(text.contains("`delete_surcharge`") && text.contains("read-only"), "{text}");
        // A connection with a tool selection reaches no other tool, by any means.
        let text = at(&alice, "/mcp/x/guests", "call_operation", delete.clone()).await.refused();
        assert!(text.contains("`call_operation` is not in this connection"), "{text}");
        let excluded = [("x-mcp-exclude-tools", "delete_surcharge")];
        let call = rpc(1, "tools/call", json!({"name": "call_operation", "arguments": delete}));
        let text = Answer(alice.mcp_at("/mcp", &excluded, &call).await).refused();
        assert!(text.contains("`delete_surcharge` is not in this connection"), "{text}");
        // Names that do not exist.
        for (name, near) in [("list_surcharge", "list_surcharges"), ("call_operation", "find_operation"), ("x", "find")]
        {
            let text = alice.call("call_operation", json!({"name": name})).await.refused();
            assert!(text.contains(&format!("Unknown operation `{name}`")) && text.contains(near), "{text}");
        }
        for wrong in [json!({}), json!({"name": 1, "arguments": 2}), json!({"name": "list_tags", "arguments": [1]})] {
            assert!(alice.call("call_operation", wrong).await.refused().contains("call_operation"));
        }
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        gateway.stop().await;
    })
    .await;
}

/// Clients ask their users before destructive calls; if the tool cannot destroy anything, they do not have to.
#[actix_web::test]
async fn its_hints_say_what_it_may_do() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        for (path, reads) in [("/mcp", false), ("/mcp/readonly", true)] {
            let list = alice.mcp_at(path, &[], &rpc(1, "tools/list", json!({}))).await;
            let tools = list.body["result"]["tools"].as_array().unwrap().clone();
            let call = tools.iter().find(|tool| tool["name"] == "call_operation").unwrap();
            let hints = json!({
                "readOnlyHint": reads, "destructiveHint": !reads, "idempotentHint": reads, "openWorldHint": true,
            });
            assert_eq!(call["annotations"], hints, "{path}");
        }
        let minimal = [("x-mcp-tools", "find_operation,call_operation")];
        let list = alice.mcp_at("/mcp", &minimal, &rpc(1, "tools/list", json!({}))).await;
        assert_eq!(list.body["result"]["tools"].as_array().unwrap().len(), 2);
        let call = json!({"name": "find_operation", "arguments": {"query": "list_bookings"}});
        let answer = Answer(alice.mcp_at("/mcp", &minimal, &rpc(1, "tools/call", call)).await).ok();
        assert_eq!(found(&answer)[0], "list_bookings");
        gateway.stop().await;
    })
    .await;
}

/// The counters record the called operation, and never an invented name.
#[actix_web::test]
async fn counters_name_the_operation() {
    on_each_database(async |database| {
        let token = "a-token-for-the-figures";
        let gateway =
            Gateway::start_with(database, crate::world::Settings::default().set("METRICS_TOKEN", token)).await;
        let alice = gateway.connected_user("Alice").await;
        alice.call("call_operation", json!({"name": "list_surcharges"})).await.ok();
        alice.call("call_operation", json!({"name": "made_up"})).await.refused();
        let figures = alice.with_key(token, "").get("/metrics").await.body;
        let figures = figures.as_str().unwrap();
        assert!(figures.contains(r#"tool="list_surcharges",outcome="ok""#), "{figures}");
        assert!(figures.contains(r#"tool="call_operation",outcome="unknown_operation""#), "{figures}");
        assert!(!figures.contains("made_up"));
        gateway.stop().await;
    })
    .await;
}
