//! Scripts from the origins that the operator allows (CORS protocol, Fetch standard).

use std::time::Duration;

use serde_json::json;

use crate::{
    rest::{ENDPOINTS, with_every_route},
    world::{Gateway, Person, Reply, Settings, Wire, eventually, on_each_database, rpc},
};

const ORIGIN: &str = "https://tool.example.com";
const TOOL: (&str, &str) = ("origin", ORIGIN);

/// The routes that no script may read: pages, notices of OwnerRez, monitoring, and what moved.
const UNREADABLE: &[&str] = &[
    "/authorize",
    "/authorize/continue",
    "/account",
    "/account/delete",
    "/api/connect/ownerrez/authorize",
    "/api/connect/ownerrez/callback",
    "/api/webhooks/ownerrez",
    "/health",
    "/ready",
    "/metrics",
    "/oauth/callback",
    "/sse",
    "/message",
];

/// Returns whether scripts of every origin may read this route, with `*`.
pub(crate) fn is_for_any_origin(path: &str) -> bool {
    let path = path.split('?').next().unwrap();
    ["/token", "/revoke", "/register"].contains(&path) || path.starts_with("/.well-known/")
}

async fn start(database: &crate::world::TestDatabase) -> Gateway {
    // In a form that an operator may use.
    Gateway::start_with(database, Settings::default().set("ALLOWED_ORIGINS", "https://Tool.example.com:443/")).await
}

fn says_nothing(reply: &Reply) -> bool {
    reply.headers.iter().all(|(name, _)| !name.starts_with("access-control-"))
}

fn varies(reply: &Reply) -> bool {
    reply.headers.iter().any(|(name, value)| name == "vary" && value.split(',').any(|of| of.trim() == "Origin"))
}

#[actix_web::test]
async fn an_allowed_origin_reads_answers_and_refusals() {
    on_each_database(async |database| {
        let gateway = start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let visitor = Person::visitor(&gateway.url);
        let list = Some(rpc(1, "tools/list", json!({})).to_string());
        let json = ("content-type", "application/json");
        for (person, method, path, body, status) in [
            (&alice, "POST", "/mcp", list.clone(), 200),
            (&alice, "POST", "/mcp/readonly/", list.clone(), 200),
            (&alice, "POST", "/mcp", Some("{".to_owned()), 400),
            (&alice, "GET", "/mcp", None, 405),
            (&visitor, "POST", "/mcp", list.clone(), 401),
            (&visitor, "GET", "/api/keys", None, 401),
            (&alice, "GET", "/api/keys", None, 200),
            (&alice, "GET", "/api/connect/ownerrez/status", None, 200),
            (&alice, "DELETE", "/api/keys/nothing", None, 404),
            (&visitor, "POST", "/api/users/register", Some("{}".to_owned()), 201),
        ] {
            let reply = person.send(method, path, &[TOOL, json], body).await;
            assert_eq!(reply.status, status, "{method} {path}: {}", reply.body);
            assert_eq!(reply.header("access-control-allow-origin"), Some(ORIGIN), "{method} {path}");
            assert_eq!(reply.header("access-control-allow-credentials"), None, "{method} {path}");
            let exposed = reply.header("access-control-expose-headers").unwrap();
            assert!(exposed.contains("WWW-Authenticate") && exposed.contains("X-Request-Id"), "{exposed}");
            assert!(varies(&reply), "{method} {path}: {:?}", reply.headers);
        }
        // A cache must not reuse a response for one origin for another.
        let without = alice.send("POST", "/mcp", &[json], list.clone()).await;
        assert!(varies(&without) && says_nothing(&without), "{:?}", without.headers);
        for origin in ["https://evil.example", "http://tool.example.com", "https://tool.example.com:444", "null"] {
            let refused = alice.send("POST", "/mcp", &[("origin", origin), json], list.clone()).await;
            assert_eq!((refused.status, refused.error()), (403, "origin_not_allowed"), "{origin}");
            assert!(says_nothing(&refused) && varies(&refused), "{origin}: {:?}", refused.headers);
        }
        gateway.stop().await;
    })
    .await;
}

/// Rejections of a body in transit are readable for the same origins as the responses that they replace.
#[actix_web::test]
async fn refusals_of_bodies_can_be_read_as_well() {
    on_each_database(async |database| {
        let settings = Settings::default().set("ALLOWED_ORIGINS", ORIGIN).tune(|config| {
            config.server.body_timeout_seconds = 1;
            config.server.max_unfinished_requests_per_source = 1;
        });
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.user("Alice").await;
        let asks = async |path: &str, headers: &str, length: usize| {
            let mut wire = Wire::open(&gateway.url).await;
            wire.write(&format!(
                "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {ORIGIN}\r\n{headers}Content-Length: {length}\r\n\r\n"
            ))
            .await;
            wire
        };
        let json = "Content-Type: application/json\r\n";
        let with_key = format!("{json}Authorization: Bearer {}\r\n", alice.key);
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let zipped = format!("{with_key}Content-Encoding: gzip\r\n");
        let many = "/api/users/register";
        for (path, headers, length, status, origin) in [
            (many, json, 1_000, 408, ORIGIN),
            ("/mcp", &with_key, 1_000, 408, ORIGIN),
            ("/api/keys", &with_key, 1_000, 408, ORIGIN),
            ("/token", form, 1_000, 408, "*"),
            ("/register", json, 1_000, 408, "*"),
            (many, json, 1_000_000, 413, ORIGIN),
            ("/mcp", &with_key, 1_000_000, 413, ORIGIN),
            ("/mcp", &zipped, 1_000, 415, ORIGIN),
        ] {
            let reply = asks(path, headers, length).await.read().await;
            assert_eq!(reply.status, status, "{path}: {}", reply.body);
            assert_eq!(reply.header("access-control-allow-origin"), Some(origin), "{path} {status}");
            assert!(reply.header("access-control-expose-headers").is_some(), "{path} {status}");
        }
        let mut held = asks(many, json, 1_000).await;
        let refused = eventually("the source is over its bound", async || {
            let mut wire = asks(many, json, 1_000).await;
            let reply = tokio::time::timeout(Duration::from_millis(200), wire.read()).await.ok()?;
            (reply.status == 429).then_some(reply)
        })
        .await;
        assert_eq!(refused.header("access-control-allow-origin"), Some(ORIGIN), "{}", refused.body);
        let (stopped, ()) = futures_util::join!(held.read(), gateway.stop());
        assert!(matches!(stopped.status, 408 | 503), "{}", stopped.status);
        assert_eq!(stopped.header("access-control-allow-origin"), Some(ORIGIN), "{}", stopped.body);
    })
    .await;
}

#[actix_web::test]
async fn a_preflight_is_answered_without_a_key() {
    on_each_database(async |database| {
        let gateway = start(database).await;
        let visitor = Person::visitor(&gateway.url);
        let asks = [
            TOOL,
            ("access-control-request-method", "POST"),
            (
                "access-control-request-headers",
                "authorization,content-type,mcp-param-region,x-mcp-tools,x-evil, mcp-param-a b",
            ),
        ];
        for path in ["/mcp", "/mcp/", "/mcp/x/bookings/readonly", "/api/keys", "/api/keys/1", "/api/users/me"] {
            let reply = visitor.send("OPTIONS", path, &asks, None).await;
            assert_eq!((reply.status, &reply.body), (204, &json!("")), "{path}");
            assert_eq!(reply.header("access-control-allow-origin"), Some(ORIGIN), "{path}");
            assert_eq!(reply.header("access-control-allow-credentials"), None);
            assert!(varies(&reply), "{path}: {:?}", reply.headers);
            let methods = reply.header("access-control-allow-methods").unwrap();
            assert!(["GET", "POST", "DELETE"].iter().all(|method| methods.contains(method)), "{methods}");
            let headers = reply.header("access-control-allow-headers").unwrap().to_lowercase();
            let headers: Vec<&str> = headers.split(", ").collect();
            for name in [
                "authorization",
                "content-type",
                "mcp-protocol-version",
                "mcp-method",
                "mcp-name",
                "mcp-session-id",
                "last-event-id",
                "mcp-param-region",
                "x-mcp-tools",
            ] {
                assert!(headers.contains(&name), "{name}: {headers:?}");
            }
            assert!(!headers.contains(&"x-evil") && !headers.contains(&"*"), "{headers:?}");
        }
        let near = [&asks[..], &[("access-control-request-private-network", "true")]].concat();
        let reply = visitor.send("OPTIONS", "/mcp", &near, None).await;
        assert_eq!(reply.header("access-control-allow-private-network"), Some("true"));

        // The Host header is still validated, and other origins are rejected.
        let rebound = [&asks[..], &[("host", "evil.example")]].concat();
        let refused = visitor.send("OPTIONS", "/mcp", &rebound, None).await;
        assert_eq!((refused.status, refused.error()), (403, "host_not_allowed"));
        let foreign = [("origin", "https://evil.example"), asks[1]];
        let refused = visitor.send("OPTIONS", "/mcp", &foreign, None).await;
        assert_eq!((refused.status, says_nothing(&refused)), (403, true));
        // Not a preflight: it names no method.
        assert_eq!(visitor.send("OPTIONS", "/mcp", &[TOOL], None).await.status, 401);
        gateway.stop().await;
    })
    .await;
}

/// A preflight reads no database either: it works while the database is unreachable.
#[actix_web::test]
async fn a_preflight_needs_no_database() {
    crate::world::on_postgres(async |database| {
        let gateway = start(database).await;
        database.make_unavailable().await;
        let asks = [TOOL, ("access-control-request-method", "POST")];
        let reply = Person::visitor(&gateway.url).send("OPTIONS", "/mcp", &asks, None).await;
        database.make_available().await;
        assert_eq!(reply.status, 204, "{}", reply.body);
        gateway.stop().await;
    })
    .await;
}

/// A new REST endpoint belongs in `REST` of `src/http/middleware/cors.rs`, a new page in `UNREADABLE` above.
#[actix_web::test]
async fn an_allowed_origin_may_call_every_route_that_is_no_page() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, with_every_route().set("ALLOWED_ORIGINS", ORIGIN)).await;
        let visitor = Person::visitor(&gateway.url);
        for (method, path, _) in ENDPOINTS {
            let reply = visitor.send("OPTIONS", path, &[TOOL, ("access-control-request-method", method)], None).await;
            let expected = match path {
                path if UNREADABLE.contains(path) => None,
                path if is_for_any_origin(path) => Some("*"),
                _ => Some(ORIGIN),
            };
            assert_eq!(reply.header("access-control-allow-origin"), expected, "{method} {path}");
            let methods = reply.header("access-control-allow-methods").unwrap_or_default();
            assert_eq!(methods.contains(method), expected.is_some(), "{method} {path}: {methods}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn no_script_reads_a_page_or_sends_a_notice() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, with_every_route().set("ALLOWED_ORIGINS", ORIGIN)).await;
        let visitor = Person::visitor(&gateway.url);
        let asks = [TOOL, ("access-control-request-method", "POST")];
        for path in UNREADABLE.iter().chain(&["/authorize/", "/api/connect/ownerrez/authorize/"]) {
            for method in ["GET", "POST", "OPTIONS"] {
                let reply = visitor.send(method, path, &asks, None).await;
                assert!(says_nothing(&reply), "{method} {path}: {:?}", reply.headers);
            }
        }
        // Endpoints that allow every origin answer this one in the same way.
        let reply = visitor.send("OPTIONS", "/token", &asks, None).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, Some("*")));
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        assert!(
            reply.header("access-control-expose-headers").is_some_and(|exposed| exposed.contains("WWW-Authenticate"))
        );
        gateway.stop().await;
    })
    .await;
}
