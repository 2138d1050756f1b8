//! Invalid keys: the limits for their sender, and no effect on other clients.

use chrono::TimeDelta;
use ownerrez_gateway::crypto::ApiKey;
use secrecy::ExposeSecret;

use serde_json::json;

use crate::world::{Browser, ClientApp, Gateway, Person, Publisher, Reply, Settings, on_each_database};

const STATUS: &str = "/api/connect/ownerrez/status";
const ATTACKER: &str = "203.0.113.66";
const HOME: &str = "198.51.100.7";

/// The default limits, behind a proxy that forwards the tests' addresses.
fn behind_a_proxy() -> Settings {
    Settings::default().set("TRUSTED_PROXIES", "127.0.0.1").tune(|config| {
        config.keys.failures_per_address = 30;
        config.keys.failures_per_lookup_id = 10;
    })
}

/// Returns a key with valid form and checksum that is unknown.
fn invented_key() -> String {
    ApiKey::generate().unwrap().expose().expose_secret().to_owned()
}

/// Returns keys with the same lookup id as this one but a different secret.
pub(crate) fn wrong_keys_like(key: &str, count: usize) -> Vec<String> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..count)
        .map(|_| {
            let signed = format!("{}{}", &key[..24], &invented_key()[24..56]);
            let digest = ring::digest::digest(&ring::digest::SHA256, signed.as_bytes());
            let mut number = u64::from_be_bytes(digest.as_ref()[..8].try_into().unwrap());
            let checksum = (0..6).map(|_| {
                let letter = ALPHABET[(number % 62) as usize];
                number /= 62;
                char::from(letter)
            });
            let checksum: String = checksum.collect();
            format!("{signed}{checksum}")
        })
        .collect()
}

async fn asks(gateway: &Gateway, key: &str, from: &str) -> Reply {
    let headers = [("x-forwarded-for", from)];
    Person::visitor(&gateway.url).with_key(key, "").send("GET", STATUS, &headers, None).await
}

fn told_to_wait(reply: &Reply, seconds: &str) {
    assert_eq!((reply.status, reply.error()), (429, "too_many_failed_keys"), "{}", reply.body);
    assert_eq!(reply.header("retry-after"), Some(seconds));
    assert!(reply.body["hint"].as_str().unwrap().contains(seconds));
}

#[actix_web::test]
async fn who_sends_many_bad_keys_is_not_listened_to_for_a_while() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, behind_a_proxy()).await;
        let (alice, bob) = (gateway.user("Alice").await, gateway.user("Bob").await);
        assert_eq!(asks(&gateway, &alice.key, ATTACKER).await.status, 200, "they share a NAT");
        for number in 0..30 {
            let key = if number % 2 == 0 { invented_key() } else { "ownerrez_sk_mistyped".to_owned() };
            assert_eq!(asks(&gateway, &key, ATTACKER).await.status, 401, "{number}");
        }
        gateway.advance(TimeDelta::seconds(100));
        // Neither the database nor bcrypt is used: the table is renamed, and bcrypt runs are counted.
        database.execute("ALTER TABLE api_keys RENAME TO elsewhere").await;
        let before = gateway.app().keys().bcrypt_runs();
        for key in [&invented_key(), "ownerrez_sk_mistyped", &bob.key] {
            told_to_wait(&asks(&gateway, key, ATTACKER).await, "200");
        }
        let forged = format!("{HOME}, {ATTACKER}");
        told_to_wait(&asks(&gateway, &invented_key(), &forged).await, "200");
        assert_eq!(gateway.app().keys().bcrypt_runs(), before);
        database.execute("ALTER TABLE elsewhere RENAME TO api_keys").await;

        assert_eq!(asks(&gateway, &alice.key, ATTACKER).await.status, 200, "a key that is known already");
        assert_eq!(asks(&gateway, &bob.key, HOME).await.status, 200, "another address");
        assert_eq!(asks(&gateway, &bob.key, ATTACKER).await.status, 200, "and now it is known");
        gateway.advance(TimeDelta::seconds(200));
        assert_eq!(asks(&gateway, &invented_key(), ATTACKER).await.status, 401, "its time is over");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_request_without_a_key_is_no_failure() {
    on_each_database(async |database| {
        let settings = behind_a_proxy().tune(|config| config.keys.failures_per_address = 1);
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.user("Alice").await;
        for _ in 0..3 {
            let nothing = asks(&gateway, "", HOME).await;
            assert_eq!((nothing.status, nothing.error()), (401, "missing_api_key"));
        }
        assert_eq!(asks(&gateway, &alice.key, HOME).await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_attacker_at_a_lookup_id_does_not_lock_its_owner_out() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, behind_a_proxy()).await;
        let (alice, bob) = (gateway.user("Alice").await, gateway.user("Bob").await);
        // The new process has no cached keys.
        let gateway = gateway.restart().await;
        let before = gateway.app().keys().bcrypt_runs();
        let wrong = wrong_keys_like(&alice.key, 14);
        for key in &wrong[..10] {
            assert_eq!(asks(&gateway, key, ATTACKER).await.status, 401);
        }
        assert_eq!(gateway.app().keys().bcrypt_runs() - before, 10, "they led to her row");
        told_to_wait(&asks(&gateway, &wrong[10], ATTACKER).await, "300");
        told_to_wait(&asks(&gateway, &alice.key, ATTACKER).await, "300");
        assert_eq!(asks(&gateway, &bob.key, ATTACKER).await.status, 200, "another key from there");

        // By now, other addresses have one attempt each.
        for (helper, key) in [("203.0.113.67", &wrong[11]), ("203.0.113.68", &wrong[12])] {
            assert_eq!(asks(&gateway, key, helper).await.status, 401);
            told_to_wait(&asks(&gateway, &wrong[13], helper).await, "300");
        }
        assert_eq!(gateway.app().keys().bcrypt_runs() - before, 12);
        assert_eq!(asks(&gateway, &alice.key, HOME).await.status, 200);
        assert_eq!(asks(&gateway, &alice.key, ATTACKER).await.status, 200, "known from now on, wherever she is");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_connect_page_is_no_place_to_guess_keys_either() {
    on_each_database(async |database| {
        let settings = Settings::default().tune(|config| config.keys.failures_per_address = 2);
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.user("Alice").await;
        let started = alice.get("/api/connect/ownerrez/start").await;
        let link = started.body["authorization_url"].as_str().unwrap();
        let mut browser = Browser::new();
        for key in [&invented_key(), "ownerrez_sk_mistyped"] {
            assert_eq!(browser.give_key(link, key).await.status, 403);
        }
        let before = gateway.app().keys().bcrypt_runs();
        let limited = browser.give_key(link, &invented_key()).await;
        assert_eq!((limited.status, limited.header("retry-after")), (429, Some("300")));
        assert!(limited.body.contains("<!DOCTYPE html>") && limited.body.contains("300 seconds"));
        assert_eq!(gateway.app().keys().bcrypt_runs(), before);
        assert_eq!(browser.give_key(link, &alice.key).await.status, 303, "her key is known");
        gateway.stop().await;
    })
    .await;
}

/// A client that sends many requests at once with a valid key that is new to this process.
#[actix_web::test]
async fn good_keys_that_are_checked_at_once_count_as_no_failures() {
    on_each_database(async |database| {
        let settings = Settings::default().tune(|config| {
            config.keys.failures_per_address = 1;
            config.keys.failures_per_lookup_id = 1;
        });
        let gateway = Gateway::start_with(database, settings).await;
        let mut people = Vec::new();
        for name in ["Alice", "Bob", "Carol"] {
            let person = gateway.user(name).await;
            people.extend([person.clone(), person.clone(), person]);
        }
        let gateway = gateway.restart().await;
        let people: Vec<Person> = people.iter().map(|person| person.at(&gateway.url)).collect();
        let replies = futures_util::future::join_all(people.iter().map(|person| person.get(STATUS))).await;
        assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
        gateway.stop().await;
    })
    .await;
}

/// ChatGPT and Claude request tokens for all their users from a few addresses: an attacker who makes them send useless
/// requests must not lock out their users.
#[actix_web::test]
async fn a_source_that_asks_often_for_tokens_has_to_show_one_that_is_known() {
    on_each_database(async |database| {
        let publisher = Publisher::start(&["stranger.example"]).await;
        let gateway = Gateway::start_with(database, Settings::default().with_egress(publisher.egress())).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let tokens = app.tokens(&gateway, account, &[]).await;
        let stranger = |number: usize| format!("https://stranger.example/{number}.json");
        // Each causes one fetch.
        for number in 1..60 {
            assert_eq!(app.redeem("x", &[("client_id", &stranger(number))]).await.status, 401, "{number}");
        }
        let fetched = publisher.lookups("stranger.example");
        assert_eq!(fetched, 59);

        for refused in [
            app.redeem("x", &[("client_id", &stranger(60))]).await,
            app.redeem("x", &[]).await,
            app.redeem("", &[]).await,
            app.refresh(&json!("x"), &[]).await,
            app.refresh(&tokens["refresh_token"], &[("client_id", &stranger(60))]).await,
            app.revoke(&json!("x")).await,
        ] {
            assert_eq!((refused.status, refused.error()), (429, "too_many_token_requests"), "{}", refused.body);
            assert_eq!(refused.header("retry-after"), Some("300"));
        }
        assert_eq!(publisher.lookups("stranger.example"), fetched);

        let landing = app.sign_in(&gateway, account, &[]).await;
        let others = app.redeem(landing.get("code"), &[]).await;
        assert_eq!(others.status, 200, "a new sign-in from there: {}", others.body);
        let mut last = tokens["refresh_token"].clone();
        for number in 0..20 {
            let reply = app.refresh(&last, &[]).await;
            assert_eq!(reply.status, 200, "{number}: {}", reply.body);
            last = reply.body["refresh_token"].clone();
        }
        assert_eq!(app.refresh(&last, &[]).await.status, 429, "that grant had its share");
        assert_eq!(app.revoke(&others.body["access_token"]).await.status, 200);

        gateway.advance(TimeDelta::minutes(5));
        assert_eq!(app.refresh(&last, &[]).await.status, 200);
        assert_eq!(app.refresh(&json!("x"), &[]).await.status, 400);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn forms_of_the_consent_page_count_as_its_questions_do() {
    on_each_database(async |database| {
        let publisher = Publisher::start(&["stranger.example"]).await;
        let gateway = Gateway::start_with(database, Settings::default().with_egress(publisher.egress())).await;
        let mut browser = Browser::new();
        let url = format!("{}/authorize", gateway.url);
        let mut statuses = Vec::new();
        for number in 0..301 {
            let request = format!("client_id=https://stranger.example/{number}.json");
            statuses.push(browser.submit(&url, &[("request", &request), ("decision", "allow")]).await.status);
        }
        assert_eq!((statuses[299], statuses[300]), (400, 429));
        assert_eq!(publisher.lookups("stranger.example"), 300);
        assert_eq!(browser.open(&url).await.status, 429);
        gateway.stop().await;
    })
    .await;
}
