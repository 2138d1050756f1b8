//! Requests that no legitimate client sends: arrays for objects, invalid hosts, quotes in a path, wrong tokens.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::world::{Gateway, Person, Settings, Wire, on_each_database, rpc};

const WEBHOOK_PASSWORD: &str = "a-password-of-the-app";
const METRICS_TOKEN: &str = "0123456789abcdef-metrics";

/// Each route that takes JSON, and its members in the order in which serde would read them from an array.
#[actix_web::test]
async fn an_array_is_refused_where_an_object_belongs() {
    on_each_database(async |database| {
        let settings = Settings::default()
            .set("OWNERREZ_WEBHOOK_USER", "ownerrez")
            .set("OWNERREZ_WEBHOOK_PASSWORD", WEBHOOK_PASSWORD);
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.user("Alice").await;
        let users = database.number("SELECT count(*) FROM users").await;
        let key = format!("Bearer {}", alice.key);
        let webhook = format!("Basic {}", STANDARD.encode(format!("ownerrez:{WEBHOOK_PASSWORD}")));
        for (path, credentials, members, code) in [
            ("/api/users/register", "", json!(["Mallory"]), "invalid_request"),
            ("/api/keys", &key, json!(["laptop", "full", null, null, false]), "invalid_request"),
            ("/api/connect/ownerrez/token", &key, json!(["a@b.example", "pt_0123456789"]), "invalid_request"),
            ("/api/webhooks/ownerrez", &webhook, json!(["application_authorization_revoked", 1]), "invalid_request"),
            ("/register", "", json!([null, null, "App", ["https://app.example/cb"]]), "invalid_client_metadata"),
        ] {
            for body in [members, json!([]), json!("text"), json!(1), json!(null)] {
                let headers = [("content-type", "application/json"), ("authorization", credentials)];
                let headers = if credentials.is_empty() { &headers[..1] } else { &headers[..] };
                let visitor = Person::visitor(&gateway.url);
                let refused = visitor.send("POST", path, headers, Some(body.to_string())).await;
                assert_eq!((refused.status, refused.error()), (400, code), "{path} {body}: {}", refused.body);
            }
        }
        let call = json!(["2.0", 1, "tools/call", {"name": "get_current_user", "arguments": {}}]);
        for version in ["2025-03-26", "2025-06-18"] {
            let headers = [
                ("content-type", "application/json"),
                ("accept", "application/json, text/event-stream"),
                ("mcp-protocol-version", version),
            ];
            let refused = alice.send("POST", "/mcp", &headers, Some(call.to_string())).await;
            let told = refused.body.to_string();
            assert!(told.contains("-32600") && !told.contains("result"), "{version}: {told}");
        }
        assert_eq!(database.number("SELECT count(*) FROM users").await, users);
        assert_eq!(database.number("SELECT count(*) FROM api_keys").await, users);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_host_with_more_in_it_than_a_host_is_refused() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let port = gateway.url.rsplit(':').next().unwrap();
        let answer = async |request: String| {
            let mut wire = Wire::open(&gateway.url).await;
            wire.write(&request).await;
            wire.read().await
        };
        let get = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\n{host}\r\n\r\n");
        let path = "/api/connect/ownerrez/status";
        for host in ["127.0.0.1", "127.0.0.1:1", "LOCALHOST", "[::1]"] {
            let good = answer(get(path, &format!("Host: {host}"))).await;
            assert_eq!(good.status, 401, "{host}: {}", good.body);
        }
        for host in [
            "127.0.0.1#evil",
            "127.0.0.1?evil",
            "127.0.0.1/evil",
            "127.0.0.1\\evil",
            "user@127.0.0.1",
            "127.0.0.1 evil",
            "127.0.0.1,evil.example",
            "[::1]evil",
            "127.0.0.1:99999",
            "evil.example",
        ] {
            let refused = answer(get(path, &format!("Host: {host}"))).await;
            assert_eq!((refused.status, refused.body["error"].as_str()), (403, Some("host_not_allowed")), "{host}");
        }
        // The request target has precedence over the Host header, and only one Host header is allowed.
        let target = format!("http://evil.example{path}");
        assert_eq!(answer(get(&target, "Host: 127.0.0.1")).await.status, 403);
        let target = format!("http://127.0.0.1:{port}{path}");
        assert_eq!(answer(get(&target, "Host: 127.0.0.1")).await.status, 401);
        let two = answer(get(path, "Host: 127.0.0.1\r\nHost: 127.0.0.1")).await;
        assert!([400, 403].contains(&two.status), "{}", two.status);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_path_cannot_leave_its_quotes_in_a_challenge() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        for path in [r#"/mcp/x/a",error="none",b=""#, r"/mcp/x/a\", "/mcp/x/a%22,b=%22", "/mcp/x/a%5C"] {
            let mut wire = Wire::open(&gateway.url).await;
            wire.write(&format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")).await;
            let refused = wire.read().await;
            let Some(challenge) = refused.header("www-authenticate") else {
                assert!([400, 404].contains(&refused.status), "{path}: {}", refused.status);
                continue;
            };
            assert_eq!(refused.status, 401, "{path}");
            assert_eq!(challenge.matches('"').count(), 4, "{path}: {challenge}");
            assert!(!challenge.contains(r#"error=""#), "{path}: {challenge}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn no_answer_may_be_taken_for_another_type() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, Settings::default().set("METRICS_TOKEN", METRICS_TOKEN)).await;
        let alice = gateway.connected_user("Alice").await;
        let visitor = Person::visitor(&gateway.url);
        let call = rpc(1, "tools/call", json!({"name": "get_current_user", "arguments": {}}));
        for (what, reply) in [
            ("health", visitor.get("/health").await),
            ("nothing", visitor.get("/nowhere").await),
            ("no key", visitor.get("/api/keys").await),
            ("keys", alice.get("/api/keys").await),
            ("wrong host", visitor.send("GET", "/api/keys", &[("host", "evil.example")], None).await),
            ("wrong method", visitor.send("PUT", "/api/keys", &[], None).await),
            ("options", visitor.send("OPTIONS", "/api/keys", &[], None).await),
            ("plain call", alice.mcp(&call).await),
            ("engine", alice.mcp(&rpc(1, "tools/list", json!({}))).await),
            ("broken", alice.send("POST", "/mcp", &[("content-type", "application/json")], Some("{".into())).await),
            ("metadata", visitor.get("/.well-known/oauth-authorization-server").await),
            ("page", visitor.get("/account").await),
            ("metrics", visitor.with_key(METRICS_TOKEN, "").get("/metrics").await),
        ] {
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{what}: {reply:?}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn wrong_metrics_tokens_are_limited_and_the_right_one_always_answers() {
    on_each_database(async |database| {
        let settings = Settings::default()
            .set("METRICS_TOKEN", METRICS_TOKEN)
            .set("TRUSTED_PROXIES", "127.0.0.1")
            .tune(|config| config.keys.failures_per_address = 5);
        let gateway = Gateway::start_with(database, settings).await;
        let ask = async |token: &str, from: &str| {
            let headers = [("x-forwarded-for", from)];
            Person::visitor(&gateway.url).with_key(token, "").send("GET", "/metrics", &headers, None).await
        };
        for number in 0..5 {
            assert_eq!(ask(&format!("guess-{number}"), "203.0.113.66").await.status, 401);
        }
        let refused = ask("guess-6", "203.0.113.66").await;
        assert_eq!((refused.status, refused.error()), (429, "too_many_wrong_tokens"), "{}", refused.body);
        assert_eq!(refused.header("retry-after"), Some("300"));
        assert_eq!(ask(METRICS_TOKEN, "203.0.113.66").await.status, 200, "someone else may be behind this address");
        assert_eq!(ask("guess-7", "203.0.113.66").await.status, 429, "the right one clears nothing");
        assert_eq!(ask(METRICS_TOKEN, "198.51.100.7").await.status, 200);
        gateway.advance(chrono::TimeDelta::seconds(300));
        assert_eq!(ask("guess-8", "203.0.113.66").await.status, 401);
        // A request without a token does not count as a guess.
        for _ in 0..9 {
            let nothing: Value = ask("", "203.0.113.66").await.body;
            assert_eq!(nothing["error"], json!("invalid_metrics_token"));
        }
        assert_eq!(ask(METRICS_TOKEN, "203.0.113.66").await.status, 200);
        gateway.stop().await;
    })
    .await;
}
