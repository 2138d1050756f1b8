//! The format of the REST endpoints: every error has the same one, and no input causes a 500.

use serde_json::{Value, json};

use crate::{
    cors::is_for_any_origin,
    world::{Gateway, Person, Reply, Settings, Wire, on_each_database},
};

fn shaped(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, reply.error()), (status, code), "{}", reply.body);
    let text = |name: &str| reply.body[name].as_str().is_some_and(|text| !text.is_empty());
    assert!(text("message") && text("hint"), "{}", reply.body);
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[actix_web::test]
async fn every_refusal_has_the_same_shape() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let visitor = Person::visitor(&gateway.url);
        let register = "/api/users/register";
        let post = async |headers: &[(&str, &str)], body: &str| {
            visitor.send("POST", register, headers, Some(body.to_owned())).await
        };
        shaped(&visitor.get("/nothing/here").await, 404, "not_found");
        shaped(&visitor.get("/").await, 404, "not_found");
        shaped(&post(JSON, "{").await, 400, "invalid_request");
        shaped(&post(JSON, "").await, 400, "invalid_request");
        shaped(&post(JSON, "[]").await, 400, "invalid_request");
        shaped(&post(JSON, r#"{"name": 7}"#).await, 400, "invalid_request");
        shaped(&post(JSON, "\u{0}\u{1}").await, 400, "invalid_request");
        shaped(&post(&[("content-type", "text/plain")], "{}").await, 415, "unsupported_media_type");
        shaped(&post(&[], "{}").await, 415, "unsupported_media_type");
        shaped(&post(JSON, &format!(r#"{{"name": "{}"}}"#, "x".repeat(101))).await, 400, "invalid_request");
        shaped(&post(JSON, r#"{"name": "a\u0007b"}"#).await, 400, "invalid_request");
        shaped(&post(JSON, &format!(r#"{{"name": "{}"}}"#, "x".repeat(2_000_000))).await, 413, "body_too_large");
        shaped(&post(JSON, &"[".repeat(10_000)).await, 400, "invalid_request");
        for (method, path, allow) in [
            ("GET", register, "POST"),
            ("DELETE", register, "POST"),
            ("POST", "/api/connect/ownerrez/start", "GET"),
            ("GET", "/api/connect/ownerrez", "DELETE"),
            ("PUT", "/health", "GET, HEAD"),
            ("PATCH", "/api/connect/ownerrez/authorize", "GET, POST"),
        ] {
            let reply = visitor.send(method, path, &[], None).await;
            shaped(&reply, 405, "method_not_allowed");
            assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_name_is_welcome_and_not_needed() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let visitor = Person::visitor(&gateway.url);
        for body in
            [json!({}), json!({"name": null}), json!({"name": "  "}), json!({"name": "Ålesund 🏡"}), json!({"x": 1})]
        {
            let reply = visitor.post("/api/users/register", &body).await;
            assert_eq!(reply.status, 201, "{body}");
            let key = reply.body["api_key"].as_str().unwrap();
            assert!(key.starts_with("ownerrez_sk_") && key.len() <= 71);
            assert!(reply.body["message"].is_string());
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn hosts_and_origins_of_others_are_refused() {
    on_each_database(async |database| {
        let settings = Settings::default().set("ALLOWED_ORIGINS", "https://tool.example");
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.connected_user("Alice").await;
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
        let ask = async |name: &str, value: &str| {
            let headers = [
                (name, value),
                ("content-type", "application/json"),
                ("accept", "application/json, text/event-stream"),
            ];
            alice.send("POST", "/mcp", &headers, Some(call.clone())).await
        };
        for host in ["evil.example", "127.0.0.1.evil.example", "evil.example:80", ""] {
            shaped(&ask("host", host).await, 403, "host_not_allowed");
        }
        for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "x"] {
            shaped(&ask("origin", origin).await, 403, "origin_not_allowed");
        }
        let own = gateway.url.clone();
        for origin in [own.as_str(), "https://tool.example"] {
            assert_eq!(ask("origin", origin).await.status, 200, "{origin}");
        }
        for (name, value) in
            [("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example"), ("x-forwarded-for", "1.2.3.4")]
        {
            assert_eq!(ask(name, value).await.status, 200);
        }
        let health = Person::visitor(&gateway.url).send("GET", "/health", &[("host", "10.0.0.7:8080")], None).await;
        assert_eq!((health.status, health.body), (200, json!({"status": "ok"})));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn no_input_makes_a_server_error() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let visitor = Person::visitor(&gateway.url);
        let long = "x".repeat(6000);
        let odd = ["", "%00", "%ff%fe", "..%2f..%2f", "'%20OR%201=1--", "%3Cscript%3E", long.as_str()];
        for value in odd {
            for path in [
                format!("/api/connect/ownerrez/authorize?state={value}"),
                format!("/api/connect/ownerrez/callback?state={value}&code={value}"),
                format!("/api/connect/ownerrez/callback?error={value}"),
                format!("/api/connect/ownerrez/status?{value}"),
                format!("/api/connect/ownerrez/callback?state={value}&state={value}"),
            ] {
                for person in [&alice, &visitor] {
                    let reply =
                        person.send("GET", &path, &[("cookie", "ownerrez_connect=x; ownerrez_csrf=y")], None).await;
                    assert!(reply.status < 500, "{path}: {}", reply.status);
                    let shown = reply.body.to_string();
                    assert!(!shown.contains("<script>") && !shown.contains("OR 1=1"), "{path}");
                }
            }
            let form = format!("state={value}&csrf={value}&api_key={value}");
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            let reply = visitor.send("POST", "/api/connect/ownerrez/authorize", &headers, Some(form)).await;
            assert!(reply.status < 500, "{value}: {}", reply.status);
        }
        for body in
            ["", "x", "{}", "[]", "null", "[[[[", "\"", &"[".repeat(100_000), &Value::from(vec![0; 1000]).to_string()]
        {
            let headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
            let reply = alice.send("POST", "/mcp", &headers, Some(body.to_owned())).await;
            assert!((400..500).contains(&reply.status), "{body:.20}: {}", reply.status);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn head_and_options_are_answered_and_change_nothing() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let head = alice.send("HEAD", "/health", &[], None).await;
        assert_eq!((head.status, head.body), (200, json!("")), "probes ask this way");
        for (path, allow) in [
            ("/health", "GET, HEAD"),
            ("/mcp", "POST"),
            ("/api/users/register", "POST"),
            ("/api/connect/ownerrez/start", "GET"),
            ("/api/connect/ownerrez/authorize", "GET, POST"),
            ("/api/connect/ownerrez/callback", "GET"),
            ("/api/connect/ownerrez/status", "GET"),
            ("/api/connect/ownerrez/test", "GET"),
            ("/api/connect/ownerrez", "DELETE"),
        ] {
            let options = Person::visitor(&gateway.url).send("OPTIONS", path, &[], None).await;
            if path != "/mcp" {
                assert_eq!((options.status, options.header("allow")), (204, Some(allow)), "{path}");
                assert!(options.header("access-control-allow-origin").is_none(), "{path}");
            }
            let head = alice.send("HEAD", path, &[], None).await;
            assert!(head.status < 500 && head.body == json!(""), "{path}: {head:?}");
        }
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.body["connected"], json!(true));
        assert_eq!(database.number("SELECT count(*) FROM users").await, 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn json_of_ten_thousand_levels_is_refused() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let lists = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
        let mcp = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        for deep in [&lists, &objects] {
            let name = format!(r#"{{"name": {deep}}}"#);
            shaped(&alice.send("POST", "/api/users/register", JSON, Some(name)).await, 413, "body_too_large");
            let arguments = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"list_properties","arguments":{{"a":{deep}}}}}}}"#
            );
            for message in [deep.clone(), arguments] {
                let reply = alice.send("POST", "/mcp", &mcp, Some(message)).await;
                assert!((400..500).contains(&reply.status), "{}", reply.status);
            }
        }
        // As many levels as fit into the small bodies that are read without a credential.
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let levels = 2_000;
            let name = format!(r#"{{"name": {}1{}}}"#, open.repeat(levels), close.repeat(levels));
            shaped(&alice.send("POST", "/api/users/register", JSON, Some(name)).await, 400, "invalid_request");
        }
        alice.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_body_without_a_length_is_bounded_too() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let spaces = " ".repeat(2_000_000);
        for path in ["/api/users/register", "/mcp"] {
            shaped(&alice.send("POST", path, JSON, Some(spaces.clone())).await, 413, "body_too_large");
        }
        for path in ["/api/users/register", "/mcp"] {
            let mut wire = Wire::open(&gateway.url).await;
            wire.write(&format!(
                "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
                alice.key
            ))
            .await;
            // One byte more than allowed: the server reads nothing after it.
            for _ in 0..16 {
                wire.write(&format!("{:x}\r\n{}\r\n", 1 << 16, " ".repeat(1 << 16))).await;
            }
            wire.write("1\r\n \r\n0\r\n\r\n").await;
            let reply = wire.read().await;
            assert_eq!((reply.status, &reply.body["error"]), (413, &json!("body_too_large")), "{path}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn only_the_host_header_counts() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let forwarded = [
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-original-url", "/health"),
            ("forwarded", "host=evil.example;proto=https"),
        ];
        let started = alice.send("GET", "/api/connect/ownerrez/start", &forwarded, None).await;
        assert!(started.body["authorization_url"].as_str().unwrap().starts_with(&format!("{}/", gateway.url)));
        let with_host = [&[("host", "evil.example"), ("x-forwarded-host", "127.0.0.1")], &forwarded[1..]].concat();
        shaped(&alice.send("GET", "/api/connect/ownerrez/start", &with_host, None).await, 403, "host_not_allowed");

        // As raw HTTP: no Host at all, and names that only begin or end like the gateway's.
        for head in [
            "GET /api/connect/ownerrez/status HTTP/1.0\r\n",
            "GET /api/connect/ownerrez/status HTTP/1.1\r\nHost: evil.example\r\nHost: 127.0.0.1\r\n",
            "GET /api/connect/ownerrez/status HTTP/1.1\r\nHost: 127.0.0.1@evil.example\r\n",
            "GET //health//x HTTP/1.1\r\nHost: evil.example\r\n",
            "GET /health/../api/connect/ownerrez/status HTTP/1.1\r\nHost: evil.example\r\n",
        ] {
            let mut wire = Wire::open(&gateway.url).await;
            wire.write(&format!("{head}Authorization: Bearer {}\r\n\r\n", alice.key)).await;
            let reply = wire.read().await;
            assert!(matches!(reply.status, 400 | 403), "{head}: {}", reply.status);
        }
        gateway.stop().await;
    })
    .await;
}

/// What a request needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// Nothing.
    Nothing,
    /// An API key, or an access token of the gateway.
    Key,
    /// A secret that no user has.
    Operators,
}

use Credential::{Key, Nothing, Operators};

/// Every route with a method that it takes, and its credential. `route_table` compares this with the sources.
pub(crate) const ENDPOINTS: &[(&str, &str, Credential)] = &[
    ("GET", "/health", Nothing),
    ("GET", "/ready", Nothing),
    ("GET", "/metrics", Operators),
    ("POST", "/mcp", Key),
    ("POST", "/mcp/readonly", Key),
    ("POST", "/mcp/x/guests", Key),
    ("POST", "/mcp/x/all/readonly", Key),
    ("POST", "/api/users/register", Nothing),
    ("DELETE", "/api/users/me", Key),
    ("GET", "/api/keys", Key),
    ("POST", "/api/keys", Key),
    ("DELETE", "/api/keys/00000000-0000-0000-0000-000000000000", Key),
    ("POST", "/api/connect/ownerrez/token", Key),
    ("GET", "/api/connect/ownerrez/start", Key),
    ("GET", "/api/connect/ownerrez/authorize", Nothing),
    ("POST", "/api/connect/ownerrez/authorize", Nothing),
    ("GET", "/api/connect/ownerrez/callback", Nothing),
    ("GET", "/api/connect/ownerrez/status", Key),
    ("GET", "/api/connect/ownerrez/test", Key),
    ("DELETE", "/api/connect/ownerrez", Key),
    ("POST", "/api/webhooks/ownerrez", Operators),
    ("GET", "/authorize", Nothing),
    ("POST", "/authorize", Nothing),
    ("GET", "/authorize/continue", Nothing),
    ("POST", "/authorize/continue", Nothing),
    ("GET", "/account", Nothing),
    ("POST", "/account", Nothing),
    ("GET", "/account/delete", Nothing),
    ("POST", "/token", Nothing),
    ("POST", "/revoke", Nothing),
    ("POST", "/register", Nothing),
    ("GET", "/.well-known/oauth-authorization-server", Nothing),
    ("GET", "/.well-known/oauth-protected-resource", Nothing),
    ("GET", "/.well-known/oauth-protected-resource/mcp", Nothing),
    ("GET", "/.well-known/oauth-protected-resource/mcp/x/guests", Nothing),
    ("GET", "/oauth/callback", Nothing),
    ("GET", "/sse", Nothing),
    ("POST", "/message", Nothing),
];

/// Returns settings with which every route exists.
pub(crate) fn with_every_route() -> Settings {
    Settings::default()
        .set("METRICS_TOKEN", "a-token-that-no-user-has")
        .set("OWNERREZ_WEBHOOK_USER", "ownerrez")
        .set("OWNERREZ_WEBHOOK_PASSWORD", "a-password-that-no-user-has")
}

#[actix_web::test]
async fn whatever_is_sent_to_whatever_endpoint_breaks_nothing() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, with_every_route()).await;
        let alice = gateway.connected_user("Alice").await;
        let visitor = Person::visitor(&gateway.url);
        let long = "a".repeat(20_000);
        let bodies = [
            ("", ""),
            ("application/json", ""),
            ("application/json", "null"),
            ("application/json", r#"{"name": {"$gt": ""}, "user_id": "x"}"#),
            ("application/json", r#"{"jsonrpc": 2, "id": {}, "method": []}"#),
            ("application/json; charset=utf-16", r#"{"name": 1}"#),
            ("application/x-www-form-urlencoded", "state=%ff&csrf=%00&api_key=+"),
            ("application/x-www-form-urlencoded", "state=a&state=b&csrf[]=c&=&&&"),
            ("application/x-www-form-urlencoded", long.as_str()),
            ("multipart/form-data; boundary=x", "--x\r\n\r\n--x--"),
            ("text/xml", "<!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>"),
            ("nonsense", "\u{0}\u{feff}"),
        ];
        let connections = "SELECT count(*) FROM ownerrez_connections";
        for (method, path, needs) in ENDPOINTS {
            // One of these requests deletes him.
            let bob = gateway.user("Bob").await;
            for (kind, body) in bodies {
                for query in
                    ["", "?", "?user_id=1&id=%27--&state=..%2f", "?state=%F0%28%8C%28&code=%0d%0aSet-Cookie:x=y"]
                {
                    let headers = [("content-type", kind), ("accept", "*/*"), ("cookie", "=;ownerrez_connect=%00;;")];
                    let headers = if kind.is_empty() { &headers[1..] } else { &headers[..] };
                    let path = format!("{path}{query}");
                    let what = format!("{method} {path} {kind} {body:.40}");

                    let reply = visitor.send(method, &path, headers, Some(body.to_owned())).await;
                    assert!(reply.status < 500, "{what}: {}", reply.status);
                    // 429: wrong tokens of the operator are counted.
                    let refused = reply.status == 401 || (*needs == Operators && reply.status == 429);
                    assert_eq!(refused, *needs != Nothing, "{what}: {}", reply.status);
                    let readable = reply.header("access-control-allow-origin").is_some();
                    assert_eq!((reply.header("x"), readable), (None, is_for_any_origin(path.as_str())), "{what}");

                    // With Bob's key, whatever else he sends, only Bob's data is reachable.
                    let reply = bob.send(method, &path, headers, Some(body.to_owned())).await;
                    assert!(reply.status < 500, "{what}: {}", reply.status);
                }
            }
            assert_eq!(database.number(connections).await, 1, "{method} {path}: Alice's connection is as it was");
        }
        alice.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}
