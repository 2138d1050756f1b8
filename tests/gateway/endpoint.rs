//! How `/mcp` accepts requests: media types, bodies that are not messages, wrong parameters, and other spellings of its
//! address.

use serde_json::{Value, json};

use crate::world::{Gateway, Person, Reply, Settings, on_each_database, rpc};

const JSON: (&str, &str) = ("content-type", "application/json");
const NEWEST: &str = "2026-07-28";

/// Breaks a valid request.
type Change = fn(&mut Value);

/// Sends a request as a client of that revision does, with the given `Accept` values.
async fn send(person: &Person, revision: &str, accept: &[&str], method: &str, params: &Value) -> Reply {
    let mut params = params.clone();
    let mut headers = vec![JSON, ("mcp-protocol-version", revision)];
    let name = params["name"].as_str().map(str::to_owned);
    if revision == NEWEST {
        params["_meta"] = meta();
        headers.push(("mcp-method", method));
        headers.extend(name.as_deref().map(|name| ("mcp-name", name)));
    }
    headers.extend(accept.iter().map(|value| ("accept", *value)));
    person.send("POST", "/mcp", &headers, Some(rpc(1, method, params).to_string())).await
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": NEWEST,
        "io.modelcontextprotocol/clientInfo": {"name": "story", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// Returns the message of an event stream with exactly one event.
fn only_event(reply: &Reply) -> Value {
    let text = reply.body.as_str().unwrap_or_else(|| panic!("no stream: {}", reply.body));
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(data.len(), 1, "{text}");
    assert!(text.ends_with("\n\n"), "{text}");
    serde_json::from_str(data[0]).unwrap()
}

/// RFC 9110 section 12.5.1; both eras, and a call with and without metadata.
#[actix_web::test]
async fn a_client_gets_the_media_type_that_it_accepts() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let hello =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
        let call = json!({"name": "list_properties", "arguments": {"limit": 1}});
        let unusual = json!({"name": "list_properties", "arguments": {"limit": 1}, "_meta": {"example.com/x": 1}});
        let requests = [
            ("2025-11-25", "initialize", hello),
            ("2025-11-25", "tools/list", json!({})),
            ("2025-11-25", "tools/call", call.clone()),
            ("2025-06-18", "tools/call", unusual),
            ("2025-03-26", "tools/call", call.clone()),
            (NEWEST, "server/discover", json!({})),
            (NEWEST, "tools/list", json!({})),
            (NEWEST, "tools/call", call),
        ];
        for (revision, method, params) in &requests {
            let request = |accept: &[&str]| format!("{revision} {method} {accept:?}");
            let usual = send(&alice, revision, &["application/json, text/event-stream"], method, params).await;
            assert_eq!((usual.status, usual.body["result"].is_object()), (200, true), "{}", usual.body);
            for accept in [
                &[][..],
                &["*/*"],
                &["application/json"],
                &["application/json; charset=utf-8"],
                &["application/*, text/*"],
                &["application/*"],
                &["text/event-stream, */*;q=0.1"],
                &["text/event-stream", "application/json;q=0.5"],
                &["text/html, application/xhtml+xml, */*;q=0.8"],
            ] {
                let reply = send(&alice, revision, accept, method, params).await;
                assert_eq!(reply.status, 200, "{}: {}", request(accept), reply.body);
                assert_eq!(reply.header("content-type"), Some("application/json"), "{}", request(accept));
                assert_eq!(reply.body, usual.body, "{}", request(accept));
            }
            for accept in [&["text/event-stream"][..], &["text/*"], &["*/*, application/json;q=0"]] {
                let reply = send(&alice, revision, accept, method, params).await;
                assert_eq!(reply.status, 200, "{}: {}", request(accept), reply.body);
                assert_eq!(reply.header("content-type"), Some("text/event-stream"), "{}", request(accept));
                assert_eq!(only_event(&reply), usual.body, "{}", request(accept));
            }
            for accept in [&["text/html"][..], &["*/*;q=0"], &["image/png, application/json;q=0"]] {
                let reply = send(&alice, revision, accept, method, params).await;
                assert_eq!((reply.status, reply.error()), (406, "not_acceptable"), "{}", request(accept));
            }
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_body_that_is_no_message_is_a_json_rpc_error() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().clear_requests();
        let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let array = r#"["2.0",1,"tools/call",["list_properties",{}]]"#;
        for revision in [None, Some("2025-03-26"), Some("2025-11-25"), Some(NEWEST)] {
            for (body, code, id) in [
                ("{".to_owned(), -32700, Value::Null),
                (String::new(), -32700, Value::Null),
                (format!("\u{feff}{list}"), -32700, Value::Null),
                (format!("{list}{list}"), -32700, Value::Null),
                ("7".to_owned(), -32600, Value::Null),
                (r#"{"hello":1}"#.to_owned(), -32600, Value::Null),
                (list.replace("\"id\":1", "\"id\":null"), -32600, Value::Null),
                (list.replace("\"id\":1", "\"id\":1.5"), -32600, Value::Null),
                (list.replace("\"id\":1", "\"id\":{}"), -32600, Value::Null),
                (list.replace("2.0", "1.0"), -32600, json!(1)),
                (list.replace('}', ",\"params\":[]}"), -32600, json!(1)),
                (list.replace('}', ",\"params\":\"x\"}"), -32600, json!(1)),
                (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(), -32600, json!(1)),
                (r#"{"jsonrpc":"2.0","id":1,"error":7}"#.to_owned(), -32600, json!(1)),
            ] {
                let mut headers = vec![JSON, ("accept", "application/json, text/event-stream")];
                headers.extend(revision.map(|revision| ("mcp-protocol-version", revision)));
                let reply = alice.send("POST", "/mcp", &headers, Some(body.clone())).await;
                assert_eq!(reply.status, 400, "{revision:?} {body}: {}", reply.body);
                let error = &reply.body["error"];
                assert_eq!((&error["code"], &reply.body["id"]), (&json!(code), &id), "{body}: {}", reply.body);
                assert!(reply.body.as_object().unwrap().contains_key("id"), "{}", reply.body);
                assert_eq!(reply.body["jsonrpc"], json!("2.0"));
                assert!(error["message"].as_str().is_some_and(|message| message.len() > 20), "{}", reply.body);
            }
            // Arrays are never read as objects: an array as a message is a batch of invalid entries.
            let mut headers = vec![JSON];
            headers.extend(revision.map(|revision| ("mcp-protocol-version", revision)));
            let reply = alice.send("POST", "/mcp", &headers, Some(array.to_owned())).await;
            assert!(!reply.body.to_string().contains("\"result\""), "{}", reply.body);
        }
        let bytes = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"x\":\"\\ud800\"}}";
        let reply = alice.send("POST", "/mcp", &[JSON], Some(bytes.to_owned())).await;
        assert!(reply.body["result"]["tools"].is_array(), "half a surrogate pair costs no message: {}", reply.body);
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_wrong_parameter_is_named_and_no_method_is_denied() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().clear_requests();
        let hello = |change: Change| {
            let mut hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
            change(&mut hello);
            hello
        };
        let call = |arguments: Value| json!({"name": "list_properties", "arguments": arguments});
        for revision in ["2025-03-26", "2025-11-25", NEWEST] {
            for (method, params, named) in [
                ("tools/call", call(json!(5)), "params.arguments"),
                ("tools/call", call(json!([1])), "params.arguments"),
                ("tools/call", call(json!("x")), "params.arguments"),
                ("tools/call", json!({}), "params.name"),
                ("tools/call", json!({"name": ["list_properties"]}), "params.name"),
                ("resources/read", json!({}), "params.uri"),
                ("prompts/get", json!({"name": "x", "arguments": 1}), "params.arguments"),
                ("completion/complete", json!({"ref": {"type": "ref/prompt", "name": "x"}}), "params.argument"),
                ("tools/list", json!({"cursor": {}}), "params.cursor"),
                ("tools/list", json!({"cursor": "invented"}), "params.cursor"),
                ("prompts/list", json!({"cursor": "MTA="}), "params.cursor"),
            ] {
                let reply = send(&alice, revision, &[], method, &params).await;
                assert_eq!(reply.status, 200, "{revision} {method} {params}: {}", reply.body);
                let error = &reply.body["error"];
                assert_eq!((&error["code"], &reply.body["id"]), (&json!(-32602), &json!(1)), "{method} {params}: {error}");
                assert!(error["message"].as_str().unwrap().contains(named), "{method} {params}: {error}");
            }
            for empty in [json!([]), json!("{}"), json!(""), Value::Null] {
                let reply = send(&alice, revision, &[], "tools/call", &call(empty.clone())).await;
                assert_eq!(reply.body["result"]["isError"], json!(false), "{revision} {empty}: {}", reply.body);
            }
            gateway.ownerrez().clear_requests();
        }
        let changes: [(Change, &str); 9] = [
            (|hello| hello["capabilities"]["experimental"] = json!({"x": true}), "experimental.x"),
            (|hello| hello["capabilities"]["sampling"] = json!(true), "capabilities.sampling"),
            (|hello| hello["capabilities"] = json!([]), "params.capabilities"),
            (|hello| hello["clientInfo"] = json!(["x", "1"]), "params.clientInfo"),
            (|hello| hello["clientInfo"] = json!({"name": "x"}), "clientInfo.version"),
            (|hello| hello["clientInfo"] = json!(null), "params.clientInfo"),
            (|hello| hello["clientInfo"]["icons"] = json!(5), "params.clientInfo.icons"),
            (|hello| hello["capabilities"]["roots"] = json!({"listChanged": "yes"}), "capabilities.roots.listChanged"),
            (|hello| hello.as_object_mut().unwrap().clear(), "params.protocolVersion"),
        ];
        for (change, named) in changes {
            let reply = alice.send("POST", "/mcp", &[JSON], Some(rpc(1, "initialize", hello(change)).to_string())).await;
            let error = &reply.body["error"];
            assert_eq!((reply.status, &error["code"]), (200, &json!(-32602)), "{named}: {}", reply.body);
            assert!(error["message"].as_str().unwrap().contains(named), "{named}: {error}");
        }
        let meta = json!({"_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "story", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": "yes"}},
        }});
        let headers = [JSON, ("mcp-protocol-version", NEWEST), ("mcp-method", "tools/list")];
        let reply = alice.send("POST", "/mcp", &headers, Some(rpc(1, "tools/list", meta).to_string())).await;
        let error = &reply.body["error"];
        assert_eq!((reply.status, &error["code"]), (400, &json!(-32602)), "{}", reply.body);
        assert!(error["message"].as_str().unwrap().contains("clientCapabilities.elicitation.form"), "{error}");
        // rmcp may accept a type that this program does not know; its rejection does not deny the method either.
        let odd = json!({"name": "list_properties", "_meta": {"progressToken": [1]}});
        let reply = send(&alice, "2025-11-25", &[], "tools/call", &odd).await;
        assert_ne!(reply.body["error"]["code"], json!(-32601), "{}", reply.body);
        let bare = alice.send("POST", "/mcp", &[JSON], Some(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#.to_owned()));
        assert_eq!(bare.await.body["error"]["code"], json!(-32602));
        let null = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":null}"#;
        let reply = alice.send("POST", "/mcp", &[JSON], Some(null.to_owned())).await;
        assert!(reply.body["result"]["tools"].is_array(), "{}", reply.body);
        gateway.stop().await;
    })
    .await;
}

/// A member that occurs twice is read once, for the permission check and for the call.
#[actix_web::test]
async fn a_repeated_member_does_not_get_past_the_rights() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let before = gateway.ownerrez().count("POST /v2/guests");
        let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_properties","name":"create_guest","arguments":{"first_name":"Ada"}}}"#;
        let reply = alice.send("POST", "/mcp/readonly", &[JSON], Some(twice.to_owned())).await;
        assert_ne!(reply.body["result"]["isError"], json!(false), "{}", reply.body);
        assert_eq!(gateway.ownerrez().count("POST /v2/guests"), before);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn refusals_before_the_body_are_read_are_as_everywhere() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let list = rpc(1, "tools/list", json!({})).to_string();
        let huge = "x".repeat((1 << 20) + 1);
        for (method, path, headers, body, status, code) in [
            ("POST", "/mcp/nothing", vec![JSON], Some(&list), 404, "not_found"),
            ("GET", "/mcp", vec![("accept", "text/event-stream")], None, 405, "method_not_allowed"),
            ("DELETE", "/mcp", vec![], None, 405, "method_not_allowed"),
            ("POST", "/mcp", vec![JSON, ("accept", "text/html")], Some(&list), 406, "not_acceptable"),
            ("POST", "/mcp", vec![JSON], Some(&huge), 413, "body_too_large"),
            ("POST", "/mcp", vec![("content-type", "text/plain")], Some(&list), 415, "unsupported_media_type"),
            ("POST", "/mcp", vec![], Some(&list), 415, "unsupported_media_type"),
        ] {
            let reply = alice.send(method, path, &headers, body.cloned()).await;
            assert_eq!((reply.status, reply.error()), (status, code), "{method} {path} {headers:?}: {}", reply.body);
            assert!(reply.body["message"].is_string() && reply.body["hint"].is_string(), "{}", reply.body);
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert_eq!(reply.header("allow").is_some(), status == 405);
        }
        let unknown = alice.send("POST", "/mcp", &[JSON, ("mcp-protocol-version", "1999-12-31")], Some(list)).await;
        assert_eq!((unknown.status, &unknown.body["error"]["code"]), (400, &json!(-32600)), "{}", unknown.body);
        let message = unknown.body["error"]["message"].as_str().unwrap();
        assert!(message.contains("`1999-12-31`"), "{message}");
        assert!(message.contains("supports 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28."), "{message}");
        gateway.stop().await;
    })
    .await;
}

/// A ping is answered in every revision. A complete 2026-07-28 request is the exception: that revision removed the
/// method and requires an error (conformance suite, `server-stateless`).
#[actix_web::test]
async fn a_ping_is_answered() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let ping = rpc(1, "ping", json!({})).to_string();
        for revision in
            [None, Some("2024-11-05"), Some("2025-03-26"), Some("2025-06-18"), Some("2025-11-25"), Some(NEWEST)]
        {
            for body in [&ping, &r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_owned()] {
                let mut headers = vec![JSON];
                headers.extend(revision.map(|revision| ("mcp-protocol-version", revision)));
                let reply = alice.send("POST", "/mcp", &headers, Some(body.clone())).await;
                assert_eq!((reply.status, &reply.body["result"]), (200, &json!({})), "{revision:?}: {}", reply.body);
            }
        }
        for removed in ["ping", "initialize"] {
            let whole = send(&alice, NEWEST, &[], removed, &json!({})).await;
            assert_eq!((whole.status, &whole.body["error"]["code"]), (404, &json!(-32601)), "{}", whole.body);
        }
        gateway.stop().await;
    })
    .await;
}

/// Not a redirect: clients drop their `Authorization` when they follow one, and change `POST` to `GET`.
#[actix_web::test]
async fn a_slash_too_many_in_an_address_changes_nothing() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, Settings::default().set("METRICS_TOKEN", "0123456789abcdef")).await;
        let alice = gateway.user("Alice").await;
        let visitor = Person::visitor(&gateway.url);
        let list = rpc(1, "tools/list", json!({}));
        for path in ["/mcp", "/mcp/readonly", "/mcp/x/bookings", "/mcp/x/bookings/readonly"] {
            let plain = alice.mcp_at(path, &[], &list).await;
            for slashes in ["/", "//", "/?readonly=no"] {
                let slashed = alice.mcp_at(&format!("{path}{slashes}"), &[], &list).await;
                assert_eq!((plain.status, slashed.status), (200, 200), "{path}{slashes}: {}", slashed.body);
                assert_eq!(slashed.body, plain.body, "{path}{slashes}");
            }
            let doubled = alice.mcp_at(&path.replace('/', "//"), &[], &list).await;
            assert_eq!((doubled.status, &doubled.body), (200, &plain.body), "{path}");
            let refused = visitor.mcp_at(&format!("{path}/"), &[], &list).await;
            let challenge = refused.header("www-authenticate").unwrap();
            assert!(challenge.contains(&format!("/.well-known/oauth-protected-resource{path}\"")), "{challenge}");
        }
        for (method, path) in [
            ("GET", "/health"),
            ("GET", "/ready"),
            ("GET", "/metrics"),
            ("GET", "/.well-known/oauth-authorization-server"),
            ("GET", "/.well-known/oauth-protected-resource"),
            ("GET", "/.well-known/oauth-protected-resource/mcp"),
            ("POST", "/register"),
            ("POST", "/token"),
            ("POST", "/revoke"),
            ("GET", "/authorize"),
            ("GET", "/account"),
            ("GET", "/api/keys"),
            ("GET", "/api/connect/ownerrez/status"),
            ("GET", "/api/connect/ownerrez/authorize"),
            ("GET", "/api/connect/ownerrez/callback"),
            ("GET", "/sse"),
        ] {
            let plain = alice.send(method, path, &[], None).await;
            let slashed = alice.send(method, &format!("{path}/"), &[], None).await;
            assert_eq!(slashed.status, plain.status, "{method} {path}/: {}", slashed.body);
            assert_ne!(slashed.status, 404, "{method} {path}/");
            assert_eq!(slashed.body["resource"], plain.body["resource"], "{path}/");
        }
        let metadata = json!({"client_name": "Story", "redirect_uris": ["https://app.example/callback"]});
        assert_eq!(visitor.post("/register/", &metadata).await.status, 201);
        gateway.stop().await;
    })
    .await;
}

/// Routing and permission checks use the same path.
#[actix_web::test]
async fn an_encoded_path_has_the_rights_of_the_decoded_one() {
    on_each_database(async |database| {
        let settings = Settings::default().set("ALLOWED_ORIGINS", "https://tool.example");
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.connected_user("Alice").await;
        let create = rpc(1, "tools/call", json!({"name": "create_guest", "arguments": {"first_name": "Ada"}}));
        for path in [
            "/mcp/readonly",
            "/mcp/readonl%79",
            "/mcp/%72eadonly",
            "/mcp/x/guests/readonl%79",
            "/%6dcp/readonl%79/",
            "/mcp/readonly%2F",
            "/mcp/readonl%2579",
            "/mcp%2Freadonly",
            "/mcp/x/guests%2Freadonly",
        ] {
            let reply = alice.mcp_at(path, &[], &create).await;
            let refused = (400..500).contains(&reply.status) || reply.body["result"]["isError"] == json!(true);
            assert!(refused, "{path}: {} {}", reply.status, reply.body);
        }
        assert_eq!(gateway.ownerrez().count("POST /v2/guests"), 0);
        // The same applies to the other decisions by path: the origins that may call, and the metadata URL of a
        // challenge.
        let foreign = [("origin", "https://inspector.example")];
        let discovery = "/.well-known/oauth-authorization%2Dserver";
        assert_eq!(alice.send("GET", discovery, &foreign, None).await.status, 200);
        let tool = [("origin", "https://tool.example")];
        let page = alice.send("GET", "/api/connect/ownerrez/authoriz%65", &tool, None).await;
        assert_eq!(page.header("access-control-allow-origin"), None, "pages are read by no script");
        let visitor = Person::visitor(&gateway.url);
        let refused = visitor.mcp_at("/mcp/readonl%79", &[], &create).await;
        assert!(refused.header("www-authenticate").unwrap().contains("/mcp/readonly\""), "{:?}", refused.headers);
        gateway.stop().await;
    })
    .await;
}
