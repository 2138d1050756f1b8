//! Request bodies: a deadline, small sizes without a verified credential, and limits on the number of unfinished ones.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{hasty, post, wait};
use crate::world::{Gateway, Settings, Wire, WireReply, eventually, on_each_database, rpc};

const REGISTER: &str = "/api/users/register";
const ATTACKER: &str = "203.0.113.66";
const HOME: &str = "198.51.100.7";
const NAME: &str = r#"{"name": "Ada"}"#;

/// Sends a head and half of the announced body.
async fn half(gateway: &Gateway, path: &str, from: &str, length: usize) -> Wire {
    let mut wire = Wire::open(&gateway.url).await;
    wire.write(&post(path, from, length)).await;
    wire.write(&"x".repeat(length / 2)).await;
    wire
}

/// Returns the response to a request whose rest is never sent.
async fn answer(gateway: &Gateway, path: &str, from: &str, length: usize) -> WireReply {
    half(gateway, path, from, length).await.read().await
}

fn error(reply: &WireReply) -> (u16, &str) {
    (reply.status, reply.body["error"].as_str().unwrap_or_default())
}

#[actix_web::test]
async fn every_body_has_a_deadline() {
    on_each_database(async |database| {
        let settings =
            hasty().set("OWNERREZ_WEBHOOK_USER", "hooks").set("OWNERREZ_WEBHOOK_PASSWORD", "a-long-enough-password");
        let gateway = Gateway::start_with(database, settings).await;
        let ada = gateway.user("Ada").await;
        let with =
            |path: &str, header: &str| post(path, HOME, 1_000).replacen("Host:", &format!("{header}\r\nHost:"), 1);
        let bearer = format!("Authorization: Bearer {}", ada.key);
        let form = "Content-Type: application/x-www-form-urlencoded";
        let requests =
            [
                post(REGISTER, HOME, 1_000),
                post("/register", HOME, 1_000),
                with("/token", form).replacen("Content-Type: application/json\r\n", "", 1),
                with("/revoke", form).replacen("Content-Type: application/json\r\n", "", 1),
                with("/mcp", &bearer),
                with("/api/keys", &bearer),
                with("/api/connect/ownerrez/token", &bearer),
                with("/api/webhooks/ownerrez", "Authorization: Basic aG9va3M6YS1sb25nLWVub3VnaC1wYXNzd29yZA=="),
                with("/api/webhooks/ownerrez", "Authorization: Basic aG9va3M6YS1sb25nLWVub3VnaC1wYXNzd29yZA==")
                    .replacen("Content-Length: 1000", "Transfer-Encoding: chunked", 1),
            ];
        let replies = requests.iter().map(async |request| {
            let mut wire = Wire::open(&gateway.url).await;
            wire.write(request).await;
            let reply = wire.read().await;
            assert_eq!(wire.until_closed().await, "");
            reply
        });
        for (reply, request) in futures_util::future::join_all(replies).await.iter().zip(&requests) {
            assert_eq!(error(reply), (408, "request_timeout"), "{request}");
            assert_eq!(reply.header("connection"), Some("close"), "{request}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_browser_is_shown_a_page_when_its_form_takes_too_long() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, hasty()).await;
        let mut wire = Wire::open(&gateway.url).await;
        let form = post("/api/connect/ownerrez/authorize", HOME, 1_000).replacen(
            "application/json",
            "application/x-www-form-urlencoded",
            1,
        );
        wire.write(&form).await;
        let reply = wire.read().await;
        assert_eq!(reply.status, 408);
        assert!(reply.body.as_str().is_some_and(|page| page.contains("<!DOCTYPE html>")), "{}", reply.body);
        gateway.stop().await;
    })
    .await;
}

/// No bytes of these bodies are sent: the heads alone are enough to reject them.
#[actix_web::test]
async fn without_a_verified_credential_bodies_are_small() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, Settings::default()).await;
        let ada = gateway.user("Ada").await;
        for path in [REGISTER, "/register", "/token", "/revoke", "/mcp", "/api/keys"] {
            let mut wire = Wire::open(&gateway.url).await;
            let form = if matches!(path, "/token" | "/revoke") { "x-www-form-urlencoded" } else { "json" };
            wire.write(&post(path, HOME, 16 * 1024 + 1).replacen("json", form, 1)).await;
            let reply = wire.read().await;
            let expected: &[u16] = match path {
                "/mcp" | "/api/keys" => &[401],
                "/token" | "/revoke" | "/register" => &[400],
                _ => &[413],
            };
            assert!(expected.contains(&reply.status), "{path}: {} {}", reply.status, reply.body);
        }
        for (path, length) in [("/mcp", 128 * 1024 + 1), ("/api/keys", 16 * 1024 + 1)] {
            let mut wire = Wire::open(&gateway.url).await;
            let key = format!("Authorization: Bearer {}\r\nHost:", ada.key);
            wire.write(&post(path, HOME, length).replacen("Host:", &key, 1)).await;
            assert_eq!(error(&wire.read().await), (413, "body_too_large"), "{path}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn unfinished_requests_of_one_source_are_bounded() {
    on_each_database(async |database| {
        let settings = Settings::default()
            .set("TRUSTED_PROXIES", "127.0.0.1")
            .tune(|config| config.server.max_unfinished_requests_per_source = 3);
        let gateway = Gateway::start_with(database, settings).await;
        let ada = gateway.connected_user("Ada").await;
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(half(&gateway, REGISTER, ATTACKER, 1_000).await);
        }
        // The earlier bytes may still be in transit.
        let refused = eventually("the source is over its bound", async || {
            let mut wire = half(&gateway, REGISTER, ATTACKER, 1_000).await;
            let reply = tokio::time::timeout(Duration::from_millis(200), wire.read()).await.ok();
            if reply.is_none() {
                held.push(wire);
            }
            reply
        })
        .await;
        assert_eq!(error(&refused), (429, "too_many_unfinished_requests"));
        assert!(refused.header("retry-after").is_some());
        assert_eq!(held.len(), 3);

        // Other sources are served, and so is a user with a key at the same source.
        let mut home = Wire::open(&gateway.url).await;
        home.write(&post(REGISTER, HOME, NAME.len())).await;
        wait(Duration::from_millis(50)).await;
        home.write(NAME).await;
        assert_eq!(home.read().await.status, 201);
        let call = Wire::mcp(&ada, &rpc(1, "tools/call", json!({"name": "list_owners", "arguments": {}})));
        let call = call.replacen("Host:", &format!("X-Forwarded-For: {ATTACKER}\r\nHost:"), 1);
        let (head, body) = call.split_at(call.find("\r\n\r\n").unwrap() + 4);
        let mut people = Vec::new();
        for _ in 0..5 {
            let mut wire = Wire::open(&gateway.url).await;
            wire.write(head).await;
            people.push(wire);
        }
        wait(Duration::from_millis(50)).await;
        for wire in &mut people {
            wire.write(body).await;
            assert_eq!(wire.read().await.status, 200);
        }

        // A client that disconnects frees its share.
        drop(held);
        eventually("the source is admitted again", async || {
            let mut wire = Wire::open(&gateway.url).await;
            wire.write(&post(REGISTER, ATTACKER, NAME.len())).await;
            wait(Duration::from_millis(20)).await;
            wire.write(NAME).await;
            (wire.read().await.status == 201).then_some(())
        })
        .await;
        gateway.stop().await;
    })
    .await;
}

/// A customer of an Internet provider often has an IPv6 /48: 65,536 sources.
#[actix_web::test]
async fn unfinished_requests_of_one_ipv6_network_are_bounded() {
    on_each_database(async |database| {
        let settings = Settings::default().set("TRUSTED_PROXIES", "127.0.0.1").tune(|config| {
            config.server.max_unfinished_requests_per_source = 3;
        });
        let gateway = Gateway::start_with(database, settings).await;
        let (mut held, mut refused) = (Vec::new(), Vec::new());
        for number in 0..8 {
            let mut wire = half(&gateway, REGISTER, &format!("2001:db8:1:{number}::1"), 1_000).await;
            match tokio::time::timeout(Duration::from_millis(300), wire.read()).await {
                Ok(reply) => refused.push(reply),
                Err(_) => held.push(wire),
            }
        }
        assert_eq!((held.len(), refused.len()), (6, 2), "twice as many as one source may have");
        for reply in &refused {
            assert_eq!(error(reply), (429, "too_many_unfinished_requests"));
        }
        let mut home = half(&gateway, REGISTER, "2001:db8:2::1", 1_000).await;
        let reply = tokio::time::timeout(Duration::from_millis(300), home.read()).await;
        assert!(reply.is_err(), "another network: {reply:?}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn bytes_of_unfinished_bodies_are_bounded_for_the_process() {
    on_each_database(async |database| {
        let settings = Settings::default().set("TRUSTED_PROXIES", "127.0.0.1").tune(|config| {
            // An eighth of it is for callers without a verified credential: eight bodies of 16 KiB.
            config.server.max_body_bytes_under_way = 1024 * 1024;
        });
        let gateway = Gateway::start_with(database, settings).await;
        let mut held = Vec::new();
        let mut refused = Vec::new();
        for number in 0..12 {
            let mut wire = half(&gateway, REGISTER, &format!("203.0.113.{number}"), 16 * 1024).await;
            match tokio::time::timeout(Duration::from_millis(300), wire.read()).await {
                Ok(reply) => refused.push(reply),
                Err(_) => held.push(wire),
            }
        }
        assert_eq!((held.len(), refused.len()), (8, 4));
        for reply in &refused {
            assert_eq!(error(reply), (503, "too_many_requests_under_way"));
            assert_eq!(reply.header("retry-after"), Some("5"));
        }
        // A body that arrives together with its head does not count as unfinished.
        let mut wire = Wire::open(&gateway.url).await;
        wire.write(&format!("{}{NAME}", post(REGISTER, HOME, NAME.len()))).await;
        assert_eq!(wire.read().await.status, 201);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_stop_does_not_wait_for_an_unfinished_body_or_head() {
    on_each_database(async |database| {
        let settings = Settings::default().tune(|config| config.server.shutdown_seconds = 60);
        let gateway = Gateway::start_with(database, settings).await;
        let ada = gateway.user("Ada").await;
        let mut body = half(&gateway, REGISTER, HOME, 1_000).await;
        let mut message = Wire::open(&gateway.url).await;
        let key = format!("Authorization: Bearer {}\r\nHost:", ada.key);
        message.write(&post("/mcp", HOME, 1_000).replacen("Host:", &key, 1)).await;
        let mut head = Wire::open(&gateway.url).await;
        head.write("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
        assert_eq!(head.read().await.status, 200);
        head.write("GET /health HT").await;
        wait(Duration::from_millis(200)).await;

        let before = Instant::now();
        let ((), body, message) = futures_util::join!(gateway.stop(), body.read(), message.read());
        // Ten seconds are a sixth of the longest possible wait.
        assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
        for reply in [body, message] {
            assert_eq!(error(&reply), (503, "stopping"));
        }
    })
    .await;
}

/// Also checks the response to a request that waited for the rest of its body.
#[actix_web::test]
async fn a_body_that_arrives_in_parts_is_read() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, Settings::default()).await;
        let mut wire = Wire::open(&gateway.url).await;
        for _ in 0..2 {
            wire.write(&post(REGISTER, HOME, NAME.len())).await;
            for part in [&NAME[..5], &NAME[5..]] {
                wait(Duration::from_millis(20)).await;
                wire.write(part).await;
            }
            assert_eq!(wire.read().await.status, 201);
        }
        assert_eq!(answer(&gateway, "/nowhere", HOME, 1_000).await.status, 404, "without waiting");
        gateway.stop().await;
    })
    .await;
}
