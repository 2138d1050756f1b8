//! Changing the encryption key: no user has to reconnect, and nothing is lost.

use std::ops::ControlFlow;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use futures_util::future::join;
use ownerrez_gateway::{
    app::{Resealed, reseal},
    crypto::KeyRing,
    store::{DatabaseTarget, Store},
};
use secrecy::SecretBox;
use serde_json::json;

use crate::{
    processes::program::{Ending, Program},
    world::{Gateway, Person, Settings, TestDatabase, eventually, on_each_database},
};

/// The initial key of the tests' gateways.
pub(crate) const OLD: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
pub(crate) const NEW: &str = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU=";
const TOKEN: &str = "POST /oauth/access_token";

pub(crate) fn keys(current: &str, previous: &str) -> Settings {
    Settings::default().set("ENCRYPTION_KEY", current).set("ENCRYPTION_KEYS_PREVIOUS", previous)
}

pub(crate) fn key(text: &str) -> SecretBox<[u8; 32]> {
    let bytes: [u8; 32] = STANDARD.decode(text).unwrap().try_into().unwrap();
    SecretBox::new(Box::new(bytes))
}

pub(crate) fn new_ring() -> KeyRing {
    KeyRing::new(&key(NEW)).unwrap().with_previous(&key(OLD)).unwrap()
}

/// Opens the store of a running gateway's database.
pub(crate) async fn store_of(database: &TestDatabase) -> Store {
    let url = database.url();
    let target = match url.strip_prefix("sqlite://") {
        Some(path) => DatabaseTarget::Sqlite { path: path.into() },
        None => DatabaseTarget::Postgres { url: url.into(), direct_url: None, max_connections: 2 },
    };
    Store::connect(&target).await.unwrap()
}

fn run(gateway: &Gateway, arguments: &[&str]) -> Ending {
    let home = tempfile::tempdir().unwrap();
    Program::start(home.path(), arguments, &gateway.environment()).end()
}

async fn works(person: &Person) {
    person.call("get_current_user", json!({})).await.ok();
}

#[actix_web::test]
async fn the_key_is_changed_and_nobody_connects_again() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.connected_user("Bob").await);
        // A user whose token waits to be revoked while OwnerRez is unavailable.
        let carol = gateway.connected_user("Carol").await;
        let rule = ownerrez_gateway::simulator::Rule::on("DELETE /oauth/access_token/{token}");
        gateway.ownerrez().script(rule.reply(503, json!({})));
        assert_eq!(carol.delete("/api/connect/ownerrez").await.status, 200);
        eventually("the first attempt", async || {
            (database.number("SELECT count(*) FROM pending_revocations WHERE attempts > 0").await > 0).then_some(())
        })
        .await;

        let gateway = gateway.restart_with(keys(NEW, OLD)).await;
        works(&alice.at(&gateway.url)).await;
        let resealed = run(&gateway, &["reseal"]);
        assert_eq!(resealed.code, Some(0), "{resealed:?}");
        for part in ["3 of 3 rows, 3 re-encrypted", "ENCRYPTION_KEYS_PREVIOUS can be emptied"] {
            assert!(resealed.output.contains(part), "{resealed:?}");
        }
        let again = run(&gateway, &["reseal"]);
        assert!(again.code == Some(0) && again.output.contains("3 of 3 rows, 0 re-encrypted"), "{again:?}");
        works(&alice.at(&gateway.url)).await;

        let gateway = gateway.restart_with(keys(NEW, "")).await;
        for person in [&alice, &bob] {
            works(&person.at(&gateway.url)).await;
        }
        gateway.ownerrez().clear_rules();
        gateway.ownerrez().clear_requests();
        gateway.advance(TimeDelta::minutes(5));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(database.number("SELECT count(*) FROM pending_revocations").await, 0);
        let revoked = gateway.ownerrez().requests_to("DELETE /oauth/access_token/{token}");
        assert_eq!(revoked.iter().filter(|sent| sent.status == Some(200)).count(), 1);
        // Refreshing works with the re-encrypted refresh token.
        gateway.advance(TimeDelta::days(29));
        gateway.app().sessions().run_background_jobs().await;
        works(&bob.at(&gateway.url)).await;
        assert!(gateway.ownerrez().count(TOKEN) > 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn resealing_may_be_stopped_and_begun_again() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        for name in ["Alice", "Bob", "Carol"] {
            gateway.connected_user(name).await;
        }
        gateway.stop().await;
        let store = store_of(database).await;
        let ring = new_ring();
        let stop_after = async |rows| {
            let decide = |at: &ownerrez_gateway::app::ResealProgress| {
                if at.seen < rows { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            reseal(&store, &ring, decide).await.unwrap()
        };
        for (rows, anew, left) in [(0, 0, 3), (1, 1, 2), (2, 1, 1), (9, 1, 0), (9, 0, 0)] {
            let Resealed { progress, interrupted, unopened, left: still } = stop_after(rows).await;
            assert_eq!((progress.of, progress.seen, progress.resealed), (3, rows.min(3), anew));
            assert_eq!((interrupted, unopened, still), (rows < 3, None, left));
        }
        assert!(stop_after(9).await.may_drop_previous_keys());
    })
    .await;
}

#[actix_web::test]
async fn what_does_not_open_stays_as_it_is_and_is_told() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        gateway.connected_user("Alice").await;
        let gateway = gateway.restart_with(keys(NEW, "")).await;
        let before = database.number("SELECT count(*) FROM ownerrez_connections").await;
        let ending = run(&gateway, &["reseal"]);
        assert_eq!((ending.code, before), (Some(1), 1), "{ending:?}");
        assert!(ending.output.contains("Keep the previous keys: 1 rows still need another key"), "{ending:?}");
        // With the old key it can be decrypted again.
        let gateway = gateway.restart_with(keys(NEW, OLD)).await;
        assert_eq!(run(&gateway, &["reseal"]).code, Some(0));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn tokens_that_are_refreshed_during_the_resealing_are_the_ones_that_stay() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let gateway = gateway.restart_with(keys(NEW, OLD)).await;
        let alice = alice.at(&gateway.url);
        database.execute("UPDATE ownerrez_connections SET renew_at = NULL").await;
        gateway.advance(TimeDelta::days(30) - TimeDelta::minutes(1));

        // The old tokens are read, re-encrypted and stored while a refresh is in flight.
        let held = gateway.ownerrez().hold(TOKEN);
        let during = async {
            held.wait_arrived(1).await;
            let outcome = reseal(&store_of(database).await, &new_ring(), |_| ControlFlow::Continue(())).await.unwrap();
            assert_eq!((outcome.progress.resealed, outcome.left), (1, 0));
            drop(held);
        };
        let (answer, ()) = join(alice.call("get_current_user", json!({})), during).await;
        answer.ok();
        assert_eq!(database.number("SELECT version FROM ownerrez_connections").await, 1);

        let gateway = gateway.restart_with(keys(NEW, "")).await;
        let alice = alice.at(&gateway.url);
        works(&alice).await;
        gateway.advance(TimeDelta::days(30) - TimeDelta::minutes(1));
        database.execute("UPDATE ownerrez_connections SET renew_at = NULL").await;
        works(&alice).await;
        assert!(gateway.ownerrez().requests_to(TOKEN).iter().all(|sent| sent.status == Some(200)));
        gateway.stop().await;
    })
    .await;
}
