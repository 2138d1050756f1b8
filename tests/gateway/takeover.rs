//! Takes over the deployment of the TypeScript server unchanged: its database, its keys, its tokens, its addresses.
//!
//! Always uses the fixture. If a real database of that server is next to this repository, it is tested too.

use std::{fs, path::Path};

use futures_util::future::join_all;
use ownerrez_gateway::domain::AccountId;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use crate::world::{Browser, Gateway, Person, Settings, TestDatabase, eventually, on_postgres};

/// A database of the predecessor, and the known facts about it.
struct Legacy {
    dump: String,
    encryption_key: String,
    users: Vec<User>,
}

struct User {
    id: String,
    keys: Vec<String>,
    access: Option<String>,
    refresh: Option<String>,
    ownerrez_id: Value,
}

impl Legacy {
    fn fixture() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/fixtures");
        Self::read(&folder.join("predecessor.sql"), &folder.join("predecessor.json"))
    }

    fn all() -> Vec<Self> {
        let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/predecessor");
        let (dump, contents) = (real.join("database.sql"), real.join("contents.json"));
        let real = (dump.exists() && contents.exists()).then(|| Self::read(&dump, &contents));
        std::iter::once(Self::fixture()).chain(real).collect()
    }

    fn read(dump: &Path, contents: &Path) -> Self {
        let contents: Value = serde_json::from_str(&fs::read_to_string(contents).unwrap()).unwrap();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let user = |user: &Value| User {
            id: text(&user["user_id"]).unwrap(),
            keys: user["api_keys"].as_array().unwrap().iter().filter_map(text).collect(),
            access: text(&user["access_token"]),
            refresh: text(&user["refresh_token"]),
            ownerrez_id: user["ownerrez_user_id"].clone(),
        };
        Self {
            dump: fs::read_to_string(dump).unwrap(),
            encryption_key: text(&contents["encryption_key"]).unwrap(),
            users: contents["users"].as_array().unwrap().iter().map(user).collect(),
        }
    }

    /// Loads the database and starts the gateway on it; OwnerRez accepts the tokens. Returns each user's account.
    async fn taken_over(&self, database: &TestDatabase, settings: Settings) -> (Gateway, Vec<Option<AccountId>>) {
        database.execute(&self.dump).await;
        let gateway = Gateway::start_with(database, settings.set("ENCRYPTION_KEY", &self.encryption_key)).await;
        let account = |user: &User| {
            let access = user.access.as_ref()?;
            let account = gateway.ownerrez().add_account(&user.id).id;
            gateway.ownerrez().import_grant(account, access, user.refresh.as_deref());
            Some(account)
        };
        let accounts = self.users.iter().map(account).collect();
        (gateway, accounts)
    }
}

impl User {
    fn at(&self, gateway: &Gateway) -> Person {
        Person::visitor(&gateway.url).with_key(&self.keys[0], &self.id)
    }
}

#[actix_web::test]
async fn nobody_who_was_here_before_is_swept_away() {
    on_postgres(async |database| {
        let legacy = Legacy::fixture();
        assert!(legacy.users.iter().any(|user| user.access.is_none()), "one of them never connected");
        let (gateway, _) = legacy.taken_over(database, Settings::default()).await;
        let count = database.number("SELECT count(*) FROM users").await;
        gateway.user("New").await;
        gateway.advance(chrono::TimeDelta::days(400));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(database.number("SELECT count(*) FROM users").await, count);
        gateway.stop().await;
    })
    .await;
}

/// Returns the contents of the predecessor's tables, without the time of last use, which is written after the response.
async fn contents(database: &TestDatabase) -> Vec<String> {
    rows(
        database,
        "SELECT to_jsonb(users)::text FROM users
         UNION ALL SELECT (to_jsonb(api_keys) - 'last_used_at')::text FROM api_keys
         UNION ALL SELECT to_jsonb(ownerrez_connections)::text FROM ownerrez_connections
         UNION ALL SELECT to_jsonb(oauth_states)::text FROM oauth_states
         UNION ALL SELECT to_jsonb(seaql_migrations)::text FROM seaql_migrations ORDER BY 1",
    )
    .await
}

async fn rows(database: &TestDatabase, query: &str) -> Vec<String> {
    let db = database.open().await;
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), query)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

const COUNTS: &str =
    "SELECT concat_ws(' ', (SELECT count(*) FROM public.users), (SELECT count(*) FROM public.api_keys),
    (SELECT count(*) FROM public.ownerrez_connections))";

#[actix_web::test]
async fn every_key_authenticates_every_token_opens_and_no_row_is_lost() {
    for legacy in Legacy::all() {
        on_postgres(async |database| {
            let (gateway, accounts) = legacy.taken_over(database, Settings::default()).await;
            let loaded = legacy.dump.matches("INSERT INTO public.users ").count();
            let counted = rows(database, COUNTS).await;
            assert!(counted[0].starts_with(&format!("{loaded} ")), "{counted:?}");
            let sealed = rows(database, "SELECT access_token FROM ownerrez_connections").await;
            assert!(!sealed.is_empty() && sealed.iter().all(|token| token.contains(':')), "sealed on first use");

            for (user, account) in legacy.users.iter().zip(&accounts) {
                for key in &user.keys {
                    let person = Person::visitor(&gateway.url).with_key(key, &user.id);
                    let status = person.get("/api/connect/ownerrez/status").await;
                    assert_eq!(status.status, 200, "{}", status.body);
                    assert_eq!(status.body["connected"], json!(account.is_some()));
                    assert_eq!(status.body["ownerrez_user_id"], user.ownerrez_id);
                    assert_eq!(status.body["expires_at"], Value::Null);
                    match account {
                        Some(account) => {
                            let me = person.call("get_current_user", json!({})).await.ok();
                            assert_eq!(me["id"], json!(account.0));
                        }
                        None => assert!(!person.call("get_current_user", json!({})).await.refused().is_empty()),
                    }
                }
            }

            let plain = "SELECT access_token FROM ownerrez_connections
                WHERE access_token LIKE '%:%' OR refresh_token LIKE '%:%'";
            assert_eq!(rows(database, plain).await, [""; 0], "sealed anew");
            let refreshable = legacy.users.iter().filter(|user| user.refresh.is_some()).count();
            let kept = database.number("SELECT count(refresh_token) FROM ownerrez_connections").await;
            assert_eq!(usize::try_from(kept).unwrap(), refreshable);
            assert_eq!(gateway.ownerrez().count("POST /oauth/access_token"), 0);
            assert_eq!(rows(database, COUNTS).await, counted);

            // The next process migrates again, which changes nothing, and needs no bcrypt.
            let before = contents(database).await;
            let gateway = gateway.restart().await;
            assert_eq!(contents(database).await, before);
            for (user, account) in legacy.users.iter().zip(&accounts) {
                for key in &user.keys {
                    let person = Person::visitor(&gateway.url).with_key(key, &user.id);
                    assert_eq!(person.get("/api/connect/ownerrez/status").await.status, 200);
                    if let Some(account) = account {
                        assert_eq!(person.call("get_current_user", json!({})).await.ok()["id"], json!(account.0));
                    }
                }
            }
            assert_eq!(gateway.app().keys().bcrypt_runs(), 0);
            assert_eq!(contents(database).await, before);
            gateway.stop().await;
        })
        .await;
    }
}

#[actix_web::test]
async fn a_wrong_key_is_compared_with_eight_at_most() {
    let legacy = Legacy::fixture();
    on_postgres(async |database| {
        let (gateway, _) = legacy.taken_over(database, Settings::default()).await;
        let door = "/api/connect/ownerrez/status";
        let runs = || gateway.app().keys().bcrypt_runs();
        let sharing: Vec<&User> =
            legacy.users.iter().filter(|user| user.keys.iter().any(|key| key.contains("_beef"))).collect();
        assert_eq!(sharing.len(), 9);
        let visitor = Person::visitor(&gateway.url);

        // The ninth key must wait until the keys before it are found without a comparison.
        let ninth = sharing[8].at(&gateway);
        assert_eq!(ninth.get(door).await.error(), "invalid_api_key");
        assert_eq!(runs(), 8);
        assert_eq!(sharing[7].at(&gateway).get(door).await.status, 200);
        assert_eq!(runs(), 16);
        assert_eq!(ninth.get(door).await.status, 200);
        assert_eq!(runs(), 24);

        // After its first use it costs nothing, and neither does a key with an unknown prefix or an invalid form.
        assert_eq!(ninth.get(door).await.status, 200);
        let alien = "ownerrez_sk_ffff00000000000000000000000000000000000000000000";
        for key in [alien, &alien[..59], &alien.to_uppercase()] {
            assert_eq!(visitor.with_key(key, "").get(door).await.error(), "invalid_api_key");
        }
        assert_eq!(runs(), 24);

        // A wrong key with a known prefix is compared once, however often it is sent, and in turn.
        let mut wrong = legacy.users[0].keys[0].clone();
        wrong.replace_range(59.., if wrong.ends_with('0') { "1" } else { "0" });
        let wrong = visitor.with_key(&wrong, "");
        for refused in join_all((0..5).map(|_| wrong.get(door))).await {
            assert_eq!(refused.error(), "invalid_api_key");
        }
        assert_eq!(runs(), 25);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn without_keys_of_the_predecessor_nothing_is_compared() {
    on_postgres(async |database| {
        let gateway = Gateway::start(database).await;
        gateway.user("Alice").await;
        let before = gateway.app().keys().bcrypt_runs();
        let key = &Legacy::fixture().users[0].keys[0];
        let refused = Person::visitor(&gateway.url).with_key(key, "").get("/api/connect/ownerrez/status").await;
        assert_eq!((refused.status, refused.error()), (401, "invalid_api_key"));
        assert_eq!(gateway.app().keys().bcrypt_runs(), before);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_token_whose_end_nobody_knew_is_refreshed_when_it_is_refused() {
    let legacy = Legacy::fixture();
    on_postgres(async |database| {
        let (gateway, accounts) = legacy.taken_over(database, Settings::default()).await;
        let with_refresh = &legacy.users[1];
        // The account id in the row is the one from the response to a refresh.
        let number = accounts[1].unwrap();
        let renamed = "UPDATE ownerrez_connections SET user_id_ownerrez = {} WHERE user_id_ownerrez = 900002";
        database.execute(&renamed.replace("{}", &number.to_string())).await;
        gateway.ownerrez().expire_access_tokens(accounts[1].unwrap());
        let person = with_refresh.at(&gateway);
        assert_eq!(person.call("get_current_user", json!({})).await.ok()["id"], json!(accounts[1].unwrap().0));
        assert_eq!(gateway.ownerrez().count("POST /oauth/access_token"), 1);
        assert_ne!(person.get("/api/connect/ownerrez/status").await.body["expires_at"], Value::Null);

        // Without a refresh token the user has to reconnect.
        gateway.ownerrez().expire_access_tokens(accounts[0].unwrap());
        let person = legacy.users[0].at(&gateway);
        person.call("get_current_user", json!({})).await.refused();
        assert_eq!(person.get("/api/connect/ownerrez/status").await.body["needs_reconnect"], json!(true));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn two_processes_may_use_a_connection_for_the_first_time_at_once() {
    let legacy = Legacy::fixture();
    on_postgres(async |database| {
        // Each with half of the allowance; otherwise one of them would be on standby.
        let settings = || Settings::default().set("UPSTREAM_SHARED", "true").set("UPSTREAM_LIMIT", "150");
        let (gateway, accounts) = legacy.taken_over(database, settings()).await;
        let other = gateway.start_another(settings()).await;
        let person = legacy.users[1].at(&gateway);
        let there = person.at(&other.url);
        let calls = join_all([&person, &there].map(|person| person.call("get_current_user", json!({})))).await;
        for answer in calls {
            assert_eq!(answer.ok()["id"], json!(accounts[1].unwrap().0));
        }
        assert_eq!(
            database.number("SELECT version FROM ownerrez_connections WHERE user_id_ownerrez = 900002").await,
            0
        );
        other.stop().await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_token_that_was_never_used_here_is_revoked_when_its_owner_disconnects() {
    let legacy = Legacy::fixture();
    on_postgres(async |database| {
        let (gateway, accounts) = legacy.taken_over(database, Settings::default()).await;
        let person = legacy.users[2].at(&gateway);
        assert_eq!(person.delete("/api/connect/ownerrez").await.body["disconnected"], json!(true));
        eventually("the revocation", async || {
            (database.number("SELECT count(*) FROM pending_revocations").await == 0).then_some(())
        })
        .await;
        let revocations = gateway.ownerrez().requests_to("DELETE /oauth/access_token/{token}");
        assert_eq!(
            revocations.iter().map(|sent| (sent.account, sent.status)).collect::<Vec<_>>(),
            [(accounts[2].map(|account| account.0), Some(200))]
        );
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn with_another_key_nothing_opens_and_nothing_is_touched() {
    let legacy =
        Legacy { encryption_key: "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned(), ..Legacy::fixture() };
    on_postgres(async |database| {
        let (gateway, _) = legacy.taken_over(database, Settings::default()).await;
        let tokens = "SELECT access_token FROM ownerrez_connections ORDER BY 1";
        let before = rows(database, tokens).await;
        let person = legacy.users[0].at(&gateway);
        assert_eq!(person.get("/api/connect/ownerrez/status").await.body["connected"], json!(true));
        let test = person.get("/api/connect/ownerrez/test").await;
        assert_eq!((test.status, test.error()), (500, "internal_error"));
        assert_eq!(rows(database, tokens).await, before);
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_owner_of_an_old_key_connects_and_an_old_link_leads_nowhere() {
    let legacy = Legacy::fixture();
    on_postgres(async |database| {
        let (gateway, _) = legacy.taken_over(database, Settings::default()).await;
        let waiting = &legacy.users[4];
        let (_, rest) = legacy.dump.split_once("INSERT INTO public.oauth_states VALUES ('").unwrap();
        let (state, _) = rest.split_once('\'').unwrap();
        let mut browser = Browser::new();
        for path in ["authorize?", "callback?code=tc_1&"] {
            let page = browser.open(&format!("{}/api/connect/ownerrez/{path}state={state}", gateway.url)).await;
            assert!(page.status == 410 || page.status == 403, "{path}: {}", page.body);
        }
        assert_eq!(gateway.ownerrez().count("POST /oauth/access_token"), 0);

        let account = gateway.ownerrez().add_account("Waits for OwnerRez").id;
        let person = waiting.at(&gateway).connect(&gateway, account).await;
        assert_eq!(person.call("get_current_user", json!({})).await.ok()["id"], json!(account.0));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn its_settings_are_taken_and_its_addresses_say_what_moved() {
    on_postgres(async |database| {
        let settings = Settings::default().set("OWNERREZ_REDIRECT_URI", "http://localhost:3000/oauth/callback");
        let gateway = Gateway::start_with(database, settings).await;
        let visitor = Person::visitor(&gateway.url);
        let moved = visitor.get("/oauth/callback?code=tc_secret&state=x").await;
        assert_eq!((moved.status, moved.error()), (410, "moved"));
        let ours = format!("{}/api/connect/ownerrez/callback", gateway.url);
        assert!(moved.body["hint"].as_str().unwrap().contains(&ours), "{}", moved.body);

        let headers = [("accept", "text/html,application/xhtml+xml")];
        let page = visitor.send("GET", "/oauth/callback?error=%3Cb%3E", &headers, None).await;
        let text = page.body.as_str().unwrap();
        assert!(page.status == 410 && text.contains(&ours) && !text.contains("<b>"), "{text}");

        for (method, path) in [("POST", "/sse"), ("GET", "/sse"), ("POST", "/message")] {
            let moved = visitor.send(method, path, &[], None).await;
            assert_eq!((moved.status, moved.error()), (410, "moved"));
            assert!(moved.body["hint"].as_str().unwrap().contains("/mcp"));
        }
        // The gateway's own callback is the one that is used.
        let alice = gateway.connected_user("Alice").await;
        alice.call("get_current_user", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn old_keys_that_were_seen_are_found_after_the_encryption_key_changed() {
    let legacy = Legacy::fixture();
    on_postgres(async |database| {
        let (gateway, accounts) = legacy.taken_over(database, Settings::default()).await;
        let door = "/api/connect/ownerrez/status";
        assert_eq!(legacy.users[0].at(&gateway).get(door).await.status, 200);

        let new = Settings::default()
            .set("ENCRYPTION_KEY", "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU=")
            .set("ENCRYPTION_KEYS_PREVIOUS", &legacy.encryption_key);
        let gateway = gateway.restart_with(new).await;
        assert_eq!(legacy.users[0].at(&gateway).get(door).await.status, 200);
        assert_eq!(gateway.app().keys().bcrypt_runs(), 0, "found by the digest under the key before");
        // Tokens that the old server encrypted with that key can also be decrypted.
        let me = legacy.users[1].at(&gateway).call("get_current_user", json!({})).await.ok();
        assert_eq!(me["id"], json!(accounts[1].unwrap().0));

        let gateway = gateway.restart_with(Settings::default().set("ENCRYPTION_KEYS_PREVIOUS", "")).await;
        assert_eq!(legacy.users[0].at(&gateway).get(door).await.status, 200);
        assert_eq!(gateway.app().keys().bcrypt_runs(), 0, "noted under the current key meanwhile");
        gateway.stop().await;
    })
    .await;
}
