//! API keys: which are accepted, what they cost, and the effects of an unreachable database.

use std::path::PathBuf;

use chrono::TimeDelta;
use futures_util::future::join_all;
use ownerrez_gateway::crypto::ApiKey;
use sea_orm::{ConnectionTrait, TransactionTrait};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    managing::MANAGING,
    world::{Gateway, Person, Reply, Settings, eventually, on_each_database, on_postgres, rpc},
};

/// The routes that need a key. `route_table` compares this with the sources.
pub(crate) const DOORS: &[(&str, &str)] = &[
    ("DELETE", "/api/users/me"),
    ("GET", "/api/keys"),
    ("POST", "/api/keys"),
    ("DELETE", "/api/keys/00000000-0000-0000-0000-000000000000"),
    ("POST", "/api/connect/ownerrez/token"),
    ("GET", "/api/connect/ownerrez/start"),
    ("GET", "/api/connect/ownerrez/status"),
    ("GET", "/api/connect/ownerrez/test"),
    ("DELETE", "/api/connect/ownerrez"),
    ("POST", "/mcp"),
    ("GET", "/mcp"),
    ("DELETE", "/mcp"),
    ("POST", "/mcp/readonly"),
    ("POST", "/mcp/x/guests"),
    ("POST", "/mcp/x/guests/readonly"),
];

/// Sends a request with a valid body. actix-web reads key and body at the same time, so a wrong body may be refused
/// before a key that has to be looked up.
async fn knock(person: &Person, method: &str, path: &str) -> Reply {
    let body =
        MANAGING.iter().find(|(managing, at, _)| (*managing, *at) == (method, path)).and_then(|(_, _, body)| *body);
    person.send(method, path, &[("content-type", "application/json")], body.map(str::to_owned)).await
}

/// Returns a key with valid form and checksum that is unknown.
fn invented_key() -> String {
    ApiKey::generate().unwrap().expose().expose_secret().to_owned()
}

#[actix_web::test]
async fn a_key_that_is_not_good_opens_no_door() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let visitor = Person::visitor(&gateway.url);
        let key = &alice.key;
        let mut other_end = key.clone();
        other_end.replace_range(30..31, if &key[30..31] == "A" { "B" } else { "A" });
        let wrong = [
            other_end,
            key[..61].to_owned(),
            key[..24].to_owned(),
            format!("{key}x"),
            key.to_uppercase(),
            "ownerrez_sk_".to_owned(),
            "ownerrez_sk_87e929b276ffeb16ab008edc4e5c95ba64d1d8a4eb9ab916".to_owned(),
            "x".repeat(5000),
        ];
        for (method, path) in DOORS {
            let nothing = visitor.send(method, path, &[], None).await;
            assert_eq!((nothing.status, nothing.error()), (401, "missing_api_key"), "{method} {path}");
            assert!(nothing.header("www-authenticate").unwrap().starts_with("Bearer"));
            for key in &wrong {
                let refused = visitor.with_key(key, "").send(method, path, &[], None).await;
                assert_eq!((refused.status, refused.error()), (401, "invalid_api_key"), "{method} {path} {key}");
                assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
            }
            for scheme in ["Basic", "Bearer", "Digest Bearer"] {
                let headers = [("authorization", format!("{scheme}  "))];
                let headers = [(headers[0].0, headers[0].1.as_str())];
                assert_eq!(visitor.send(method, path, &headers, None).await.status, 401, "{scheme:?}");
            }
            let in_the_query = format!("{path}?api_key={key}&access_token={key}");
            assert_eq!(visitor.send(method, &in_the_query, &[], None).await.status, 401);
        }
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        let lower = [("authorization", format!("bearer {key}"))];
        let lower = [(lower[0].0, lower[0].1.as_str())];
        assert_eq!(visitor.send("GET", "/api/connect/ownerrez/status", &lower, None).await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_well_formed_key_that_nobody_has_is_refused() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        gateway.connected_user("Alice").await;
        let before = gateway.app().keys().bcrypt_runs();
        let invented = invented_key();
        for (method, path) in DOORS {
            let refused = knock(&Person::visitor(&gateway.url).with_key(&invented, ""), method, path).await;
            assert_eq!((refused.status, refused.error()), (401, "invalid_api_key"), "{method} {path}");
        }
        assert_eq!(gateway.app().keys().bcrypt_runs(), before, "there was no hash to compare it with");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_wrong_secret_behind_the_right_lookup_id_costs_bcrypt_once() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        gateway.user("Alice").await;
        let invented = invented_key();
        database.execute(&format!("UPDATE api_keys SET key_prefix = '{}'", &invented[..24])).await;
        let guesser = Person::visitor(&gateway.url).with_key(&invented, "");
        let before = gateway.app().keys().bcrypt_runs();
        let all = (0..20).map(|_| guesser.clone()).collect::<Vec<_>>();
        let replies = join_all(all.iter().map(|guesser| guesser.get("/api/connect/ownerrez/status"))).await;
        assert!(replies.iter().all(|reply| reply.error() == "invalid_api_key"));
        assert_eq!(gateway.app().keys().bcrypt_runs() - before, 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn bcrypt_runs_once_for_a_key_and_once_for_a_wrong_one() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        database.execute("UPDATE api_keys SET key_hmac = NULL").await;
        let started = gateway.app().keys().bcrypt_runs();
        let status = async |person: &Person| person.get("/api/connect/ownerrez/status").await.status;

        let all = (0..20).map(|_| alice.clone()).collect::<Vec<_>>();
        assert!(join_all(all.iter().map(status)).await.iter().all(|status| *status == 200));
        assert_eq!(gateway.app().keys().bcrypt_runs() - started, 1, "twenty at once");

        // A valid form and the same lookup id, but the row has the hash of another key.
        database
            .execute("UPDATE api_keys SET key_hash = '$2b$04$abcdefghijklmnopqrstuuZ0qFzW4k3n8Y1w8vYp8C6nq0l3m1a8S'")
            .await;
        let gateway = gateway.restart().await;
        let alice = alice.at(&gateway.url);
        let started = gateway.app().keys().bcrypt_runs();
        for _ in 0..3 {
            assert_eq!(status(&alice).await, 401);
        }
        assert_eq!(gateway.app().keys().bcrypt_runs() - started, 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_last_use_is_written_no_oftener_than_once_a_minute() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        database.execute("CREATE TABLE uses (written integer)").await;
        let note = if database.is_postgres() {
            "CREATE RULE note AS ON UPDATE TO api_keys DO ALSO INSERT INTO uses VALUES (1)"
        } else {
            "CREATE TRIGGER note AFTER UPDATE ON api_keys BEGIN INSERT INTO uses VALUES (1); END"
        };
        database.execute(note).await;
        let uses = async |wanted: i64| {
            eventually("the uses written", async || {
                (database.number("SELECT count(*) FROM uses").await == wanted).then_some(())
            })
            .await;
        };
        for minute in 1..=3 {
            for _ in 0..6 {
                assert_eq!(alice.get("/api/connect/ownerrez/status").await.status, 200);
                gateway.advance(TimeDelta::seconds(10));
            }
            uses(minute).await;
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_note_of_the_last_use_keeps_no_request_waiting() {
    on_postgres(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let elsewhere = database.open().await;
        let transaction = elsewhere.begin().await.unwrap();
        transaction.execute_unprepared("SELECT id FROM api_keys FOR UPDATE").await.unwrap();
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.status, 200);
        assert_eq!(database.number("SELECT count(*) FROM api_keys WHERE last_used_at IS NOT NULL").await, 0);

        transaction.rollback().await.unwrap();
        eventually("the note", async || {
            let noted = "SELECT count(*) FROM api_keys WHERE last_used_at IS NOT NULL";
            (database.number(noted).await == 1).then_some(())
        })
        .await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn neither_key_nor_state_can_be_read_out_of_the_files() {
    on_each_database(async |database| {
        // PostgreSQL's files are not readable here; the columns are the same.
        let Some(file) = database.url().strip_prefix("sqlite://").map(PathBuf::from) else { return };
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.user("Bob").await;
        let started = bob.get("/api/connect/ownerrez/start").await;
        let state = started.body["state"].as_str().unwrap();
        let mut looked_at = Vec::new();
        for entry in std::fs::read_dir(file.parent().unwrap()).unwrap() {
            looked_at.extend(std::fs::read(entry.unwrap().path()).unwrap());
        }
        let holds = |text: &str| looked_at.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds(&alice.key[..24]), "the lookup id is there to be found");
        for secret in [&alice.key[24..56], &bob.key[24..56], state] {
            assert!(!holds(secret));
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_database_that_fails_refuses_no_key_and_tells_nothing_of_itself() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        database.execute("ALTER TABLE api_keys RENAME TO elsewhere").await;
        for (method, path) in DOORS {
            let reply = knock(&alice, method, path).await;
            assert_eq!((reply.status, reply.error()), (500, "internal_error"), "{method} {path}");
            let shown = reply.body.to_string().to_lowercase();
            for inside in ["api_keys", "sql", "table", "column", "relation"] {
                assert!(!shown.contains(inside), "{shown}");
            }
        }
        database.execute("ALTER TABLE elsewhere RENAME TO api_keys").await;
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_known_key_needs_no_row_as_long_as_its_end_would_be_heard() {
    on_postgres(async |database| {
        let gateway = Gateway::start(database).await;
        let (known, unknown) = (gateway.user("Alice").await, gateway.user("Bob").await);
        eventually("changes are heard", async || gateway.app().keys().receives_invalidations().then_some(())).await;
        let list = rpc(1, "tools/list", json!({}));
        assert_eq!(known.mcp(&list).await.status, 200);

        database.execute("ALTER TABLE api_keys RENAME TO elsewhere").await;
        let tools = known.mcp(&list).await;
        assert_eq!(tools.status, 200, "{}", tools.body);
        assert!(!tools.body["result"]["tools"].as_array().unwrap().is_empty());
        assert_eq!(unknown.mcp(&list).await.status, 500);
        database.execute("ALTER TABLE elsewhere RENAME TO api_keys").await;

        // The connection that receives change notifications is lost together with the database.
        database.make_unavailable().await;
        eventually("trust ends", async || (!gateway.app().keys().receives_invalidations()).then_some(())).await;
        for person in [&known, &unknown] {
            let refused = person.mcp(&list).await;
            assert_eq!((refused.status, refused.error()), (503, "database_unavailable"));
        }
        database.make_available().await;
        eventually("the gateway recovers", async || (unknown.mcp(&list).await.status == 200).then_some(())).await;
        gateway.stop().await;
    })
    .await;
}

/// The clock does not advance in this test: only the end of the connection itself can invalidate the cache.
#[actix_web::test]
async fn a_key_that_is_deleted_elsewhere_is_refused_as_soon_as_changes_are_not_heard_any_more() {
    on_postgres(async |database| {
        let gateway = Gateway::start(database).await;
        let other = gateway.start_another(Settings::default()).await;
        let alice = gateway.user("Alice").await;
        let here = alice.at(&gateway.url);
        eventually("changes are heard", async || gateway.app().keys().receives_invalidations().then_some(())).await;
        assert_eq!(here.get("/api/connect/ownerrez/status").await.status, 200);

        database
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND query LIKE 'LISTEN%'",
            )
            .await;
        eventually("the connection is gone", async || (!gateway.app().keys().receives_invalidations()).then_some(()))
            .await;
        assert_eq!(here.get("/api/connect/ownerrez/status").await.status, 200, "its row is read");
        assert_eq!(alice.at(&other.url).delete("/api/users/me").await.status, 200);
        assert_eq!(here.get("/api/connect/ownerrez/status").await.status, 401, "at once");

        gateway.advance(TimeDelta::seconds(3));
        eventually("changes are heard again", async || gateway.app().keys().receives_invalidations().then_some(()))
            .await;
        other.stop().await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_last_use_is_written_once_a_minute() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let status = async || alice.get("/api/connect/ownerrez/status").await.status;
        let written = async |at: &str| {
            let query = format!("SELECT count(*) FROM api_keys WHERE CAST(last_used_at AS text) LIKE '%{at}%'");
            database.number(&query).await == 1
        };
        assert_eq!(status().await, 200);
        eventually("the first use", async || written("12:00:00").await.then_some(())).await;
        gateway.advance(TimeDelta::seconds(59));
        assert_eq!(status().await, 200);
        gateway.advance(TimeDelta::seconds(1));
        assert_eq!(status().await, 200);
        eventually("the use a minute later", async || written("12:01:00").await.then_some(())).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn only_a_hash_is_kept() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let hashed = "SELECT count(*) FROM api_keys WHERE key_hash LIKE '$2b$%'";
        assert_eq!(database.number(hashed).await, 1);
        let prefix = format!("SELECT count(*) FROM api_keys WHERE key_prefix = '{}'", &alice.key[..24]);
        assert_eq!(database.number(&prefix).await, 1);
        let secret = &alice.key[24..56];
        for column in ["key_hash", "key_prefix", "name"] {
            let query = format!("SELECT count(*) FROM api_keys WHERE {column} LIKE '%{secret}%'");
            assert_eq!(database.number(&query).await, 0);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_database_that_is_away_is_503_and_never_401() {
    on_postgres(async |database| {
        let gateway = Gateway::start(database).await;
        let (known, unknown) = (gateway.user("Alice").await, gateway.user("Bob").await);
        eventually("changes are heard", async || gateway.app().keys().receives_invalidations().then_some(())).await;
        assert_eq!(known.get("/api/connect/ownerrez/status").await.status, 200);

        database.make_unavailable().await;
        eventually("trust ends", async || (!gateway.app().keys().receives_invalidations()).then_some(())).await;
        for (person, method, path) in [
            (&unknown, "GET", "/api/connect/ownerrez/status"),
            (&unknown, "POST", "/mcp"),
            (&known, "GET", "/api/connect/ownerrez/status"),
            (&known, "GET", "/api/connect/ownerrez/start"),
            (&known, "DELETE", "/api/connect/ownerrez"),
            (&known, "POST", "/mcp"),
        ] {
            let reply = person.send(method, path, &[], None).await;
            assert_eq!((reply.status, reply.error()), (503, "database_unavailable"), "{method} {path}");
            assert!(reply.header("retry-after").is_some());
        }
        let register = Person::visitor(&gateway.url).post("/api/users/register", &json!({"name": "Carol"})).await;
        assert_eq!((register.status, register.error()), (503, "database_unavailable"));
        let malformed =
            Person::visitor(&gateway.url).with_key("ownerrez_sk_x", "").get("/api/connect/ownerrez/status").await;
        assert_eq!(malformed.status, 401, "its form alone gives it away");
        assert_eq!(Person::visitor(&gateway.url).get("/health").await.status, 200);

        database.make_available().await;
        eventually("the gateway recovers", async || {
            (unknown.get("/api/connect/ownerrez/status").await.status == 200).then_some(())
        })
        .await;
        gateway.stop().await;
    })
    .await;
}
