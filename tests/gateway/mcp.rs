//! `/mcp` on the wire: every revision of the protocol, the catalogue, wrong arguments, and authentication.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use ownerrez_gateway::{
    catalog::Catalog,
    domain::Scope,
    tools::{CompositeTools, ToolSearch},
};
use serde_json::{Map, Value, json};

use crate::world::{Answer, Browser, Gateway, Person, Reply, Settings, Wire, on_each_database, rpc};

const JSON: (&str, &str) = ("content-type", "application/json");
const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const NEWEST: &str = "2026-07-28";

/// Sends a request as the revision without a handshake requires: the headers repeat parts of the body.
async fn stateless(person: &Person, method: &str, mut params: Value, headers: &[(&str, &str)]) -> Reply {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": NEWEST,
        "io.modelcontextprotocol/clientInfo": {"name": "story", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let all = [&[JSON, ACCEPT], headers].concat();
    person.send("POST", "/mcp", &all, Some(rpc(1, method, params).to_string())).await
}

fn is_private_with_a_life(result: &Value) -> bool {
    result["cacheScope"] == json!("private") && result["ttlMs"].as_u64().is_some_and(|life| life > 0)
}

#[actix_web::test]
async fn every_revision_with_a_handshake_is_spoken() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
            let hello = rpc(
                1,
                "initialize",
                json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "story", "version": "1"}}),
            );
            let reply = alice.send("POST", "/mcp", &[JSON, ACCEPT], Some(hello.to_string())).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
            let result = &reply.body["result"];
            assert_eq!(result["protocolVersion"], json!(revision));
            assert!(result["capabilities"]["tools"].is_object() && result["instructions"].is_string(), "{result}");
            assert_eq!(result["serverInfo"]["name"], json!("ownerrez-gateway"));
            assert!(reply.header("mcp-session-id").is_none(), "no state outlives a request");

            let headers = [JSON, ACCEPT, ("mcp-protocol-version", revision)];
            let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            assert_eq!(alice.send("POST", "/mcp", &headers, Some(ready.to_string())).await.status, 202);
            let list = alice.send("POST", "/mcp", &headers, Some(rpc(2, "tools/list", json!({})).to_string())).await;
            assert!(list.body["result"]["tools"].as_array().is_some_and(|tools| !tools.is_empty()), "{}", list.body);
            let call = rpc(3, "tools/call", json!({"name": "get_current_user", "arguments": {}}));
            let answer = alice.send("POST", "/mcp", &headers, Some(call.to_string())).await;
            let text = answer.body["result"]["content"][0]["text"].as_str().unwrap();
            let user: Value = serde_json::from_str(text).unwrap();
            assert_eq!(user["id"], json!(alice.account.unwrap().0));
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_revision_without_a_handshake_is_spoken() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let version = ("mcp-protocol-version", NEWEST);

        let found =
            stateless(&alice, "server/discover", json!({}), &[version, ("mcp-method", "server/discover")]).await;
        assert_eq!(found.status, 200, "{}", found.body);
        let versions = found.body["result"]["supportedVersions"].as_array().unwrap();
        for revision in ["2025-03-26", "2025-06-18", "2025-11-25", NEWEST] {
            assert!(versions.contains(&json!(revision)), "{revision}: {}", found.body);
        }

        let list = stateless(&alice, "tools/list", json!({}), &[version, ("mcp-method", "tools/list")]).await;
        assert!(is_private_with_a_life(&list.body["result"]), "{}", list.body);
        assert_eq!(list.body["result"]["tools"], catalogue());

        let call = json!({"name": "get_current_user", "arguments": {}});
        let named = ("mcp-name", "get_current_user");
        let headers = [version, ("mcp-method", "tools/call"), named];
        let answer = stateless(&alice, "tools/call", call.clone(), &headers).await;
        assert_eq!(Answer(answer).ok()["id"], json!(alice.account.unwrap().0));

        // Headers that contradict the body.
        for headers in [
            vec![("mcp-protocol-version", "2025-11-25"), ("mcp-method", "tools/call"), named],
            vec![("mcp-method", "tools/call"), named],
            vec![version, ("mcp-method", "tools/list"), named],
            vec![version, ("mcp-method", "tools/call"), ("mcp-name", "delete_guest")],
            vec![version, ("mcp-method", "tools/call")],
            vec![version, named],
        ] {
            gateway.ownerrez().clear_requests();
            let refused = stateless(&alice, "tools/call", call.clone(), &headers).await;
            assert_eq!(refused.status, 400, "{headers:?}: {}", refused.body);
            assert!(refused.body["error"]["message"].is_string(), "{headers:?}: {}", refused.body);
            assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        }
        // Members that the body must have.
        let bare = rpc(1, "tools/call", call);
        let headers = [JSON, ACCEPT, version, ("mcp-method", "tools/call"), named];
        let refused = alice.send("POST", "/mcp", &headers, Some(bare.to_string())).await;
        assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!(-32602)), "{}", refused.body);
        gateway.stop().await;
    })
    .await;
}

/// Returns the tools as they must appear on the wire.
fn catalogue() -> Value {
    let mut tools = Catalog::embedded().unwrap().tools(Scope::Full);
    let drafts: Vec<_> = Catalog::embedded().unwrap().drafts().cloned().collect();
    tools.extend(drafts);
    tools.extend(CompositeTools::embedded().unwrap().tools().cloned());
    tools.extend(ToolSearch::embedded(&Catalog::embedded().unwrap()).unwrap().tools().cloned());
    tools.sort_by(|one, other| one.name.cmp(&other.name));
    serde_json::to_value(tools).unwrap()
}

#[actix_web::test]
async fn the_list_is_the_catalogue_sorted_and_explicit() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let list = alice.mcp(&rpc(1, "tools/list", json!({}))).await;
        let tools = list.body["result"]["tools"].as_array().unwrap();
        assert_eq!(json!(tools), catalogue());
        assert!(list.body["result"].get("nextCursor").is_none());
        assert!(tools.is_sorted_by_key(|tool| tool["name"].as_str().unwrap().to_owned()));
        for tool in tools {
            for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
                assert!(tool["annotations"][hint].is_boolean(), "{hint} of {}", tool["name"]);
            }
            assert!(tool["title"].is_string() && tool["description"].is_string());
            assert_eq!(tool["inputSchema"]["additionalProperties"], json!(false));
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_answer_is_the_same_as_text_and_as_structure() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let mut wire = Wire::open(&gateway.url).await;
        let call = json!({"name": "list_properties", "arguments": {}});
        wire.write(&Wire::mcp(&alice, &rpc(7, "tools/call", call))).await;
        let reply = wire.read().await;
        let result = &reply.body["result"];
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"]);
        assert_eq!(reply.body["id"], json!(7));
        assert_eq!(reply.header("transfer-encoding"), None, "it has a length instead");
        assert!(reply.header("content-type").unwrap().starts_with("application/json"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_list_is_walked_through_by_its_next_offset() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        for (tool, arguments) in [
            ("list_properties", json!({})),
            ("list_owners", json!({})),
            ("list_guests", json!({"created_since_utc": "2000-01-01T00:00:00Z"})),
            ("list_bookings", json!({"since_utc": "2000-01-01T00:00:00Z"})),
            ("search_properties", json!({"guests_min": 1})),
        ] {
            let page = |limit: u64, offset: u64| {
                let mut arguments = arguments.clone();
                arguments["limit"] = json!(limit);
                arguments["offset"] = json!(offset);
                alice.call(tool, arguments)
            };
            let ids = |page: &Value| -> Vec<i64> {
                page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect()
            };
            let whole = page(100, 0).await.ok();
            assert!(whole.get("next_offset").is_none(), "{tool}: more than 100 records, the story needs fewer");
            let everything = ids(&whole);
            let size = (everything.len() as u64 / 4).max(1);
            let (mut walked, mut offset, mut pages) = (Vec::new(), Some(0), 0);
            while let Some(at) = offset {
                let page = page(size, at).await.ok();
                walked.extend(ids(&page));
                offset = page.get("next_offset").and_then(Value::as_u64);
                pages += 1;
                assert!(pages <= everything.len(), "{tool}: no end in sight");
            }
            assert_eq!(walked, everything, "{tool}");
            assert_eq!(walked.iter().collect::<BTreeSet<_>>().len(), walked.len(), "{tool}: each exactly once");
            let beyond = page(5, 10_000).await.ok();
            assert_eq!((&beyond["items"], beyond.get("next_offset")), (&json!([]), None), "{tool}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn without_a_key_nothing_is_looked_at() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let visitor = Person::visitor(&gateway.url);
        let stranger = visitor.with_key("ownerrez_sk_not_a_key_at_all", "");
        for person in [visitor, stranger] {
            for (method, body) in [
                ("POST", Some(rpc(1, "tools/list", json!({})).to_string())),
                ("POST", Some("{ not even JSON".to_owned())),
                ("POST", Some(rpc(1, "initialize", json!({"protocolVersion": "2025-11-25"})).to_string())),
                ("GET", None),
                ("DELETE", None),
                ("OPTIONS", None),
                ("PUT", None),
            ] {
                let reply = person.send(method, "/mcp", &[JSON, ACCEPT], body).await;
                assert_eq!(reply.status, 401, "{method}: {}", reply.body);
                assert!(reply.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")));
                assert!(reply.body["error"].is_string(), "{method}: {}", reply.body);
            }
        }
        // A body that came with its head is drained: the connection serves the next message.
        let mut wire = Wire::open(&gateway.url).await;
        let body = rpc(1, "tools/call", json!({"name": "list_owners", "arguments": {}})).to_string();
        let strangers = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        for _ in 0..3 {
            wire.write(&strangers).await;
            assert_eq!(wire.read().await.status, 401);
        }
        // The body is announced but never sent: the response does not wait for it.
        let mut wire = Wire::open(&gateway.url).await;
        wire.write(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n",
        )
        .await;
        assert_eq!(wire.read().await.status, 401);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn with_a_key_only_post_is_taken() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        for method in ["GET", "DELETE", "PUT"] {
            let reply = alice.send(method, "/mcp", &[ACCEPT], None).await;
            assert_eq!(reply.status, 405, "{method}");
            assert!(reply.header("allow").is_some_and(|allow| allow.contains("POST")), "{method}: {:?}", reply.headers);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_unknown_tool_is_a_protocol_error_with_a_suggestion() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().clear_requests();
        let reply = alice.call("list_propertys", json!({})).await.0;
        assert_eq!((reply.status, &reply.body["error"]["code"]), (200, &json!(-32602)), "{}", reply.body);
        assert!(reply.body["error"]["message"].as_str().unwrap().contains("list_properties"), "{}", reply.body);
        let reply = alice.mcp(&rpc(1, "no/such/method", json!({}))).await;
        assert_eq!(reply.body["error"]["code"], json!(-32601), "{}", reply.body);
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_body_that_is_no_message_is_refused_properly() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for body in [
            "",
            "{",
            "null",
            "[]",
            "7",
            "\"x\"",
            "{}",
            r#"{"jsonrpc":"1.0","id":1,"method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_owners","arguments":[1]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            "\u{0}\u{1}",
            &deep,
        ] {
            let reply = alice.send("POST", "/mcp", &[JSON, ACCEPT], Some(body.to_owned())).await;
            let shown: String = body.chars().take(80).collect();
            assert!((200..500).contains(&reply.status), "{shown}: {} {}", reply.status, reply.body);
            assert!(reply.status >= 400 || reply.body["error"]["code"].is_i64(), "{shown}: {}", reply.body);
        }
        assert_eq!(alice.send("POST", "/mcp", &[ACCEPT], Some("{}".to_owned())).await.status, 415);
        let huge = format!("\"{}\"", "x".repeat(2 << 20));
        let huge = alice.send("POST", "/mcp", &[JSON, ACCEPT], Some(huge)).await;
        assert_eq!((huge.status, huge.error()), (413, "body_too_large"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_unconnected_are_given_a_link_that_works() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let text = alice.call("list_properties", json!({})).await.refused();
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        let start = text.find("http://").unwrap_or_else(|| panic!("no link: {text}"));
        let link = text[start..].split_whitespace().next().unwrap();

        let account = gateway.ownerrez().add_account("Alice").id;
        let mut browser = Browser::new();
        let to_ownerrez = browser.give_key(link, &alice.key).await;
        assert_eq!(to_ownerrez.status, 303, "{}", to_ownerrez.body);
        let back = gateway.ownerrez().approve(&to_ownerrez.location(), account).unwrap();
        assert_eq!(browser.open(&back).await.status, 200);
        alice.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn one_connection_carries_many_requests_and_many_connections_one_user() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let mut wire = Wire::open(&gateway.url).await;
        for id in 1..=8 {
            let call = json!({"name": "get_current_user", "arguments": {}});
            wire.write(&Wire::mcp(&alice, &rpc(id, "tools/call", call))).await;
        }
        for id in 1..=8 {
            assert_eq!(wire.read().await.body["id"], json!(id));
        }
        let answers = join_all((0..12).map(|_| alice.call("get_current_user", json!({})))).await;
        answers.into_iter().for_each(|answer| drop(answer.ok()));
        gateway.stop().await;
    })
    .await;
}

/// Returns arguments that satisfy every tool's requirements, as a base for changing one of them.
fn sound(schema: &Value) -> Map<String, Value> {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    required
        .iter()
        .map(|name| (name.as_str().unwrap().to_owned(), sample(&schema["properties"][name.as_str().unwrap()])))
        .collect()
}

fn sample(schema: &Value) -> Value {
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("integer" | "number"), _) => json!(1),
        (Some("boolean"), _) => json!(true),
        (Some("array"), _) => json!([1]),
        (Some("object"), _) => json!({}),
        (_, Some("date")) => json!("2026-07-01"),
        (_, Some("date-time")) => json!("2026-07-01T00:00:00Z"),
        _ => schema["enum"].get(0).cloned().unwrap_or(json!("x")),
    }
}

/// Returns a value that no coercion makes valid.
fn wrong(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("object" | "array") => json!(true),
        _ => json!({"a": [1]}),
    }
}

#[actix_web::test]
async fn wrong_arguments_are_named_and_cost_no_request() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, Settings::default().set("UPSTREAM_LIMIT", "10000")).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().clear_requests();
        for operation in Catalog::embedded().unwrap().operations() {
            let schema = Value::Object((*operation.tool().input_schema).clone());
            let tool = operation.name();
            let sound = sound(&schema);
            let refused = async |arguments: &Map<String, Value>, name: &str| {
                let text = alice.call(tool, json!(arguments)).await.refused();
                assert!(text.contains(name), "{tool} {arguments:?}: {name} is not in {text:?}");
                assert_eq!(gateway.ownerrez().count("* /v2/*"), 0, "{tool} {arguments:?}");
            };
            for name in sound.keys() {
                let mut without = sound.clone();
                without.remove(name);
                refused(&without, name).await;
            }
            for (name, property) in schema["properties"].as_object().unwrap() {
                let mut bent = sound.clone();
                bent.insert(name.clone(), wrong(property));
                refused(&bent, name).await;
            }
            let mut more = sound.clone();
            more.insert("surprise".to_owned(), json!(1));
            refused(&more, "surprise").await;
        }
        for (tool, names) in
            [("list_bookings", ["property_ids", "since_utc"]), ("list_guests", ["q", "created_since_utc"])]
        {
            let text = alice.call(tool, json!({})).await.refused();
            assert!(names.iter().all(|name| text.contains(name)), "{tool}: {text}");
        }
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn odd_arguments_never_break_anything() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, Settings::default().set("UPSTREAM_LIMIT", "10000")).await;
        let alice = gateway.connected_user("Alice").await;
        let odd = [
            json!(null),
            json!(-1),
            json!(1e300),
            json!(9_007_199_254_740_993_i64),
            json!(""),
            json!(".."),
            json!("../../oauth/access_token"),
            json!("1?limit=1#x"),
            json!("\u{0}\r\nX-Injected: 1"),
            json!("x".repeat(20_000)),
            json!([]),
            json!([null, -1]),
        ];
        for operation in Catalog::embedded().unwrap().operations() {
            let schema = Value::Object((*operation.tool().input_schema).clone());
            for name in schema["properties"].as_object().unwrap().keys() {
                for value in &odd {
                    gateway.ownerrez().clear_requests();
                    let mut arguments = sound(&schema);
                    arguments.insert(name.clone(), value.clone());
                    let answer = alice.call(operation.name(), json!(arguments)).await;
                    let told =
                        format!("{} {name}={}", operation.name(), value.to_string().get(..40).unwrap_or("short"));
                    assert_eq!(answer.0.status, 200, "{told}");
                    assert!(answer.0.body["result"]["isError"].is_boolean(), "{told}: {}", answer.0.body);
                    // Values that pass the checks stay within the operation's own path.
                    for request in gateway.ownerrez().requests_to("* *") {
                        let same_shape = request.path.matches('/').count() == operation.path().matches('/').count();
                        assert!(
                            same_shape && request.status != Some(500),
                            "{told}: {} {:?}",
                            request.path,
                            request.status
                        );
                    }
                }
            }
        }
        gateway.stop().await;
    })
    .await;
}
