//! A write succeeds at OwnerRez while the database is unreachable: its outcome is stored as soon as the database is
//! back.

use chrono::TimeDelta;
use futures_util::future::join;
use serde_json::{Value, json};

use super::{Away, WRITE};
use crate::world::{Gateway, Person, Settings, TestDatabase, eventually, on_each_database};

const DONE: &str = "SELECT count(*) FROM writes WHERE outcome = 'done'";

fn guest() -> Value {
    json!({"first_name": "Ada", "last_name": "Story"})
}

/// Ada's write is confirmed although the database is unreachable.
async fn writes_without_database(gateway: &Gateway, ada: &Person, database: &TestDatabase) -> Away {
    let held = gateway.ownerrez().hold_account(WRITE, ada.account.unwrap());
    let goes = async {
        held.wait_arrived(1).await;
        let away = Away::begins(database).await;
        held.release();
        away
    };
    let (answer, away) = join(ada.call("create_guest", guest()), goes).await;
    answer.ok();
    away
}

/// Advances the clock until the outcome is stored, because the retries wait for the clock.
async fn until_stored(gateway: &Gateway, database: &TestDatabase) {
    eventually("the outcome is stored", async || {
        if gateway.clock.sleepers_within(TimeDelta::seconds(1)) > 0 {
            gateway.advance(TimeDelta::seconds(1));
        }
        (database.number(DONE).await == 1).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn an_outcome_is_stored_in_the_background() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let ada = gateway.connected_user("Ada").await;
        let away = writes_without_database(&gateway, &ada, database).await;
        away.ends(database).await;
        assert_eq!(database.number(DONE).await, 0);
        until_stored(&gateway, database).await;
        assert_eq!(gateway.ownerrez().count(WRITE), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_next_write_of_the_same_user_finds_the_outcome() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let ada = gateway.connected_user("Ada").await;
        let away = writes_without_database(&gateway, &ada, database).await;
        away.ends(database).await;
        // No time has passed in which a background retry could have stored it.
        let again = ada.call("create_guest", guest()).await.ok();
        assert_eq!((&again["done"], &again["repeated"]), (&json!(true), &json!(true)), "{again}");
        assert!(again["id"].is_i64(), "{again}");
        assert_eq!(gateway.ownerrez().count(WRITE), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_stop_waits_for_the_outcome() {
    on_each_database(async |database| {
        let settings = Settings::default().tune(|config| config.server.shutdown_seconds = 600);
        let gateway = Gateway::start_with(database, settings).await;
        let ada = gateway.connected_user("Ada").await;
        let away = writes_without_database(&gateway, &ada, database).await;
        let clock = gateway.clock.clone();
        let comes_back = async {
            away.ends(database).await;
            eventually("the outcome is stored", async || {
                if clock.sleepers_within(TimeDelta::seconds(1)) > 0 {
                    clock.advance(TimeDelta::seconds(1));
                }
                (database.number(DONE).await == 1).then_some(())
            })
            .await;
        };
        join(gateway.stop(), comes_back).await;
        assert_eq!(database.number(DONE).await, 1);
    })
    .await;
}
