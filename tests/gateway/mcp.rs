//! The endpoint as MCP clients of every revision see it.

use std::collections::HashSet;

use futures_util::future::join_all;
use ownerrez_gateway::catalog::Catalog;
use serde_json::{Value, json};

use crate::world::{Browser, Gateway, Person, Reply, on_each_database, rpc};

const MODERN: &str = "2026-07-28";

/// A request as a client of 2026-07-28 sends it: everything in the request, nothing before it.
async fn modern(
    person: &Person,
    method: &str,
    name: Option<&str>,
    mut params: Value,
    headers: &[(&str, &str)],
) -> Reply {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "story", "version": "1"},
    });
    let mut all = vec![
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", MODERN),
        ("mcp-method", method),
    ];
    all.extend(name.map(|name| ("mcp-name", name)));
    for (name, value) in headers {
        all.retain(|(known, _)| known != name);
        all.push((name, value));
    }
    person.send("POST", "/mcp", &all, Some(rpc(1, method, params).to_string())).await
}

#[actix_web::test]
async fn every_revision_is_spoken() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
            let params = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "story", "version": "1"}});
            // The first request of those revisions has no version header yet.
            let plain = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
            let reply = alice.send("POST", "/mcp", &plain, Some(rpc(0, "initialize", params).to_string())).await;
            assert_eq!(reply.body["result"]["protocolVersion"], json!(revision));
            assert_eq!(reply.body["result"]["serverInfo"]["name"], json!("ownerrez-gateway"));
            let headers = [
                ("content-type", "application/json"),
                ("accept", "application/json, text/event-stream"),
                ("mcp-protocol-version", revision),
            ];
            let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
            assert_eq!(alice.send("POST", "/mcp", &headers, Some(ready)).await.status, 202);
            let call = rpc(1, "tools/call", json!({"name": "get_current_user", "arguments": {}})).to_string();
            let answer = alice.send("POST", "/mcp", &headers, Some(call)).await;
            assert_eq!(answer.body["result"]["structuredContent"]["id"], json!(alice.account.unwrap().0), "{revision}");
            assert!(answer.header("content-length").is_some() && answer.header("transfer-encoding").is_none());
        }
        let discovered = modern(&alice, "server/discover", None, json!({}), &[]).await;
        assert_eq!(discovered.status, 200, "{}", discovered.body);
        assert!(discovered.body["result"]["supportedVersions"].as_array().unwrap().contains(&json!(MODERN)));
        let list = modern(&alice, "tools/list", None, json!({}), &[]).await;
        assert_eq!(list.body["result"]["cacheScope"], json!("private"), "{}", list.body);
        assert!(list.body["result"]["ttlMs"].as_u64().is_some_and(|ttl| ttl > 0));
        let call = json!({"name": "get_current_user", "arguments": {}});
        let answer = modern(&alice, "tools/call", Some("get_current_user"), call, &[]).await;
        assert_eq!(answer.body["result"]["structuredContent"]["id"], json!(alice.account.unwrap().0));
        assert_eq!(answer.body["result"]["resultType"], json!("complete"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn headers_that_contradict_the_body_are_refused() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let call = || json!({"name": "get_current_user", "arguments": {}});
        let name = Some("get_current_user");
        for headers in [
            [("mcp-method", "tools/list")],
            [("mcp-name", "list_owners")],
            [("mcp-protocol-version", "2025-11-25")],
            [("mcp-protocol-version", "1999-01-01")],
        ] {
            let reply = modern(&alice, "tools/call", name, call(), &headers).await;
            assert_eq!(reply.status, 400, "{headers:?}: {}", reply.body);
        }
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_list_of_tools_is_the_catalogue() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        // Whoever has a key sees the list, connected or not.
        let alice = gateway.user("Alice").await;
        let list = alice.mcp(&rpc(1, "tools/list", json!({}))).await;
        let tools = list.body["result"]["tools"].as_array().unwrap().clone();
        let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        let catalog = Catalog::embedded().unwrap();
        assert_eq!(names, catalog.operations().map(|operation| operation.name()).collect::<Vec<_>>());
        assert!(names.is_sorted() && names.len() == 19);
        for tool in &tools {
            for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
                assert!(tool["annotations"][hint].is_boolean(), "{tool}");
            }
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_list_is_walked_through_by_its_offsets() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().accounts()[0].id;
        let alice = gateway.user("Alice").await.connect(&gateway, account).await;
        let mut seen = HashSet::new();
        let mut offset = json!(0);
        let mut pages = 0;
        loop {
            let page = alice.call("list_properties", json!({"limit": 5, "offset": offset})).await.ok();
            assert!(page["next_page_url"].is_null() && page["count"].as_i64().is_some());
            for item in page["items"].as_array().unwrap() {
                assert!(seen.insert(item["id"].as_i64().unwrap()), "no record comes twice");
            }
            pages += 1;
            offset = page["next_offset"].clone();
            if offset.is_null() {
                assert_eq!(seen.len() as i64, page["count"].as_i64().unwrap());
                break;
            }
        }
        assert!(pages > 1);
        let answer = alice.call("list_owners", json!({})).await.0;
        let result = &answer.body["result"];
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"], "the text says the same");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn wrong_arguments_are_explained_and_cost_nothing() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        for (tool, arguments, named) in [
            ("list_bookings", json!({}), "since_utc"),
            ("list_guests", json!({}), "created_since_utc"),
            ("list_properties", json!({"limit": 0}), "limit"),
            ("list_properties", json!({"limit": "many"}), "limit"),
            ("list_properties", json!({"ofset": 3}), "offset"),
            ("get_booking", json!({}), "id"),
            ("get_booking", json!({"id": "../users/me"}), "id"),
            ("get_property_calendar", json!({"property_id": 1, "from": "2026-01-01", "to": "2028-01-01"}), "366"),
            ("create_guest", json!({"email_addresses": [{"type": "fax"}]}), "email_addresses[0].type"),
            ("update_booking", json!({"id": 1}), "title"),
            ("search_properties", json!({"available_from": "2026-02-30"}), "available_from"),
        ] {
            let text = alice.call(tool, arguments.clone()).await.refused();
            assert!(text.contains(named), "{tool} {arguments}: {text}");
        }
        let catalog = Catalog::embedded().unwrap();
        for operation in catalog.operations() {
            for odd in [
                json!(null),
                json!({"\u{0}": "\u{0}"}),
                json!({"id": -1}),
                json!({"id": 1e300}),
                json!({"id": [[[]]], "limit": {}}),
            ] {
                let params = json!({"name": operation.name(), "arguments": odd});
                let reply = alice.mcp(&rpc(1, "tools/call", params)).await;
                assert!(reply.status < 500, "{}", operation.name());
            }
        }
        let odd_only = gateway.ownerrez().requests().iter().filter(|request| request.path.starts_with("/v2/")).count();
        // `null` arguments are no arguments, which four lists and the account itself are content with.
        let content_with_none = ["get_current_user", "list_owners", "list_properties", "search_properties"].len();
        assert_eq!(odd_only, content_with_none);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_unknown_tool_is_a_protocol_error_with_a_suggestion() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let reply = alice.call("list_propertys", json!({})).await.0;
        assert_eq!(reply.body["error"]["code"], json!(-32602));
        assert!(reply.body["error"]["message"].as_str().unwrap().contains("list_properties"));
        let method = alice.mcp(&rpc(1, "no/such", json!({}))).await;
        assert_eq!(method.body["error"]["code"], json!(-32601));
        assert_eq!(alice.get("/mcp").await.status, 405);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_unconnected_user_gets_a_link_that_works() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let text = alice.call("list_properties", json!({})).await.refused();
        let link = text.split_whitespace().find(|word| word.starts_with("http")).unwrap();
        let mut browser = Browser::new();
        let to_ownerrez = browser.give_key(link, &alice.key).await.location();
        let account = gateway.ownerrez().add_account("Alice").id;
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        assert_eq!(browser.open(&back).await.status, 200);
        alice.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn writes_stick_and_deletions_are_done() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let made = alice.call("create_guest", json!({"first_name": "Ann", "last_name": "Other"})).await.ok();
        let id = made["id"].clone();
        let changed = alice.call("update_guest", json!({"id": id, "data": {"notes": "Likes the lake."}})).await.ok();
        assert_eq!(changed["notes"], json!("Likes the lake."));
        for answers_204 in [true, false] {
            gateway.ownerrez().change(|switches| switches.delete_answers_204 = answers_204);
            let made = alice.call("create_guest", json!({"first_name": "Short", "last_name": "Stay"})).await.ok();
            let gone = alice.call("delete_guest", json!({"id": made["id"]})).await.ok();
            assert_eq!(gone["done"], json!(true));
            assert!(alice.call("get_guest", json!({"id": made["id"]})).await.refused().contains("404"));
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn requests_side_by_side_on_one_client_are_all_answered() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let call = |id| rpc(id, "tools/call", json!({"name": "get_current_user", "arguments": {}}));
        let messages: Vec<_> = (0..10).map(call).collect();
        for (id, reply) in join_all(messages.iter().map(|message| alice.mcp(message))).await.into_iter().enumerate() {
            assert_eq!(reply.body["id"], json!(id));
            assert_eq!(reply.body["result"]["isError"], json!(false));
        }
        gateway.stop().await;
    })
    .await;
}
