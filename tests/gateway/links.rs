//! The lifecycle of a connect link, and callbacks that are too late, too early or have another user's cookie.

use chrono::TimeDelta;
use futures_util::future::join;
use ownerrez_gateway::simulator::Rule;
use serde_json::json;

use crate::world::{Browser, Gateway, Person, on_each_database};

const TOKEN: &str = "POST /oauth/access_token";

async fn link(person: &Person) -> String {
    let started = person.get("/api/connect/ownerrez/start").await;
    assert_eq!(started.status, 200, "{}", started.body);
    started.body["authorization_url"].as_str().unwrap().to_owned()
}

async fn is_connected(person: &Person) -> bool {
    person.get("/api/connect/ownerrez/status").await.body["connected"] == json!(true)
}

#[actix_web::test]
async fn a_form_that_lay_open_too_long_binds_no_browser() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let link = link(&alice).await;
        let mut browser = Browser::new();
        let page = browser.open(&link).await;
        let (state, csrf) = (page.hidden("state").unwrap(), page.hidden("csrf").unwrap());
        let action = link.split('?').next().unwrap();
        let fields = [("state", state.as_str()), ("csrf", csrf.as_str()), ("api_key", alice.key.as_str())];

        gateway.advance(TimeDelta::minutes(10));
        assert_eq!(browser.submit(action, &fields).await.status, 410);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_form_without_its_token_goes_nowhere_and_can_be_sent_again() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let (first, second) = (link(&alice).await, link(&alice).await);
        let action = first.split('?').next().unwrap();
        let mut browser = Browser::new();
        let (first, second) = (browser.open(&first).await, browser.open(&second).await);
        let state = first.hidden("state").unwrap();
        let elsewhere = second.hidden("csrf").unwrap();
        for csrf in [vec![], vec![("csrf", "")], vec![("csrf", elsewhere.as_str())]] {
            let fields = [&[("state", state.as_str()), ("api_key", alice.key.as_str())], csrf.as_slice()].concat();
            let page = browser.submit(action, &fields).await;
            assert_eq!(page.status, 403, "{csrf:?}");
            // The page is a new form, with the same link and a valid token.
            assert_eq!(page.hidden("state").as_deref(), Some(state.as_str()));
        }
        let csrf = first.hidden("csrf").unwrap();
        let fields = [("state", state.as_str()), ("csrf", csrf.as_str()), ("api_key", alice.key.as_str())];
        assert_eq!(browser.submit(action, &fields).await.status, 303);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_browser_with_a_link_of_its_own_cannot_come_back_with_anothers() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.user("Alice").await, gateway.user("Bob").await);
        let (hers, his) = (gateway.ownerrez().add_account("Alice").id, gateway.ownerrez().add_account("Bob").id);
        let (mut alices, mut bobs) = (Browser::new(), Browser::new());
        let alices_way = alices.give_key(&link(&alice).await, &alice.key).await.location();
        let bobs_way = bobs.give_key(&link(&bob).await, &bob.key).await.location();

        // Bob approves the URL that Alice sent him, while his own attempt is in progress.
        let lured = gateway.ownerrez().approve(&alices_way, his).unwrap();
        assert_eq!(bobs.open(&lured).await.status, 403);
        assert!(!is_connected(&alice).await && !is_connected(&bob).await);

        // Neither attempt was affected.
        let back = gateway.ownerrez().approve(&bobs_way, his).unwrap();
        assert_eq!(bobs.open(&back).await.status, 200);
        let back = gateway.ownerrez().approve(&alices_way, hers).unwrap();
        assert_eq!(alices.open(&back).await.status, 200);
        let status = alice.get("/api/connect/ownerrez/status").await;
        assert_eq!(status.body["ownerrez_user_id"], json!(hers.0));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_callback_that_someone_made_up_spoils_nothing() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let mut browser = Browser::new();
        let to_ownerrez = browser.give_key(&link(&alice).await, &alice.key).await.location();
        let callback = format!("{}/api/connect/ownerrez/callback", gateway.url);
        for query in ["", "?state=x&code=y", "?error=access_denied", "?code=y"] {
            assert_eq!(browser.open(&format!("{callback}{query}")).await.status, 403, "{query}");
        }
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        assert_eq!(browser.open(&back).await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn nobody_comes_back_who_never_gave_the_key() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, account) = (gateway.user("Alice").await, gateway.ownerrez().add_account("Bob").id);
        let started = alice.get("/api/connect/ownerrez/start").await;
        let mut browser = Browser::new();
        browser.open(started.body["authorization_url"].as_str().unwrap()).await;
        // Directly to OwnerRez with the state from the link.
        let way = format!(
            "{}/oauth/authorize?response_type=code&client_id=c_sandbox&state={}&redirect_uri={}/api/connect/ownerrez/callback",
            gateway.simulator.url(),
            started.body["state"].as_str().unwrap(),
            gateway.url,
        );
        let back = gateway.ownerrez().approve(&way, account).unwrap();
        assert_eq!(browser.open(&back).await.status, 403);
        assert_eq!(gateway.ownerrez().count(TOKEN), 0);
        assert!(!is_connected(&alice).await);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_key_that_is_gone_takes_its_links_along() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, account) = (gateway.user("Alice").await, gateway.ownerrez().add_account("Alice").id);
        let (unused, link) = (link(&alice).await, link(&alice).await);
        let mut browser = Browser::new();
        let to_ownerrez = browser.give_key(&link, &alice.key).await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();

        database.execute("DELETE FROM api_keys").await;
        assert_eq!(Browser::new().open(&unused).await.status, 410);
        assert_eq!(browser.open(&back).await.status, 403);
        assert_eq!(gateway.ownerrez().count(TOKEN), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn one_browser_gets_the_link_of_two_that_gave_the_key() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, account) = (gateway.user("Alice").await, gateway.ownerrez().add_account("Alice").id);
        let link = link(&alice).await;
        let (mut telephone, mut desk) = (Browser::new(), Browser::new());
        let first = telephone.give_key(&link, &alice.key).await.location();
        let second = desk.give_key(&link, &alice.key).await.location();
        let from_telephone = gateway.ownerrez().approve(&first, account).unwrap();
        let from_desk = gateway.ownerrez().approve(&second, account).unwrap();
        assert_eq!(telephone.open(&from_telephone).await.status, 403, "the later browser has the link");
        assert_eq!(desk.open(&from_desk).await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn one_of_many_callbacks_at_once_is_heard() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, account) = (gateway.user("Alice").await, gateway.ownerrez().add_account("Alice").id);
        let mut browser = Browser::new();
        let to_ownerrez = browser.give_key(&link(&alice).await, &alice.key).await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        let mut twin = browser.clone();
        let (one, other) = join(browser.open(&back), twin.open(&back)).await;
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403]);
        assert_eq!(gateway.ownerrez().count(TOKEN), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_token_endpoint_that_says_nothing_is_given_up_and_the_user_may_start_again() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, account) = (gateway.user("Alice").await, gateway.ownerrez().add_account("Alice").id);
        let held = gateway.ownerrez().hold(TOKEN);
        let mut browser = Browser::new();
        let silence = async {
            held.wait_arrived(1).await;
            gateway.advance(TimeDelta::seconds(21));
        };
        let (page, ()) = join(alice.connect_in(&mut browser, &gateway, account), silence).await;
        assert_eq!(page.status, 502, "{}", page.body);
        assert!(!is_connected(&alice).await);
        drop(held);
        assert_eq!(alice.connect_in(&mut browser, &gateway, account).await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_operator_with_the_wrong_secret_is_told_and_can_mend_it() {
    on_each_database(async |database| {
        let gateway =
            Gateway::start_with(database, crate::world::Settings::default().set("OWNERREZ_CLIENT_SECRET", "s_wrong"))
                .await;
        let (alice, account) = (gateway.user("Alice").await, gateway.ownerrez().add_account("Alice").id);
        assert_eq!(alice.connect_in(&mut Browser::new(), &gateway, account).await.status, 503);
        assert_eq!(gateway.ownerrez().count_status(401), 1);
        assert!(!is_connected(&alice).await);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn another_account_can_be_connected_after_a_disconnect_and_not_before() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let other = gateway.ownerrez().add_account("Alice's other house").id;
        let start = alice.get("/api/connect/ownerrez/start").await;
        assert_eq!((start.status, start.error()), (409, "already_connected"));

        alice.delete("/api/connect/ownerrez").await;
        let alice = alice.connect(&gateway, other).await;
        assert_eq!(alice.call("get_current_user", json!({})).await.ok()["id"], json!(other.0));
        let status = alice.get("/api/connect/ownerrez/status").await;
        assert_eq!(status.body["ownerrez_user_id"], json!(other.0));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_reconnection_that_fails_leaves_the_rejected_one_as_it_was() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let account = alice.account.unwrap();
        gateway.ownerrez().revoke_account_grants(account);
        alice.call("list_properties", json!({})).await.refused();

        gateway.ownerrez().script(Rule::on(TOKEN).reply(400, json!({"error": "invalid_grant"})));
        assert_eq!(alice.connect_in(&mut Browser::new(), &gateway, account).await.status, 502);
        let status = alice.get("/api/connect/ownerrez/status").await.body;
        assert_eq!((&status["connected"], &status["needs_reconnect"]), (&json!(false), &json!(true)));
        assert_eq!(alice.connect_in(&mut Browser::new(), &gateway, account).await.status, 200);
        alice.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn tokens_rest_sealed() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        gateway.connected_user("Alice").await;
        let sealed = "SELECT count(*) FROM ownerrez_connections WHERE access_token LIKE 'v1.%' \
                      AND refresh_token LIKE 'v1.%' AND access_token <> refresh_token";
        assert_eq!(database.number(sealed).await, 1);
        gateway.stop().await;
    })
    .await;
}
