//! Batches in the revision that supports them: split, answered in order, and bounded.

use serde_json::{Value, json};

use crate::world::{Gateway, Person, Reply, on_each_database, rpc};

async fn send(person: &Person, version: Option<&str>, batch: Value) -> Reply {
    let mut headers = vec![("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    headers.extend(version.map(|version| ("mcp-protocol-version", version)));
    person.send("POST", "/mcp", &headers, Some(batch.to_string())).await
}

#[actix_web::test]
async fn a_batch_is_answered_in_order_and_notifications_are_not() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let call = |id: u64, tool: &str| rpc(id, "tools/call", json!({"name": tool, "arguments": {}}));
        let mut named = call(3, "get_current_user");
        named["id"] = json!("three");
        let batch =
            json!([call(7, "get_current_user"), note, rpc(1, "ping", json!({})), named, call(2, "no_such_tool")]);
        for version in [None, Some("2025-03-26")] {
            let reply = send(&alice, version, batch.clone()).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
            let answers = reply.body.as_array().unwrap();
            let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
            assert_eq!(ids, [&json!(7), &json!(1), &json!("three"), &json!(2)], "{}", reply.body);
            let text = answers[0]["result"]["content"][0]["text"].as_str().unwrap();
            assert!(text.contains(&alice.account.unwrap().0.to_string()), "{text}");
            assert_eq!(answers[3]["error"]["code"], json!(-32602));
        }
        let silent = send(&alice, None, json!([note, {"jsonrpc": "2.0", "id": 1, "result": {}}])).await;
        assert_eq!((silent.status, &silent.body), (202, &json!("")));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_batch_that_is_none_is_refused_whole_or_in_part() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let ping = |id: u64| rpc(id, "ping", json!({}));
        let full: Vec<Value> = (0..20).map(ping).collect();
        let over: Vec<Value> = (0..21).map(ping).collect();
        assert_eq!(send(&alice, None, json!(full)).await.body.as_array().unwrap().len(), 20);
        for batch in [json!(over), json!([])] {
            let refused = send(&alice, None, batch).await;
            assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!(-32600)), "{}", refused.body);
            assert!(refused.body["error"]["message"].as_str().unwrap().contains("1 to 20"));
        }
        let odd = json!([7, [ping(1)], rpc(2, "initialize", json!({})), {"jsonrpc": "1.0", "id": 3, "method": "ping"}, ping(4)]);
        let reply = send(&alice, None, odd).await;
        let answers = reply.body.as_array().unwrap();
        assert_eq!(answers.len(), 5, "{}", reply.body);
        for refused in &answers[..4] {
            assert!(refused["error"]["code"].is_i64(), "{refused}");
        }
        assert_eq!((&answers[4]["id"], &answers[4]["result"]), (&json!(4), &json!({})));
        // Later revisions removed batches.
        for version in ["2025-06-18", "2025-11-25"] {
            let refused = send(&alice, Some(version), json!([ping(1)])).await;
            assert!((400..500).contains(&refused.status), "{version}: {} {}", refused.status, refused.body);
        }
        assert_eq!(send(&Person::visitor(&gateway.url), None, json!([ping(1)])).await.status, 401);
        gateway.stop().await;
    })
    .await;
}
