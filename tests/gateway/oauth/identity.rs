//! The identity of a user: only the OwnerRez account that the callback returns.

use chrono::TimeDelta;
use futures_util::future::join;
use ownerrez_gateway::{
    app::SystemClock,
    simulator::{Rule, Simulator, SimulatorOptions},
};
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::{
    processes::program::Program,
    secrets::address,
    world::{Browser, ClientApp, Gateway, Landing, Settings, on_each_database},
};

const REVOKED: &str = "DELETE /oauth/access_token/{token}";

#[actix_web::test]
async fn the_account_that_comes_back_is_the_identity() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alices, bobs) = (gateway.ownerrez().add_account("Alice").id, gateway.ownerrez().add_account("Bob").id);
        let app = ClientApp::register(&gateway, "App").await;
        let me = async |tokens: &serde_json::Value| {
            app.caller(tokens).call("get_current_user", json!({})).await.ok()["id"].clone()
        };
        let first = app.tokens(&gateway, alices, &[]).await;
        let other = app.tokens(&gateway, bobs, &[]).await;
        assert_eq!((me(&first).await, me(&other).await), (json!(alices.0), json!(bobs.0)));
        assert_eq!(database.number("SELECT count(*) FROM users").await, 2);

        // The second sign-in of an account finds its user and stores the newest grant.
        let second = app.tokens(&gateway, alices, &[]).await;
        assert_eq!((me(&first).await, me(&second).await), (json!(alices.0), json!(alices.0)));
        for table in ["users", "identities", "ownerrez_connections"] {
            assert_eq!(database.number(&format!("SELECT count(*) FROM {table}")).await, 2, "{table}");
        }
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count(REVOKED), 0, "the older grant is left alone at OwnerRez");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_sign_in_mends_an_ended_connection() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let caller = app.caller(&app.tokens(&gateway, account, &[]).await);
        gateway.ownerrez().revoke_account_grants(account);
        let told = caller.call("list_properties", json!({})).await.refused();
        assert!(told.contains("sign in with OwnerRez") && !told.contains("API key"), "{told}");
        app.sign_in(&gateway, account, &[]).await;
        caller.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn two_first_sign_ins_at_once_make_one_user() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let mut browsers = [Browser::new(), Browser::new()];
        let mut backs = Vec::new();
        for browser in &mut browsers {
            let to_ownerrez = app.decide(browser, &[], "allow").await;
            backs.push(gateway.ownerrez().approve(&to_ownerrez.location(), account).unwrap());
        }
        let [one, other] = &mut browsers;
        let (one, other) = join(one.open(&backs[0]), other.open(&backs[1])).await;
        for page in [one, other] {
            assert_eq!(page.status, 303, "{}", page.body);
            assert!(page.location().contains("code="), "{}", page.location());
        }
        assert_eq!(database.number("SELECT count(*) FROM users").await, 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn who_may_not_register_is_told_so_before_ownerrez_is_asked_and_after() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alices, bobs) = (gateway.ownerrez().add_account("Alice").id, gateway.ownerrez().add_account("Bob").id);
        let app = ClientApp::register(&gateway, "App").await;
        app.tokens(&gateway, alices, &[]).await;
        let mut gateway = gateway;
        let mut refused = 0;
        for (mode, contact) in [("closed", "help@gateway.example"), ("token", "")] {
            let settings = Settings::default()
                .set("REGISTRATION_MODE", mode)
                .set("REGISTRATION_TOKEN", if mode == "token" { "0123456789abcdef" } else { "" })
                .set("OPERATOR_CONTACT", contact);
            gateway = gateway.restart_with(settings).await;
            let app = ClientApp::register(&gateway, "App").await;
            let operator = match contact {
                "" => "the operator of this gateway".to_owned(),
                contact => format!("the operator of this gateway ({contact})"),
            };
            let account_page = format!("{}/account", gateway.url);
            for before in [app.authorize_url(&[]), account_page.clone()] {
                let page = Browser::new().open(&before).await;
                let says_so = page.body.contains("does not accept new users") && page.body.contains(&operator);
                assert!(says_so, "{}", page.body);
                assert!(!page.body.contains("registers you"), "{}", page.body);
            }

            let page = app.approved(&gateway, &mut Browser::new(), bobs, &[]).await;
            let landing = Landing::offered(&page, &app.redirect_uri);
            assert_eq!((landing.get("error"), landing.get("iss")), ("access_denied", gateway.url.as_str()));
            let mut browser = Browser::new();
            let csrf = browser.open(&account_page).await.field("csrf");
            let to_ownerrez = browser.submit(&account_page, &[("csrf", &csrf), ("do", "sign_in")]).await.location();
            let there = browser.open(&gateway.ownerrez().approve(&to_ownerrez, bobs).unwrap()).await;
            for page in [&page, &there] {
                assert_eq!(page.status, 403);
                for part in [&format!("account {bobs}"), &operator] {
                    assert!(page.body.contains(part), "{part}: {}", page.body);
                }
                assert!(!page.body.contains("in a minute"), "{}", page.body);
            }
            refused += 2;
            assert_eq!(database.number("SELECT count(*) FROM users").await, 1);
            assert_eq!(gateway.ownerrez().count(REVOKED), refused, "tokens that are not needed are given back");
            assert!(!app.sign_in(&gateway, alices, &[]).await.get("code").is_empty(), "who is known gets in");
        }
        gateway.stop().await;
    })
    .await;
}

/// The operator must be able to see which account to allow.
#[actix_web::test]
async fn the_log_names_the_account_that_was_not_let_in() {
    let home = tempfile::tempdir().unwrap();
    let options = SimulatorOptions {
        client_secret: "s_sandbox".into(),
        ..SimulatorOptions::new(std::sync::Arc::new(SystemClock::new()))
    };
    let ownerrez = Simulator::start(options).await.unwrap();
    let ownerrez_url = ownerrez.url();
    let environment = [
        ("PORT", "0"),
        ("OWNERREZ_API_URL", ownerrez_url.as_str()),
        ("OWNERREZ_APP_URL", &ownerrez_url),
        ("OWNERREZ_CLIENT_ID", "c_sandbox"),
        ("OWNERREZ_CLIENT_SECRET", "s_sandbox"),
        ("REGISTRATION_MODE", "closed"),
    ];
    let gateway = Program::start(home.path(), &["serve"], &environment);
    let here = format!("{}/account", address(&gateway.says("public address ")));
    let account = ownerrez.controls().add_account("Bob").id;
    let mut browser = Browser::new();
    let csrf = browser.open(&here).await.field("csrf");
    let to_ownerrez = browser.submit(&here, &[("csrf", &csrf), ("do", "sign_in")]).await.location();
    let back = ownerrez.controls().approve(&to_ownerrez, account).unwrap();
    assert_eq!(browser.open(&back).await.status, 403);
    let ending = gateway.stop();
    assert!(
        ending.written.contains(&format!("rejected the sign-in of OwnerRez account {account}")),
        "{}",
        ending.written
    );
    ownerrez.stop(true).await;
}

#[actix_web::test]
async fn what_ownerrez_says_to_the_code_decides_and_never_breaks() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let on = || Rule::on("POST /oauth/access_token");
        for rule in [
            on().reply(400, json!({"error": "invalid_grant"})),
            on().reply(401, json!({"error": "invalid_client"})),
            on().reply(500, json!({})),
            on().reply(200, json!({"access_token": "at_nobodys", "token_type": "bearer"})),
            on().reset(),
        ] {
            gateway.ownerrez().script(rule);
            let page = app.approved(&gateway, &mut Browser::new(), account, &[]).await;
            let landing = Landing::of(&page, &app.redirect_uri);
            assert_eq!(landing.get("error"), "temporarily_unavailable", "{landing:?}");
            assert!(!page.location().contains("at_nobodys"));
        }
        assert_eq!(database.number("SELECT count(*) FROM users").await, 0);
        assert!(!app.sign_in(&gateway, account, &[]).await.get("code").is_empty());
        gateway.stop().await;
    })
    .await;
}

/// The database may have stored what it did not confirm, so these tokens may be the current ones.
#[actix_web::test]
async fn a_sign_in_that_the_database_did_not_confirm_is_not_revoked() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let held = gateway.ownerrez().hold("POST /oauth/access_token");
        let locked = async {
            held.wait_arrived(1).await;
            // Everything can be read, but no user can be stored.
            let other = database.open_alone().await;
            let lock = if database.is_postgres() { "BEGIN; LOCK TABLE users IN SHARE MODE" } else { "BEGIN IMMEDIATE" };
            other.execute_unprepared(lock).await.unwrap();
            held.release();
            other
        };
        let mut browser = Browser::new();
        let (page, other) = join(app.approved(&gateway, &mut browser, account, &[]), locked).await;
        assert!(!page.location().contains("code="), "{}", page.location());
        other.execute_unprepared("ROLLBACK").await.unwrap();
        gateway.advance(TimeDelta::minutes(5));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(database.number("SELECT count(*) FROM users").await, 0);
        assert_eq!(gateway.ownerrez().count(REVOKED), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_sign_in_revokes_the_connection_before_it_only_if_that_was_of_another_account() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        app.tokens(&gateway, account, &[]).await;
        // An unknown account may be this one.
        for (before, revoked) in [("NULL", 0), ("user_id_ownerrez", 0), ("1", 1)] {
            database.execute(&format!("UPDATE ownerrez_connections SET user_id_ownerrez = {before}")).await;
            app.tokens(&gateway, account, &[]).await;
            assert_eq!(database.number("SELECT count(*) FROM pending_revocations").await, revoked, "{before}");
        }
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count(REVOKED), 1);
        gateway.stop().await;
    })
    .await;
}
