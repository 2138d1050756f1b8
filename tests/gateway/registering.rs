//! Registration: access, rate limits, and the deletion of users that never connected an account.

use chrono::TimeDelta;
use serde_json::json;

use crate::world::{Gateway, Person, Reply, Settings, TestDatabase, Wire, on_each_database};

const TOKEN: &str = "let-my-friends-register";

async fn registers(gateway: &Gateway, headers: &[(&str, &str)]) -> Reply {
    let headers = [&[("content-type", "application/json")], headers].concat();
    let body = json!({"name": "laptop"}).to_string();
    Person::visitor(&gateway.url).send("POST", "/api/users/register", &headers, Some(body)).await
}

async fn users(database: &TestDatabase) -> i64 {
    database.number("SELECT count(*) FROM users").await
}

/// Checks the complete error: a stable code, a message and a hint.
fn refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, reply.error()), (status, code), "{}", reply.body);
    assert!(reply.body["message"].is_string() && reply.body["hint"].is_string(), "{}", reply.body);
}

#[actix_web::test]
async fn a_closed_gateway_keeps_its_users_and_takes_no_new_ones() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        gateway.stop().await;
        let closed = Gateway::start_with(database, Settings::default().set("REGISTRATION_MODE", "closed")).await;
        let bearer = format!("Bearer {}", alice.key);
        for headers in [&[][..], &[("authorization", bearer.as_str())]] {
            refused(&registers(&closed, headers).await, 403, "registration_closed");
        }
        let nonsense = Person::visitor(&closed.url).send("POST", "/api/users/register", &[], Some("{".into())).await;
        refused(&nonsense, 403, "registration_closed");
        assert_eq!(users(database).await, 1);
        assert_eq!(alice.at(&closed.url).get("/api/connect/ownerrez/status").await.status, 200);
        closed.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn where_a_token_is_asked_for_only_its_holder_registers() {
    on_each_database(async |database| {
        let settings = Settings::default()
            .set("REGISTRATION_MODE", "token")
            .set("REGISTRATION_TOKEN", TOKEN)
            .tune(|config| config.keys.failures_per_address = 3);
        let gateway = Gateway::start_with(database, settings).await;
        for _ in 0..5 {
            let nobody = registers(&gateway, &[]).await;
            refused(&nobody, 401, "registration_token_required");
            assert!(nobody.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
        for wrong in ["Bearer let-my-friends-registe", "Bearer let-my-friends-register2", "Bearer  "] {
            refused(&registers(&gateway, &[("authorization", wrong)]).await, 401, "registration_token_required");
        }
        assert_eq!(users(database).await, 0);
        let right = format!("bearer {TOKEN}");
        assert_eq!(registers(&gateway, &[("authorization", &right)]).await.status, 201);

        // Guessing is limited, even for the right token.
        refused(&registers(&gateway, &[("authorization", "Bearer a")]).await, 401, "registration_token_required");
        let limited = registers(&gateway, &[("authorization", &right)]).await;
        refused(&limited, 429, "too_many_failed_keys");
        assert_eq!(limited.header("retry-after"), Some("300"));
        gateway.advance(TimeDelta::minutes(5));
        assert_eq!(registers(&gateway, &[("authorization", &right)]).await.status, 201);
        assert_eq!(users(database).await, 2);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_address_registers_a_few_and_then_waits() {
    on_each_database(async |database| {
        let settings = Settings::default()
            .set("TRUSTED_PROXIES", "127.0.0.1")
            .tune(|config| config.registration.per_hour_and_address = 2);
        let gateway = Gateway::start_with(database, settings).await;
        let from = async |lists: &[&str]| {
            // Written as raw HTTP, because each list needs a separate header.
            let lists: String = lists.iter().map(|list| format!("X-Forwarded-For: {list}\r\n")).collect();
            let head = "POST /api/users/register HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n";
            let mut wire = Wire::open(&gateway.url).await;
            wire.write(&format!("{head}{lists}Content-Length: 2\r\n\r\n{{}}")).await;
            wire.read().await
        };
        assert_eq!(from(&["203.0.113.1"]).await.status, 201);
        // An invalid request costs nothing: this name is rejected before it counts.
        let headers = [("content-type", "application/json"), ("x-forwarded-for", "203.0.113.1")];
        let bad = json!({"name": "x".repeat(101)}).to_string();
        let bad = Person::visitor(&gateway.url).send("POST", "/api/users/register", &headers, Some(bad)).await;
        assert_eq!(bad.status, 400);
        assert_eq!(from(&["8.8.8.8, 203.0.113.1:5060"]).await.status, 201);
        gateway.advance(TimeDelta::minutes(59));
        for lists in [
            &["203.0.113.1"][..],
            &["198.51.100.7, 203.0.113.1"],
            &["198.51.100.7,  203.0.113.1 , 127.0.0.1"],
            &["127.0.0.1, 203.0.113.1"],
            &["198.51.100.8", "203.0.113.1:80"],
            &["nonsense, ::ffff:203.0.113.1"],
            &["198.51.100.9", "nonsense", "203.0.113.1", "127.0.0.1"],
        ] {
            let limited = from(lists).await;
            assert_eq!((limited.status, &limited.body["error"]), (429, &json!("too_many_registrations")), "{lists:?}");
            assert_eq!(limited.header("retry-after"), Some("60"), "{lists:?}");
        }
        assert_eq!(users(database).await, 2);
        assert_eq!(from(&["203.0.113.2"]).await.status, 201, "another address");
        for within in ["[2001:db8::1]:80", "2001:db8::2"] {
            assert_eq!(from(&[within]).await.status, 201);
        }
        assert_eq!(from(&["2001:db8::3"]).await.status, 429);
        assert_eq!(from(&["2001:db8:0:1::3"]).await.status, 201, "another /64");
        gateway.advance(TimeDelta::minutes(1));
        assert_eq!(from(&["203.0.113.1"]).await.status, 201);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn who_is_no_proxy_cannot_pass_for_somebody_else() {
    on_each_database(async |database| {
        let settings = Settings::default()
            .set("TRUSTED_PROXIES", "172.16.0.0/12, fdaa::/16")
            .tune(|config| config.registration.per_hour_and_address = 2);
        let gateway = Gateway::start_with(database, settings).await;
        for (number, status) in [(1, 201), (2, 201), (3, 429), (4, 429)] {
            let forged = format!("203.0.113.{number}");
            let headers = [("x-forwarded-for", forged.as_str()), ("fly-client-ip", &forged), ("x-real-ip", &forged)];
            assert_eq!(registers(&gateway, &headers).await.status, status, "{forged}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_registration_that_failed_here_does_not_count() {
    on_each_database(async |database| {
        let settings = Settings::default().tune(|config| config.registration.per_hour_and_address = 1);
        let gateway = Gateway::start_with(database, settings).await;
        database.execute("ALTER TABLE users RENAME TO elsewhere").await;
        for _ in 0..2 {
            assert_eq!(registers(&gateway, &[]).await.status, 500);
        }
        database.execute("ALTER TABLE elsewhere RENAME TO users").await;
        assert_eq!(registers(&gateway, &[]).await.status, 201);
        refused(&registers(&gateway, &[]).await, 429, "too_many_registrations");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn who_never_connected_is_removed_after_a_month() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.user("Bob").await);
        assert_eq!(bob.get("/api/connect/ownerrez/status").await.status, 200);
        let background_jobs = async || gateway.app().sessions().run_background_jobs().await;
        gateway.app().sessions().disconnect(alice.user()).await.unwrap();
        background_jobs().await;

        gateway.advance(TimeDelta::days(30));
        background_jobs().await;
        assert_eq!(users(database).await, 2, "not before the month is over");
        gateway.advance(TimeDelta::seconds(1));
        background_jobs().await;
        assert_eq!(users(database).await, 1);
        assert_eq!(database.number("SELECT count(*) FROM api_keys").await, 1);
        let gone = bob.get("/api/connect/ownerrez/status").await;
        refused(&gone, 401, "invalid_api_key");
        let alice = alice.get("/api/connect/ownerrez/status").await;
        assert_eq!((alice.status, &alice.body["connected"]), (200, &json!(false)), "she once was connected");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn where_the_operator_wants_it_nobody_is_removed() {
    on_each_database(async |database| {
        let settings = Settings::default().tune(|config| config.registration.unconnected_days = 0);
        let gateway = Gateway::start_with(database, settings).await;
        let bob = gateway.user("Bob").await;
        gateway.advance(TimeDelta::days(4000));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(bob.get("/api/connect/ownerrez/status").await.status, 200);
        gateway.stop().await;
    })
    .await;
}
