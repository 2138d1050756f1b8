//! Who somebody is: the OwnerRez account that comes back, and nothing else.

use futures_util::future::join;
use ownerrez_gateway::sandbox::Rule;
use serde_json::json;

use crate::world::{Browser, ClientApp, Gateway, Landing, Settings, on_each_database};

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

        // The second sign-in of an account finds its user, and stores the newest grant.
        let second = app.tokens(&gateway, alices, &[]).await;
        assert_eq!((me(&first).await, me(&second).await), (json!(alices.0), json!(alices.0)));
        for table in ["users", "identities", "ownerrez_connections"] {
            assert_eq!(database.number(&format!("SELECT count(*) FROM {table}")).await, 2, "{table}");
        }
        gateway.app().sessions().do_chores().await;
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
        assert!(told.contains("sign in again") && !told.contains("API key"), "{told}");
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
async fn who_may_not_register_may_not_sign_in_for_the_first_time() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alices, bobs) = (gateway.ownerrez().add_account("Alice").id, gateway.ownerrez().add_account("Bob").id);
        let app = ClientApp::register(&gateway, "App").await;
        app.tokens(&gateway, alices, &[]).await;
        let gateway = gateway.restart_with(Settings::default().set("REGISTRATION_MODE", "closed")).await;
        let app = ClientApp::register(&gateway, "App").await;
        let landing = app.sign_in(&gateway, bobs, &[]).await;
        assert_eq!((landing.get("error"), landing.get("iss")), ("access_denied", gateway.url.as_str()));
        assert_eq!(database.number("SELECT count(*) FROM users").await, 1);
        assert_eq!(gateway.ownerrez().count(REVOKED), 1, "what nobody needs is given back");
        assert!(!app.sign_in(&gateway, alices, &[]).await.get("code").is_empty(), "who is known gets in");
        gateway.stop().await;
    })
    .await;
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
