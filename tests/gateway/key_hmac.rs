//! Keys that a process has not yet seen: the HMAC in their row avoids bcrypt, and bcrypt's queue is fair.

use futures_util::future::{join, join_all};
use ownerrez_gateway::{
    crypto::{ApiKey, KeyRing, PresentedKey},
    domain::{KeyId, Scope, ToolDefaults, UserId},
    store::NewKey,
};
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use crate::{
    limits::wrong_keys_like,
    rotation::{NEW, OLD, key, keys, store_of},
    world::{Gateway, Person, Reply, Settings, TestDatabase, eventually, on_each_database},
};

const STATUS: &str = "/api/connect/ownerrez/status";

async fn status(person: &Person) -> (u16, String) {
    let reply = person.get(STATUS).await;
    (reply.status, reply.error().to_owned())
}

fn ok() -> (u16, String) {
    (200, String::new())
}

async fn with_hmac(database: &TestDatabase) -> i64 {
    database.number("SELECT count(*) FROM api_keys WHERE key_hmac IS NOT NULL").await
}

async fn from(gateway: &Gateway, key: &str, source: &str) -> Reply {
    let headers = [("x-forwarded-for", source)];
    Person::visitor(&gateway.url).with_key(key, "").send("GET", STATUS, &headers, None).await
}

/// Stores rows like those of registrations.
async fn register_many(database: &TestDatabase, gateway: &Gateway, count: usize) -> Vec<String> {
    let store = store_of(database).await;
    let ring = KeyRing::new(&key(OLD)).unwrap();
    let mut made = Vec::new();
    for _ in 0..count {
        let key = ApiKey::generate().unwrap();
        // bcrypt must not run, so its hash can be any text.
        let hash = format!("hash of {}", key.prefix());
        let row = NewKey {
            id: KeyId(Uuid::now_v7()),
            hmac: Some(ring.key_hmac().make(&PresentedKey::Gateway(key.clone()), &hash)),
            hash,
            prefix: key.prefix().to_owned(),
            name: None,
            scope: Scope::Full,
            expires_at: None,
            view: ToolDefaults::default(),
        };
        store.register_user(UserId(Uuid::now_v7()), row, gateway.now()).await.unwrap();
        made.push(key.expose().expose_secret().to_owned());
    }
    store.close().await.unwrap();
    made
}

#[actix_web::test]
async fn two_thousand_keys_that_come_at_once_after_a_start_are_all_served_without_bcrypt() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, Settings::default().set("TRUSTED_PROXIES", "127.0.0.1")).await;
        let keys = register_many(database, &gateway, 2_000).await;
        let gateway = gateway.restart().await;
        let replies = join_all(keys.iter().enumerate().map(async |(number, key)| {
            from(&gateway, key, &format!("198.51.{}.{}", number / 250, number % 250 + 1)).await
        }))
        .await;
        let refused = replies.iter().filter(|reply| reply.status != 200).collect::<Vec<_>>();
        assert!(refused.is_empty(), "{} refused, such as {:?}", refused.len(), refused[0]);
        assert_eq!(gateway.app().keys().bcrypt_runs(), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn after_a_restart_a_key_needs_no_bcrypt_and_its_row_decides() {
    on_each_database(async |database| {
        let mut gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        for (change, expected) in [
            ("UPDATE users SET disabled_at = NULL", (200, "")),
            ("UPDATE api_keys SET scope = 'read'", (403, "insufficient_scope")),
            ("UPDATE api_keys SET expires_at = created_at", (401, "expired_api_key")),
            ("UPDATE users SET disabled_at = created_at", (403, "account_disabled")),
            ("DELETE FROM api_keys", (401, "invalid_api_key")),
        ] {
            database.execute(change).await;
            gateway = gateway.restart().await;
            let reply = alice.at(&gateway.url).get("/api/connect/ownerrez/start").await;
            assert_eq!(gateway.app().keys().bcrypt_runs(), 0, "{change}");
            assert_eq!((reply.status, reply.error()), expected, "{change}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn bcrypt_decides_where_no_hmac_fits_and_writes_one() {
    on_each_database(async |database| {
        let mut gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        gateway.user("Bob").await;
        assert_eq!(with_hmac(database).await, 2);
        // Values that another version of the program or a manual change may leave.
        let bobs = "(SELECT key_hmac FROM api_keys WHERE name = 'Bob')";
        for change in ["NULL", "''", "'nonsense'", "'00000000.AAAA'", bobs] {
            database.execute(&format!("UPDATE api_keys SET key_hmac = {change}")).await;
            for runs in [1, 0] {
                gateway = gateway.restart().await;
                assert_eq!(status(&alice.at(&gateway.url)).await, ok(), "{change}");
                assert_eq!(gateway.app().keys().bcrypt_runs(), runs, "{change}");
            }
        }
        // A wrong key with the right prefix does not match the HMAC.
        let gateway = gateway.restart().await;
        for wrong in wrong_keys_like(&alice.key, 2) {
            assert_eq!(status(&alice.at(&gateway.url).with_key(&wrong, "")).await.0, 401);
        }
        assert_eq!(gateway.app().keys().bcrypt_runs(), 2);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn hmacs_follow_a_change_of_the_encryption_key() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.user("Alice").await, gateway.user("Bob").await);
        let uses = async |gateway: &Gateway, person: &Person, runs: u64| {
            let before = gateway.app().keys().bcrypt_runs();
            assert_eq!(status(&person.at(&gateway.url)).await, ok());
            assert_eq!(gateway.app().keys().bcrypt_runs() - before, runs);
        };
        let gateway = gateway.restart_with(keys(NEW, OLD)).await;
        uses(&gateway, &alice, 0).await;
        let gateway = gateway.restart_with(keys(NEW, "")).await;
        uses(&gateway, &alice, 0).await;
        // Bob's key was not used in between: bcrypt runs once, and the HMAC is renewed.
        uses(&gateway, &bob, 1).await;
        let gateway = gateway.restart_with(keys(NEW, "")).await;
        uses(&gateway, &bob, 0).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn ninety_sources_with_wrong_keys_stop_neither_good_keys_nor_registrations() {
    on_each_database(async |database| {
        let settings =
            Settings::default().set("TRUSTED_PROXIES", "127.0.0.1").tune(|config| config.keys.bcrypt_cost = 6);
        let gateway = Gateway::start_with(database, settings).await;
        let (mallory, alice) = (gateway.user("Mallory").await, gateway.user("Alice").await);
        database.execute("UPDATE api_keys SET key_hmac = NULL").await;
        let gateway = gateway.restart().await;
        let wrong = wrong_keys_like(&mallory.key, 180);
        let attack = join_all(
            wrong
                .iter()
                .enumerate()
                .map(async |(number, key)| from(&gateway, key, &format!("2001:db8:{:x}:1::1", number / 2)).await),
        );
        let register = async |number: u8| {
            let headers = [("x-forwarded-for", format!("192.0.2.{number}"))];
            let headers = [("content-type", "application/json"), (headers[0].0, headers[0].1.as_str())];
            let body = Some(json!({"name": "Carol"}).to_string());
            Person::visitor(&gateway.url).send("POST", "/api/users/register", &headers, body).await
        };
        let good = async {
            eventually("the attack is under way", async || (gateway.app().keys().bcrypt_runs() > 0).then_some(()))
                .await;
            let (checked, registered) =
                join(from(&gateway, &alice.key, "198.51.100.7"), join_all((1..=4).map(register))).await;
            assert_eq!(checked.status, 200, "{}", checked.body);
            assert!(registered.iter().all(|reply| reply.status == 201), "{registered:?}");
        };
        let (attacked, ()) = join(attack, good).await;
        assert!(attacked.iter().all(|reply| reply.error() == "invalid_api_key"), "wrong, and never too busy");
        gateway.stop().await;
    })
    .await;
}
