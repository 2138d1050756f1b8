//! Monitoring for operators: readiness, metrics, request ids and the log.

mod exposition;
mod log_lines;

use chrono::TimeDelta;
use futures_util::FutureExt;
use serde_json::json;

use self::exposition::Exposition;
use crate::world::{Gateway, Person, Settings, eventually, on_each_database, on_postgres, rpc};

const TOKEN: &str = "a token for prometheus";
const METRICS_TOKEN: &str = "metrics-token-0123456789";

/// Advances the clock until a cached result of `/ready` has expired.
fn later(gateway: &Gateway) {
    gateway.advance(TimeDelta::seconds(2));
}

/// Returns the reason that `/ready` gives, `None` if it is ready.
async fn unready(gateway: &Gateway) -> Option<String> {
    let reply = Person::visitor(&gateway.url).get("/ready").await;
    if reply.status == 200 {
        assert_eq!(reply.body, json!({"status": "ready"}));
        return None;
    }
    assert_eq!((reply.status, reply.error()), (503, "not_ready"));
    assert_eq!(reply.body["status"], json!("not_ready"));
    assert!(reply.body["message"].is_string() && reply.body["hint"].is_string(), "{}", reply.body);
    Some(reply.body["reason"].as_str().unwrap().to_owned())
}

async fn becomes_ready(gateway: &Gateway) {
    eventually("readiness", async || {
        later(gateway);
        unready(gateway).await.is_none().then_some(())
    })
    .await;
}

async fn scrape(gateway: &Gateway) -> Exposition {
    let reply = Person::visitor(&gateway.url).with_key(METRICS_TOKEN, "").get("/metrics").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    Exposition::read(reply.body.as_str().unwrap())
}

fn with_metrics() -> Settings {
    Settings::default().set("METRICS_TOKEN", METRICS_TOKEN)
}

#[actix_web::test]
async fn a_gateway_is_ready_when_it_has_started() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        assert_eq!(unready(&gateway).await, None);
        // A platform's health check uses an IP address that is not an allowed host name.
        let by_address = Person::visitor(&gateway.url).send("GET", "/ready", &[("host", "10.1.2.3:99")], None).await;
        assert_eq!(by_address.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_missing_migration_is_a_reason_and_the_answer_is_remembered_for_a_second() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        assert_eq!(unready(&gateway).await, None);
        database.execute("UPDATE seaql_migrations SET version = 'x' || version").await;
        assert_eq!(unready(&gateway).await, None, "asked within the same second");
        later(&gateway);
        assert_eq!(unready(&gateway).await.as_deref(), Some("migrations_pending"));
        database.execute("UPDATE seaql_migrations SET version = substr(version, 2)").await;
        // A newer program has migrated: it will replace this one, which serves until then.
        database.execute("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_from_later', 0)").await;
        later(&gateway);
        assert_eq!(unready(&gateway).await, None);
        database.execute("DROP TABLE seaql_migrations").await;
        later(&gateway);
        assert_eq!(unready(&gateway).await.as_deref(), Some("database_unusable"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_database_that_goes_away_and_comes_back() {
    on_postgres(async |database| {
        let gateway = Gateway::start_with(database, with_metrics()).await;
        assert_eq!(unready(&gateway).await, None);
        database.make_unavailable().await;
        later(&gateway);
        assert_eq!(unready(&gateway).await.as_deref(), Some("database_unavailable"));
        assert_eq!(Person::visitor(&gateway.url).get("/health").await.status, 200, "the process lives");
        scrape(&gateway).await;
        database.make_available().await;
        becomes_ready(&gateway).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_process_on_standby_is_not_ready_until_it_takes_over() {
    on_postgres(async |database| {
        let first = Gateway::start_with(database, with_metrics()).await;
        let second = first.start_another(Settings::default()).await;
        assert_eq!(unready(&first).await, None);
        assert_eq!(unready(&second).await.as_deref(), Some("standby"));
        assert!(scrape(&first).await.value("allowance_active") > scrape(&second).await.value("allowance_active"));
        first.stop().await;
        becomes_ready(&second).await;
        second.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn metrics_are_not_found_unless_the_operator_wants_them() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        assert_eq!(Person::visitor(&gateway.url).get("/metrics").await.error(), "not_found");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_token_stands_before_the_metrics() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, with_metrics()).await;
        let alice = gateway.user("Alice").await;
        let visitor = Person::visitor(&gateway.url);
        for stranger in [&visitor, &alice, &visitor.with_key(TOKEN, ""), &visitor.with_key(&METRICS_TOKEN[1..], "")] {
            let refused = stranger.get("/metrics").await;
            assert_eq!((refused.status, refused.error()), (401, "invalid_metrics_token"));
            assert_eq!(refused.header("www-authenticate"), Some(r#"Bearer realm="metrics""#));
        }
        let shown = visitor.with_key(METRICS_TOKEN, "").get("/metrics").await;
        assert_eq!(shown.status, 200);
        assert!(shown.header("content-type").unwrap().starts_with("application/openmetrics-text"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_listener_of_their_own_shows_metrics_and_nothing_else() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, Settings::default().set("METRICS_BIND", "127.0.0.1:0")).await;
        let own = Person::visitor(&format!("http://{}", gateway.app().metrics_address().unwrap()));
        let shown = own.get("/metrics").await;
        assert_eq!(shown.status, 200);
        Exposition::read(shown.body.as_str().unwrap());
        assert_eq!(own.get("/health").await.error(), "not_found");
        assert_eq!(own.post("/api/users/register", &json!({})).await.error(), "not_found");
        assert_eq!(own.at(&gateway.url).get("/metrics").await.error(), "not_found");
        gateway.stop().await;

        let both = with_metrics().set("METRICS_BIND", "127.0.0.1:0");
        let gateway = Gateway::start_with(database, both).await;
        let own = Person::visitor(&format!("http://{}", gateway.app().metrics_address().unwrap()));
        assert_eq!(own.get("/metrics").await.status, 401);
        assert_eq!(own.with_key(METRICS_TOKEN, "").get("/metrics").await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_figures_are_those_of_what_was_done() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, with_metrics()).await;
        let alice = gateway.connected_user("Alice").await;
        let before = scrape(&gateway).await;
        for _ in 0..3 {
            alice.call("list_properties", json!({})).await.ok();
        }
        alice.call("get_booking", json!({"id": "not a number"})).await.refused();
        alice.call("get_booking", json!({"id": 1})).await.refused();
        alice.mcp(&rpc(1, "tools/call", json!({"name": "no_such_tool", "arguments": {}}))).await;
        let visitor = Person::visitor(&gateway.url);
        visitor.with_key("ownerrez_sk_nonsense", "").get("/api/connect/ownerrez/status").await;
        visitor.send("BREW", "/coffee", &[], None).await;

        let after = scrape(&gateway).await;
        for (series, more) in [
            (r#"http_requests_total{route="/mcp",method="POST",status="200"}"#, 6.0),
            (r#"http_request_duration_seconds_count{route="/mcp",method="POST"}"#, 6.0),
            (r#"http_requests_total{route="/api/connect/ownerrez/status",method="GET",status="401"}"#, 1.0),
            (r#"http_requests_total{route="none",method="other",status="404"}"#, 1.0),
            (r#"tool_calls_total{tool="list_properties",outcome="ok"}"#, 3.0),
            (r#"tool_calls_total{tool="get_booking",outcome="invalid_arguments"}"#, 1.0),
            (r#"tool_calls_total{tool="get_booking",outcome="ownerrez_refused"}"#, 1.0),
            (r#"upstream_requests_total{operation="list_properties",status="200"}"#, 3.0),
            (r#"upstream_requests_total{operation="get_booking",status="404"}"#, 1.0),
            (r#"upstream_request_duration_seconds_count{operation="get_booking"}"#, 1.0),
            (r#"allowance_requests_total{outcome="granted"}"#, 4.0),
            ("allowance_wait_seconds_count", 4.0),
            ("allowance_used", 4.0),
            (r#"key_checks_total{outcome="cached"}"#, 6.0),
            (r#"key_checks_total{outcome="malformed"}"#, 1.0),
            (r#"token_refreshes_total{outcome="refreshed"}"#, 0.0),
            (r#"http_requests_total{route="/metrics",method="GET",status="200"}"#, 1.0),
        ] {
            let grown = after.value(series) - before.value(series);
            assert!((grown - more).abs() < 0.5, "{series} grew by {grown}, not {more}");
        }
        assert!((before.value(r#"upstream_requests_total{operation="exchange_code",status="200"}"#) - 1.0).abs() < 0.5);
        for (series, now) in [
            ("sessions", 1.0),
            ("sessions_started_total", 1.0),
            ("session_queue_depth", 0.0),
            ("bcrypt_in_flight", 0.0),
            ("allowance_active", 1.0),
            ("allowance_limit", 300.0),
            ("allowance_waiting", 0.0),
            ("allowance_in_flight", 0.0),
        ] {
            assert!((after.value(series) - now).abs() < 0.5, "{series} is {}", after.value(series));
        }
        assert!((after.sum("build_info") - 1.0).abs() < 0.5);

        // The token expires: the next call refreshes it.
        gateway.advance(TimeDelta::days(31));
        alice.call("list_properties", json!({})).await.ok();
        let refreshed = scrape(&gateway).await;
        assert!((refreshed.value(r#"token_refreshes_total{outcome="refreshed"}"#) - 1.0).abs() < 0.5);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn who_waits_and_who_leaves_is_counted() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, with_metrics()).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold("GET /v2/properties");
        {
            let (first, second) = (alice.clone(), alice.clone());
            let running = first.call("list_properties", json!({})).fuse();
            let waiting = async {
                held.wait_arrived(1).await;
                second.call("list_owners", json!({})).await
            }
            .fuse();
            let seen = async {
                eventually("a waiting call", async || {
                    let now = scrape(&gateway).await;
                    let both = now.value("session_queue_depth") > 0.5 && now.value("allowance_in_flight") > 0.5;
                    both.then_some(())
                })
                .await;
            }
            .fuse();
            futures_util::pin_mut!(running, waiting, seen);
            futures_util::select_biased! {
                _ = running => panic!("it is held"),
                _ = waiting => panic!("it waits"),
                () = seen => {}
            }
        }
        let left = eventually("both callers to be missed", async || {
            let now = scrape(&gateway).await;
            let gone = now.value(r#"http_requests_total{route="/mcp",method="POST",status="499"}"#);
            (gone > 1.5 && now.value("session_queue_depth") < 0.5).then_some(now)
        })
        .await;
        let given_up = left.value(r#"upstream_requests_total{operation="list_properties",status="abandoned"}"#);
        assert!((given_up - 1.0).abs() < 0.5);
        drop(held);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn strangers_cannot_make_series() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, with_metrics()).await;
        let alice = gateway.user("Alice").await;
        let visitor = Person::visitor(&gateway.url);
        visitor.send("BREW", "/x", &[], None).await;
        let known = scrape(&gateway).await.len();
        let known = known.max(scrape(&gateway).await.len());
        for odd in 0..20 {
            visitor.send(&format!("BREW{odd}"), &format!("/{odd}"), &[], None).await;
        }
        let reply = visitor.with_key(METRICS_TOKEN, "").get("/metrics").await;
        let text = reply.body.as_str().unwrap();
        assert_eq!(Exposition::read(text).len(), known);
        for private in [alice.id.as_str(), &alice.key[..20], METRICS_TOKEN, "BREW"] {
            assert!(!text.contains(private), "{private}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn every_answer_bears_the_id_of_its_request() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, with_metrics()).await;
        let visitor = Person::visitor(&gateway.url);
        let foreign_host = ("host", "evil.example");
        for (path, more) in [
            ("/health", ("accept", "*/*")),
            ("/nowhere", ("accept", "*/*")),
            ("/api/connect/ownerrez/status", ("accept", "*/*")),
            ("/api/connect/ownerrez/status", foreign_host),
            ("/api/connect/ownerrez/callback?code=x&state=y", ("accept", "*/*")),
        ] {
            let reply = visitor.send("GET", path, &[("x-request-id", "trace-7/a=b"), more], None).await;
            assert_eq!(reply.header("x-request-id"), Some("trace-7/a=b"), "{path}");
            let own = visitor.send("GET", path, &[more], None).await;
            assert!(own.header("x-request-id").unwrap().parse::<uuid::Uuid>().is_ok(), "{path}");
            let long = visitor.send("GET", path, &[("x-request-id", &"x".repeat(129)), more], None).await;
            assert_eq!(long.header("x-request-id").unwrap().len(), 36, "{path}");
        }
        let alice = gateway.user("Alice").await;
        let (one, two) =
            (alice.call("get_current_user", json!({})).await, alice.call("get_current_user", json!({})).await);
        assert_ne!(one.0.header("x-request-id"), two.0.header("x-request-id"));
        gateway.stop().await;
    })
    .await;
}
