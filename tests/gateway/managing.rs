//! Users manage their keys and delete their accounts.

use chrono::TimeDelta;
use futures_util::future::join;
use serde_json::{Value, json};

use crate::world::{Gateway, Person, eventually, on_each_database, rpc};

/// The routes that need a key with full access. `route_table` compares this with what a read key may do.
pub(crate) const MANAGING: &[(&str, &str, Option<&str>)] = &[
    ("POST", "/api/keys", Some(r#"{"name": "more", "scope": "read"}"#)),
    ("DELETE", "/api/keys/00000000-0000-0000-0000-000000000000", None),
    ("DELETE", "/api/users/me", None),
    ("GET", "/api/connect/ownerrez/start", None),
    ("POST", "/api/connect/ownerrez/token", Some(r#"{"email": "a@b.example", "token": "pt_x"}"#)),
    ("DELETE", "/api/connect/ownerrez", None),
];

/// Creates another key of the same user; returns it with its id.
async fn another(person: &Person, wanted: Value) -> (Person, String) {
    let made = person.post("/api/keys", &wanted).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let key = made.body["api_key"].as_str().unwrap();
    (person.with_key(key, &person.id), made.body["id"].as_str().unwrap().to_owned())
}

async fn keys(person: &Person) -> Vec<Value> {
    let list = person.get("/api/keys").await;
    assert_eq!(list.status, 200, "{}", list.body);
    list.body["keys"].as_array().unwrap().clone()
}

async fn status(person: &Person) -> (u16, String) {
    let reply = person.get("/api/connect/ownerrez/status").await;
    (reply.status, reply.error().to_owned())
}

#[actix_web::test]
async fn keys_are_made_listed_and_deleted() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.advance(TimeDelta::minutes(1));
        let (laptop, id) = another(&alice, json!({"name": "laptop", "scope": "full"})).await;
        laptop.call("list_properties", json!({})).await.ok();

        let used = async || keys(&alice).await[1]["last_used_at"].is_string().then_some(());
        eventually("its use is written down", used).await;
        let listed = keys(&alice).await;
        assert_eq!(listed.len(), 2);
        let second = listed[1].as_object().unwrap();
        assert_eq!(second["id"], json!(id));
        assert_eq!(second["prefix"], json!(&laptop.key[..24]));
        assert_eq!((&second["name"], &second["scope"]), (&json!("laptop"), &json!("full")));
        assert_eq!((&second["expires_at"], &second["current"]), (&json!(null), &json!(false)));
        assert!(second["created_at"].is_string());
        assert_eq!(listed[0]["current"], json!(true));
        assert!(!json!(listed).to_string().contains(&laptop.key[24..]), "the key itself is shown once");

        let gone = alice.delete(&format!("/api/keys/{id}")).await;
        assert_eq!((gone.status, &gone.body["user_deleted"]), (200, &json!(false)));
        assert_eq!(status(&laptop).await, (401, "invalid_api_key".to_owned()), "at once, cache included");
        assert_eq!(alice.delete(&format!("/api/keys/{id}")).await.status, 404);
        alice.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_deleted_key_opens_no_other_process_either() {
    on_each_database(async |database| {
        if !database.is_postgres() {
            return;
        }
        let gateway = Gateway::start(database).await;
        let other = gateway.start_another(Default::default()).await;
        let alice = gateway.user("Alice").await;
        let (laptop, id) = another(&alice, json!({"scope": "full"})).await;
        let there = laptop.at(&other.url);
        eventually("it hears of changes", async || other.app().keys().receives_invalidations().then_some(())).await;
        assert_eq!(status(&there).await.0, 200);
        let runs = other.app().keys().bcrypt_runs();
        assert_eq!(status(&there).await.0, 200);
        alice.delete(&format!("/api/keys/{id}")).await;
        eventually("it has heard", async || (status(&there).await.0 == 401).then_some(())).await;
        assert_eq!(other.app().keys().bcrypt_runs(), runs, "none for a key whose row is gone");
        assert_eq!(status(&alice.at(&other.url)).await.0, 200);
        other.stop().await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn hands_in_the_database_are_noticed() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.user("Alice").await, gateway.user("Bob").await);
        for person in [&alice, &bob] {
            assert_eq!(status(person).await.0, 200);
        }
        database.execute("UPDATE users SET disabled_at = created_at").await;
        let turned_away = async || {
            // SQLite is polled every second.
            gateway.advance(TimeDelta::seconds(1));
            (status(&alice).await == (403, "account_disabled".to_owned())).then_some(())
        };
        eventually("disabled users are kept out", turned_away).await;
        // Each row has a separate notification, and Alice's comes first.
        let bob_too = async || {
            let tools = bob.mcp(&rpc(1, "tools/list", json!({}))).await;
            ((tools.status, tools.error()) == (403, "account_disabled")).then_some(())
        };
        eventually("the other user is kept out of /mcp as well", bob_too).await;

        database.execute("UPDATE users SET disabled_at = NULL").await;
        let back = async || {
            gateway.advance(TimeDelta::seconds(1));
            (status(&alice).await.0 == 200).then_some(())
        };
        eventually("and let in again", back).await;

        database.execute("DELETE FROM api_keys WHERE name = 'Alice'").await;
        let gone = async || {
            gateway.advance(TimeDelta::seconds(1));
            (status(&alice).await == (401, "invalid_api_key".to_owned())).then_some(())
        };
        eventually("a deleted row opens nothing", gone).await;
        eventually("the other key goes on", async || (status(&bob).await.0 == 200).then_some(())).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_read_key_reads_and_does_nothing_else() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let (reader, _) = another(&alice, json!({"name": "reader", "scope": "read"})).await;
        for (method, path, body) in MANAGING {
            let headers = [("content-type", "application/json")];
            let refused = reader.send(method, path, &headers, body.map(str::to_owned)).await;
            assert_eq!((refused.status, refused.error()), (403, "insufficient_scope"), "{method} {path}");
        }
        assert_eq!(status(&reader).await.0, 200);
        assert_eq!(keys(&reader).await.len(), 2);

        let list = reader.mcp(&rpc(1, "tools/list", json!({}))).await;
        let tools = list.body["result"]["tools"].as_array().unwrap();
        assert!(!tools.is_empty());
        for tool in tools {
            assert_eq!(tool["annotations"]["readOnlyHint"], json!(true), "{}", tool["name"]);
        }
        reader.call("list_properties", json!({})).await.ok();
        let all = alice.mcp(&rpc(1, "tools/list", json!({}))).await;
        let writes = all.body["result"]["tools"].as_array().unwrap().iter();
        // Another test covers the tool that only forwards calls.
        let writes = writes.filter(|tool| tool["name"] != "call_operation");
        let writes: Vec<_> = writes.filter(|tool| tool["annotations"]["readOnlyHint"] != json!(true)).collect();
        assert!(writes.len() > 2);
        gateway.ownerrez().clear_requests();
        for tool in writes {
            let text = reader.call(tool["name"].as_str().unwrap(), json!({})).await.refused();
            assert!(text.contains("may only read"), "{text}");
        }
        assert_eq!(gateway.ownerrez().count("* /*"), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_key_ends_when_it_was_to_end() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let end = gateway.now() + TimeDelta::hours(1);
        let (guest, _) = another(&alice, json!({"scope": "full", "expires_at": end})).await;
        let beyond = json!({"scope": "read", "expires_at": end + TimeDelta::seconds(1)});
        let refused = guest.post("/api/keys", &beyond).await;
        assert_eq!((refused.status, refused.error()), (400, "invalid_request"));
        let made = guest.post("/api/keys", &json!({"scope": "read"})).await;
        let said: chrono::DateTime<chrono::Utc> = made.body["expires_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(said, end, "no later than the key that made it");
        let child = guest.with_key(made.body["api_key"].as_str().unwrap(), "");

        gateway.advance(TimeDelta::minutes(59));
        assert_eq!((status(&guest).await.0, status(&child).await.0), (200, 200));
        gateway.advance(TimeDelta::minutes(1));
        for ended in [&guest, &child] {
            assert_eq!(status(ended).await, (401, "expired_api_key".to_owned()));
            let challenge = ended.get("/api/keys").await;
            assert!(challenge.header("www-authenticate").unwrap().contains("invalid_token"));
        }
        let gateway = gateway.restart().await;
        assert_eq!(
            status(&guest.at(&gateway.url)).await,
            (401, "expired_api_key".to_owned()),
            "when freshly read, too"
        );
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn wrong_wishes_make_no_key() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        for wish in [
            json!({}),
            json!({"name": "x"}),
            json!({"scope": "admin"}),
            json!({"scope": ["full"]}),
            json!({"scope": "full", "name": "x".repeat(101)}),
            json!({"scope": "full", "name": "a\nb"}),
            json!({"scope": "full", "expires_at": "tomorrow"}),
            json!({"scope": "full", "expires_at": gateway.now()}),
            json!({"scope": "full", "expires_at": "0001-01-01T00:00:00Z"}),
            json!([]),
        ] {
            let refused = alice.post("/api/keys", &wish).await;
            assert_eq!((refused.status, refused.error()), (400, "invalid_request"), "{wish}");
            let said = refused.body["message"].as_str().unwrap();
            assert!(!said.contains("WantedKey"), "a name of ours, not of the reader's: {said}");
            let is_time = wish["expires_at"].as_str().is_some_and(|text| text == "tomorrow");
            assert_eq!(said.contains("`expires_at` must be a time such as"), is_time, "{said}");
        }
        for number in 1..50 {
            another(&alice, json!({"scope": "read", "name": format!("{number}")})).await;
        }
        let refused = alice.post("/api/keys", &json!({"scope": "read"})).await;
        assert_eq!((refused.status, refused.error()), (409, "too_many_keys"));
        assert_eq!(keys(&alice).await.len(), 50);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn nobody_sees_or_ends_the_keys_of_another() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.user("Alice").await, gateway.user("Bob").await);
        let id = keys(&alice).await[0]["id"].as_str().unwrap().to_owned();
        assert!(!json!(keys(&bob).await).to_string().contains(&id));
        for path in [format!("/api/keys/{id}?confirm=true"), format!("/api/keys/{id}"), "/api/keys/x".to_owned()] {
            let refused = bob.delete(&path).await;
            assert_eq!((refused.status, refused.error()), (404, "not_found"), "{path}");
        }
        assert_eq!(status(&alice).await.0, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_last_full_key_goes_only_with_everything() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.connected_user("Bob").await);
        let (reader, reading) = another(&alice, json!({"scope": "read"})).await;
        let end = gateway.now() + TimeDelta::minutes(1);
        another(&alice, json!({"scope": "full", "expires_at": end})).await;
        gateway.advance(TimeDelta::minutes(1));
        let own = keys(&alice).await[0]["id"].as_str().unwrap().to_owned();

        let refused = alice.delete(&format!("/api/keys/{own}")).await;
        assert_eq!((refused.status, refused.error()), (409, "last_key"), "the others are read only, or expired");
        assert_eq!(alice.delete(&format!("/api/keys/{own}?confirm=maybe")).await.status, 400);
        assert_eq!(alice.delete(&format!("/api/keys/{reading}")).await.status, 200);
        assert_eq!(status(&reader).await.0, 401);

        let all = alice.delete(&format!("/api/keys/{own}?confirm=true")).await;
        assert_eq!((all.status, &all.body["user_deleted"]), (200, &json!(true)));
        assert_eq!(status(&alice).await, (401, "invalid_api_key".to_owned()));
        gateway.ownerrez().wait_for("DELETE /oauth/access_token/{token}", 1).await;
        for table in ["users", "ownerrez_connections", "api_keys"] {
            assert_eq!(database.number(&format!("SELECT count(*) FROM {table}")).await, 1, "Bob's own {table}");
        }
        bob.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn two_keys_that_delete_each_other_leave_one() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        for round in 0..8 {
            let alice = gateway.user(&format!("Alice {round}")).await;
            let (laptop, second) = another(&alice, json!({"scope": "full"})).await;
            let first = keys(&alice).await[0]["id"].as_str().unwrap().to_owned();
            let (by_alice, by_laptop) = (format!("/api/keys/{second}"), format!("/api/keys/{first}"));
            let (one, other) = join(alice.delete(&by_alice), laptop.delete(&by_laptop)).await;
            let mut outcomes = [one.status, other.status];
            outcomes.sort();
            assert_eq!(outcomes, [200, 401], "{} {}", one.body, other.body);
            let left = [status(&alice).await.0, status(&laptop).await.0];
            assert_eq!(left.iter().filter(|status| **status == 200).count(), 1);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_user_goes_with_everything_of_theirs() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let (reader, _) = another(&alice, json!({"scope": "read"})).await;
        gateway.user("Bob").await.get("/api/connect/ownerrez/start").await;
        alice.call("list_properties", json!({})).await.ok();

        let gone = alice.delete("/api/users/me").await;
        assert_eq!((gone.status, &gone.body["user_deleted"]), (200, &json!(true)));
        for key in [&alice, &reader] {
            assert_eq!(status(key).await, (401, "invalid_api_key".to_owned()));
        }
        gateway.ownerrez().wait_for("DELETE /oauth/access_token/{token}", 1).await;
        let left = "SELECT (SELECT count(*) FROM users) * 100 + (SELECT count(*) FROM ownerrez_connections) * 10
                    + (SELECT count(*) FROM oauth_states)";
        assert_eq!(database.number(left).await, 101, "Bob and his link");
        gateway.stop().await;
    })
    .await;
}
