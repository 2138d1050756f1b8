//! Tokens that OwnerRez issued while the database was unreachable: none are lost, and no working token is revoked.

use chrono::TimeDelta;
use futures_util::future::join;
use serde_json::json;

use super::{Away, TOKEN};
use crate::{
    disconnecting::disconnect_while_storing,
    world::{Browser, Gateway, Person, TestDatabase, eventually, on_each_database, on_postgres},
};

const REVOKE: &str = "DELETE /oauth/access_token/{token}";
const VERSION: &str = "SELECT version FROM ownerrez_connections";
const WORKING: &str =
    "SELECT count(*) FROM ownerrez_connections WHERE rejected_at IS NULL AND refresh_token IS NOT NULL";

/// Returns Alice, whose new tokens are not stored. OwnerRez has invalidated the previous ones.
async fn alice_with_unsaved_tokens(database: &TestDatabase) -> (Gateway, Person, Away) {
    let gateway = Gateway::start(database).await;
    gateway.ownerrez().change(|switches| {
        switches.rotate_refresh_tokens = true;
        switches.refresh_ends_old_access = true;
    });
    let alice = gateway.connected_user("Alice").await;
    gateway.ownerrez().expire_access_tokens(alice.account.unwrap());
    gateway.ownerrez().clear_requests();
    let held = gateway.ownerrez().hold(TOKEN);
    let goes = async {
        held.wait_arrived(1).await;
        let away = Away::begins(database).await;
        held.release();
        away
    };
    let (answer, away) = join(alice.call("list_owners", json!({})), goes).await;
    let text = answer.refused();
    assert!(text.contains("database"), "{text}");
    (gateway, alice, away)
}

/// Advances the clock until the process has reconnected to its database.
async fn recovers(gateway: &Gateway, database: &TestDatabase) {
    gateway.advance(TimeDelta::seconds(6));
    if database.is_postgres() {
        gateway.regains_its_share().await;
    }
}

/// Waits until the session has stored or dropped its unsaved tokens. It retries with growing pauses.
async fn until_none_is_unsaved(gateway: &Gateway) {
    eventually("nothing is unsaved", async || {
        gateway.advance(TimeDelta::seconds(1));
        (gateway.app().sessions().unsaved() == 0).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn they_are_stored_without_another_call() {
    on_each_database(async |database| {
        let (gateway, alice, away) = alice_with_unsaved_tokens(database).await;
        assert_eq!(gateway.app().sessions().unsaved(), 1);
        away.ends(database).await;
        recovers(&gateway, database).await;
        until_none_is_unsaved(&gateway).await;
        assert_eq!(database.number(VERSION).await, 1);
        alice.call("list_owners", json!({})).await.ok();
        assert_eq!(gateway.ownerrez().count(TOKEN), 1);
        gateway.stop().await;
    })
    .await;
}

/// Another process used the refresh token after this one, was rejected, and recorded that.
#[actix_web::test]
async fn they_take_the_place_of_what_another_process_gave_up() {
    for noted in ["rejected_at = updated_at", "refresh_token = NULL"] {
        on_each_database(async |database| {
            let (gateway, alice, away) = alice_with_unsaved_tokens(database).await;
            away.ends(database).await;
            database.execute(&format!("UPDATE ownerrez_connections SET {noted}, version = version + 1")).await;
            recovers(&gateway, database).await;
            until_none_is_unsaved(&gateway).await;
            assert_eq!(database.number(WORKING).await, 1, "{noted}");
            alice.call("list_owners", json!({})).await.ok();
            gateway.app().sessions().run_background_jobs().await;
            assert_eq!((gateway.ownerrez().count(TOKEN), gateway.ownerrez().count(REVOKE)), (1, 0), "{noted}");
            gateway.stop().await;
        })
        .await;
    }
}

#[actix_web::test]
async fn where_the_connection_has_others_they_are_dropped_and_not_revoked() {
    on_each_database(async |database| {
        for newer in ["version = version + 1", "id = {}"] {
            let (gateway, _, away) = alice_with_unsaved_tokens(database).await;
            away.ends(database).await;
            let id = if database.is_postgres() {
                "'00000000-0000-0000-0000-000000000001'"
            } else {
                "x'00000000000000000000000000000001'"
            };
            database.execute(&format!("UPDATE ownerrez_connections SET {}", newer.replace("{}", id))).await;
            recovers(&gateway, database).await;
            until_none_is_unsaved(&gateway).await;
            assert_eq!(database.number("SELECT count(*) FROM pending_revocations").await, 0, "{newer}");
            gateway.app().sessions().run_background_jobs().await;
            assert_eq!(gateway.ownerrez().count(REVOKE), 0, "{newer}");
            database.execute("DELETE FROM users").await;
            gateway.stop().await;
        }
    })
    .await;
}

#[actix_web::test]
async fn a_disconnect_ends_them_too() {
    on_each_database(async |database| {
        let (gateway, alice, away) = alice_with_unsaved_tokens(database).await;
        away.ends(database).await;
        // The process may first have to reconnect to the database.
        eventually("it is disconnected", async || {
            (alice.delete("/api/connect/ownerrez").await.status == 200).then_some(())
        })
        .await;
        until_none_is_unsaved(&gateway).await;
        recovers(&gateway, database).await;
        gateway.advance(TimeDelta::minutes(5));
        gateway.app().sessions().run_background_jobs().await;
        eventually("all are revoked", async || {
            (database.number("SELECT count(*) FROM pending_revocations").await == 0).then_some(())
        })
        .await;
        assert_eq!(gateway.ownerrez().count(REVOKE), 2);
        gateway.stop().await;
    })
    .await;
}

/// Returns Alice, whose first grant is not stored.
async fn alice_with_an_unsaved_grant(database: &TestDatabase) -> (Gateway, Person, Away) {
    let gateway = Gateway::start(database).await;
    let mut alice = gateway.user("Alice").await;
    let account = gateway.ownerrez().add_account("Alice").id;
    let held = gateway.ownerrez().hold(TOKEN);
    let mut browser = Browser::new();
    let goes = async {
        held.wait_arrived(1).await;
        let away = Away::begins(database).await;
        held.release();
        away
    };
    let (page, away) = join(alice.connect_in(&mut browser, &gateway, account), goes).await;
    assert_eq!(page.status, 503, "{}", page.body);
    alice.account = Some(account);
    (gateway, alice, away)
}

#[actix_web::test]
async fn a_disconnect_ends_a_first_grant_that_is_being_stored() {
    on_postgres(async |database| {
        let (gateway, alice, away) = alice_with_an_unsaved_grant(database).await;
        away.ends(database).await;
        disconnect_while_storing(&alice, database, || gateway.advance(TimeDelta::seconds(1))).await;
        gateway.advance(TimeDelta::seconds(5));
        gateway.regains_its_share().await;
        until_none_is_unsaved(&gateway).await;
        gateway.advance(TimeDelta::minutes(5));
        gateway.app().sessions().run_background_jobs().await;
        let left = "SELECT (SELECT count(*) FROM ownerrez_connections) + (SELECT count(*) FROM pending_revocations)";
        assert_eq!((database.number(left).await, gateway.ownerrez().count(REVOKE)), (0, 1));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_first_grant_is_stored_later_as_well() {
    on_each_database(async |database| {
        let (gateway, alice, away) = alice_with_an_unsaved_grant(database).await;
        away.ends(database).await;
        recovers(&gateway, database).await;
        until_none_is_unsaved(&gateway).await;
        assert_eq!(database.number(WORKING).await, 1);
        let me = alice.call("get_current_user", json!({})).await.ok();
        assert_eq!(me["id"], json!(alice.account.unwrap().0));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!((gateway.ownerrez().count(TOKEN), gateway.ownerrez().count(REVOKE)), (1, 0));
        gateway.stop().await;
    })
    .await;
}
