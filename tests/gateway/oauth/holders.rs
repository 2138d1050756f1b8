//! Several processes that share one stored refresh token, like those of Claude Code: in any order, with any lost
//! replies and across changes of the encryption key, a process is signed out only if it is two generations behind.

use std::ops::ControlFlow;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use ownerrez_gateway::{app::reseal, crypto::KeyRing};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngSeed, TestRunner},
};
use secrecy::SecretBox;
use serde_json::{Value, json};

use crate::{
    rotation::store_of,
    world::{ClientApp, Gateway, Settings, TestDatabase, on_each_database, rpc},
};

/// The encryption key of the tests' gateways.
const FIRST_KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
/// The lifetime of a refresh token.
const LIFE: TimeDelta = TimeDelta::days(60);
const HOLDERS: usize = 3;
const CASES: usize = 12;

#[derive(Clone, Debug)]
enum Step {
    /// A process refreshes with its token. If the reply is lost, it keeps that token.
    Refresh { holder: usize, lost: bool },
    /// A process reads the token that another one stored.
    Read { holder: usize, from: usize },
    /// Time passes.
    Wait { hours: i64 },
    /// The gateway gets a new encryption key. `resealed`: the re-encryption command has run, and the old key is
    /// removed.
    ChangeKey { resealed: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let holder = 0..HOLDERS;
    prop_oneof![
        12 => (holder.clone(), prop::bool::weighted(0.4)).prop_map(|(holder, lost)| Step::Refresh { holder, lost }),
        5 => (holder.clone(), holder).prop_map(|(holder, from)| Step::Read { holder, from }),
        2 => (1i64..400).prop_map(|hours| Step::Wait { hours }),
        1 => any::<bool>().prop_map(|resealed| Step::ChangeKey { resealed }),
    ]
}

/// The model of the rule: every issued token with its expiry, and the newest one that was used.
struct Rule {
    issued: Vec<(Value, DateTime<Utc>)>,
    used: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    /// A token that was not issued before.
    New,
    /// The same successor again.
    Same(usize),
    /// The token has expired; the others are not affected.
    Expired,
    /// The grant ends.
    Ends,
}

impl Rule {
    fn expects(&self, shown: usize, now: DateTime<Utc>) -> Expected {
        match self.used {
            Some(used) if shown < used => Expected::Ends,
            _ if self.issued[shown].1 <= now => Expected::Expired,
            Some(used) if shown == used => Expected::Same(used + 1),
            _ => Expected::New,
        }
    }
}

fn key(number: u8) -> String {
    let bytes: [u8; 32] = std::array::from_fn(|at| number.wrapping_mul(31).wrapping_add(at as u8 * 7));
    if number == 0 { FIRST_KEY.to_owned() } else { STANDARD.encode(bytes) }
}

fn secret(number: u8) -> SecretBox<[u8; 32]> {
    SecretBox::new(Box::new(STANDARD.decode(key(number)).unwrap().try_into().unwrap()))
}

/// A gateway whose key changes, and its client.
struct Under<'a> {
    database: &'a TestDatabase,
    gateway: Option<Gateway>,
    public_url: String,
    key: u8,
    /// Keys with which rows may still be encrypted.
    previous: Vec<u8>,
}

impl Under<'_> {
    fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().unwrap()
    }

    /// Returns a client that the operator configured: the id of a client that registers itself is encrypted and becomes
    /// invalid with the key.
    fn app(&self) -> ClientApp {
        let app = ClientApp::known(self.gateway(), "c_sandbox", "https://claude.ai/api/mcp/auth_callback");
        app.at(&format!("http://{}", self.gateway().app().address()))
    }

    async fn change_key(&mut self, resealed: bool) {
        let new = self.key + 1;
        self.previous.push(self.key);
        let listed: Vec<String> = self.previous.iter().copied().map(key).collect();
        let both = Settings::default()
            .set("ENCRYPTION_KEY", &key(new))
            .set("ENCRYPTION_KEYS_PREVIOUS", &listed.join(","))
            .set("SERVER_URL", &self.public_url);
        let mut gateway = self.gateway.take().unwrap().restart_with(both).await;
        if resealed {
            let store = store_of(self.database).await;
            let ring = KeyRing::new(&secret(new)).unwrap();
            let ring =
                self.previous.drain(..).fold(ring, |ring, replaced| ring.with_previous(&secret(replaced)).unwrap());
            let done = reseal(&store, &ring, |_| ControlFlow::Continue(())).await.unwrap();
            assert!(done.may_drop_previous_keys(), "{}", done.text());
            store.close().await.unwrap();
            gateway = gateway.restart_with(Settings::default().set("ENCRYPTION_KEYS_PREVIOUS", "")).await;
        }
        self.key = new;
        self.gateway = Some(gateway);
    }
}

/// Runs one sequence and compares each response with the rule.
async fn follow(under: &mut Under<'_>, first: &Value, steps: &[Step]) {
    let issued_at = under.gateway().now();
    let mut rule = Rule { issued: vec![(first["refresh_token"].clone(), issued_at + LIFE)], used: None };
    let mut held = [0; HOLDERS];
    for (at, step) in steps.iter().enumerate() {
        // Stays below the limits on requests to the token endpoint.
        under.gateway().advance(TimeDelta::minutes(2));
        let now = under.gateway().now();
        let (holder, lost) = match *step {
            Step::Refresh { holder, lost } => (holder, lost),
            Step::Read { holder, from } => {
                held[holder] = held[from];
                continue;
            }
            Step::Wait { hours } => {
                under.gateway().advance(TimeDelta::hours(hours));
                continue;
            }
            Step::ChangeKey { resealed } => {
                under.change_key(resealed).await;
                continue;
            }
        };
        let app = under.app();
        let shown = held[holder];
        let reply = app.refresh(&rule.issued[shown].0, &[]).await;
        let told = format!("step {at}, {step:?}, shown {shown}, used {:?}: {}", rule.used, reply.body);
        let token = &reply.body["refresh_token"];
        match rule.expects(shown, now) {
            Expected::New => {
                assert_eq!(reply.status, 200, "{told}");
                assert!(rule.issued.iter().all(|(known, _)| known != token), "{told}");
                rule.used = Some(shown);
                rule.issued.push((token.clone(), now + LIFE));
            }
            Expected::Same(successor) => {
                assert_eq!((reply.status, token), (200, &rule.issued[successor].0), "{told}");
            }
            Expected::Expired => {
                assert_eq!((reply.status, reply.error()), (400, "invalid_grant"), "{told}");
                continue;
            }
            Expected::Ends => {
                assert_eq!((reply.status, reply.error()), (400, "invalid_grant"), "{told}");
                for (token, _) in &rule.issued {
                    assert_eq!(app.refresh(token, &[]).await.error(), "invalid_grant", "the grant ended; {told}");
                }
                return;
            }
        }
        let listed = app.caller(&reply.body).mcp(&rpc(1, "tools/list", json!({}))).await;
        assert_eq!(listed.status, 200, "{told}");
        if !lost {
            held[holder] = rule.used.unwrap() + 1;
        }
    }
}

#[actix_web::test]
async fn a_process_is_signed_out_only_if_it_is_two_generations_behind() {
    on_each_database(async |database| {
        let seed = if database.is_postgres() { 2 } else { 1 };
        let config = Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() };
        let mut runner = TestRunner::new(config);
        let gateway = Gateway::start(database).await;
        let public_url = gateway.url.clone();
        let account = gateway.ownerrez().add_account("Alice").id;
        let mut under = Under { database, gateway: Some(gateway), public_url, key: 0, previous: Vec::new() };
        for _ in 0..CASES {
            let steps = prop::collection::vec(step(), 25).new_tree(&mut runner).unwrap().current();
            under.gateway().advance(TimeDelta::hours(2));
            let first = under.app().tokens(under.gateway(), account, &[]).await;
            println!("{steps:?}");
            follow(&mut under, &first, &steps).await;
        }
        under.gateway.take().unwrap().stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_repeat_extends_nothing_and_the_sealed_successor_goes_with_its_first_use() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let first = app.tokens(&gateway, account, &[]).await;
        assert_eq!(database.number("SELECT count(*) FROM oauth_grants WHERE successor IS NOT NULL").await, 0);
        let second = app.refresh(&first["refresh_token"], &[]).await.body;
        let sealed = "SELECT successor FROM oauth_grants";
        let before = database.text(sealed).await;
        for secret in [&first["refresh_token"], &second["refresh_token"]] {
            assert!(!before.contains(secret.as_str().unwrap()), "sealed");
        }

        gateway.advance(LIFE - TimeDelta::minutes(30));
        let again = app.refresh(&first["refresh_token"], &[]).await.body;
        assert_eq!(again["refresh_token"], second["refresh_token"]);
        assert_eq!(again["expires_in"], json!(1800), "no longer than the refresh token that came with it");
        assert_eq!(database.text(sealed).await, before, "a repeat writes nothing");
        let third = app.refresh(&second["refresh_token"], &[]).await.body;
        assert_eq!(third["expires_in"], json!(3600));
        assert_ne!(database.text(sealed).await, before, "erased by the first use");
        assert_eq!(database.number("SELECT count(*) FROM refresh_tokens").await, 2);

        gateway.advance(TimeDelta::minutes(30));
        let late = app.refresh(&second["refresh_token"], &[]).await;
        assert_eq!(late.error(), "invalid_grant", "its own time is over");
        assert_eq!(app.refresh(&third["refresh_token"], &[]).await.status, 200, "and nothing else is");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_token_that_is_far_behind_ends_the_grant_too() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let stolen = app.tokens(&gateway, account, &[]).await;
        let mut held = stolen.clone();
        for _ in 0..40 {
            gateway.advance(TimeDelta::minutes(2));
            held = app.refresh(&held["refresh_token"], &[]).await.body;
        }
        let text = stolen["refresh_token"].as_str().unwrap();
        let (family, _) = text.rsplit_once('.').unwrap();
        let other = held["refresh_token"].as_str().unwrap().rsplit_once('.').unwrap().1;
        for invented in [format!("ownerrez_rt_{}.{other}", "A".repeat(43)), format!("{family}{other}")] {
            assert_eq!(app.refresh(&json!(invented), &[]).await.error(), "invalid_grant");
        }
        assert_eq!(database.number("SELECT count(*) FROM oauth_grants").await, 1, "those were invented");
        assert_eq!(app.refresh(&stolen["refresh_token"], &[]).await.error(), "invalid_grant");
        assert_eq!(database.number("SELECT count(*) FROM oauth_grants").await, 0);
        assert_eq!(app.refresh(&held["refresh_token"], &[]).await.error(), "invalid_grant");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_successor_that_no_longer_opens_is_replaced_beside_the_one_that_was_issued() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::known(&gateway, "c_sandbox", "https://claude.ai/api/mcp/auth_callback");
        let first = app.tokens(&gateway, account, &[]).await;
        let second = app.refresh(&first["refresh_token"], &[]).await.body;
        // The operator removes the old key without `reseal`, or the grant is older than the column.
        for unreadable in ["NULL", "'v1.AAAAAA'"] {
            database.execute(&format!("UPDATE oauth_grants SET successor = {unreadable}")).await;
            let beside = app.refresh(&first["refresh_token"], &[]).await;
            assert_eq!(beside.status, 200, "{}", beside.body);
            assert_ne!(beside.body["refresh_token"], second["refresh_token"]);
        }
        let third = app.refresh(&second["refresh_token"], &[]).await.body;
        assert_eq!(app.refresh(&third["refresh_token"], &[]).await.status, 200, "both lines go on");
        gateway.stop().await;
    })
    .await;
}
