//! `/account`: a user who signs in with OwnerRez sees their keys, clients and connections and can revoke each of them.
//! Also attempts to do the same with another user's.

mod attacks;
mod links;
mod transfer_key;

use chrono::TimeDelta;
use ownerrez_gateway::domain::AccountId;
use serde_json::json;

use crate::world::{Browser, ClientApp, Gateway, Page, Person, Settings, on_each_database, rpc};

const REVOKED: &str = "DELETE /oauth/access_token/{token}";

/// A visitor of the account page.
pub(crate) struct Visit {
    browser: Browser,
    url: String,
}

impl Visit {
    fn new(gateway: &Gateway) -> Self {
        Self { browser: Browser::new(), url: format!("{}/account", gateway.url) }
    }

    /// Returns a visitor who has signed in with this account.
    pub(crate) async fn signed_in(gateway: &Gateway, account: AccountId) -> Self {
        let mut visit = Self::new(gateway);
        let page = visit.sign_in(gateway, account).await;
        assert_eq!((page.status, page.location()), (303, visit.url.clone()), "{}", page.body);
        visit
    }

    /// Goes through OwnerRez's approval; returns the page after the callback.
    async fn sign_in(&mut self, gateway: &Gateway, account: AccountId) -> Page {
        let to_ownerrez = self.act("sign_in", &[]).await;
        assert_eq!(to_ownerrez.status, 303, "{}", to_ownerrez.body);
        let back = gateway.ownerrez().approve(&to_ownerrez.location(), account).expect("the simulated consent page");
        self.browser.open(&back).await
    }

    /// Opens the page.
    async fn look(&mut self) -> Page {
        self.browser.open(&self.url).await
    }

    /// Submits one of the page's forms.
    async fn act(&mut self, wish: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.look().await.field("csrf");
        self.send(&csrf, wish, fields).await
    }

    async fn send(&mut self, csrf: &str, wish: &str, fields: &[(&str, &str)]) -> Page {
        let own = [("csrf", csrf), ("do", wish)];
        let all: Vec<(&str, &str)> = own.iter().chain(fields).copied().collect();
        self.browser.submit(&self.url, &all).await
    }

    /// Creates a key and returns it.
    async fn make_key(&mut self, name: &str, scope: &str) -> String {
        let page = self.look().await;
        let (id, proof) = (page.field("id"), page.field("proof"));
        let page = self
            .send(&page.field("csrf"), "make_key", &[("id", &id), ("proof", &proof), ("name", name), ("scope", scope)])
            .await;
        assert_eq!(page.status, 200, "{}", page.body);
        let (_, rest) = page.body.split_once("<code id=\"key\">").expect("a key");
        rest.split_once("</code>").unwrap().0.to_owned()
    }
}

#[actix_web::test]
async fn what_is_theirs_and_the_end_of_each() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let mut alice = Visit::new(&gateway);
        let door = alice.look().await;
        assert_eq!(door.status, 200);
        assert!(door.body.contains("Sign in with OwnerRez") && !door.body.contains("API key</label>"), "{}", door.body);
        assert_eq!(alice.sign_in(&gateway, account).await.status, 303);
        for table in ["users", "identities", "ownerrez_connections", "account_sessions"] {
            assert_eq!(database.number(&format!("SELECT count(*) FROM {table}")).await, 1, "{table}");
        }
        let page = alice.look().await;
        for told in [&format!("<strong>{account}</strong>"), "Connected to account", "No app", "no API key"] {
            assert!(page.body.contains(told), "{told}: {}", page.body);
        }

        // A client; it belongs to the same user.
        let app = ClientApp::register(&gateway, "An <i>app</i>").await;
        let tokens = app.tokens(&gateway, account, &[("scope", "ownerrez:read")]).await;
        assert_eq!(database.number("SELECT count(*) FROM users").await, 1);
        let page = alice.look().await;
        assert!(page.body.contains("An &lt;i&gt;app&lt;/i&gt;") && page.body.contains("can read."), "{}", page.body);
        let grant = page.field("grant");
        assert_eq!(alice.act("end_client", &[("grant", &grant)]).await.status, 303);
        let over = app.caller(&tokens).mcp(&rpc(1, "tools/list", json!({}))).await;
        assert_eq!((over.status, over.error()), (401, "invalid_access_token"));

        // A key is shown once, even if the form is submitted again.
        let key = alice.make_key("cron job", "full").await;
        let program = Person::visitor(&gateway.url).with_key(&key, "");
        assert_eq!(program.call("get_current_user", json!({})).await.ok()["id"], json!(account.0));
        let page = alice.look().await;
        assert!(page.body.contains("cron job") && page.body.contains(&key[..24]) && !page.body.contains(&key));
        let (id, proof) = (page.field("id"), page.field("proof"));
        let wanted = [("id", id.as_str()), ("proof", proof.as_str()), ("name", "twice"), ("scope", "read")];
        let (first, again) = (alice.act("make_key", &wanted).await, alice.act("make_key", &wanted).await);
        assert_eq!((first.status, again.status), (200, 303));
        assert_eq!(database.number("SELECT count(*) FROM api_keys").await, 2);
        let key_id = alice.look().await.field("key");
        assert_eq!(alice.act("end_key", &[("key", &key_id)]).await.status, 303);
        let over = program.mcp(&rpc(1, "tools/list", json!({}))).await;
        assert_eq!((over.status, over.error()), (401, "invalid_api_key"));

        // After signing out, the cookie is invalid, also as a copy in another browser.
        let mut copied = Visit { browser: alice.browser.clone(), url: alice.url.clone() };
        assert!(copied.look().await.body.contains("Sign out"));
        assert_eq!(alice.act("sign_out", &[]).await.status, 303);
        for visit in [&mut alice, &mut copied] {
            assert!(!visit.look().await.body.contains("Sign out"));
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn disconnected_and_connected_again() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let caller = app.caller(&app.tokens(&gateway, account, &[]).await);
        let mut alice = Visit::signed_in(&gateway, account).await;
        assert_eq!(alice.act("disconnect", &[]).await.status, 303);
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count(REVOKED), 1);
        assert!(alice.look().await.body.contains("Not connected"));
        let told = caller.call("list_properties", json!({})).await.refused();
        assert!(told.contains(&format!("open {}/account in a browser", gateway.url)), "{told}");

        // Reconnecting means signing in again.
        assert_eq!(alice.sign_in(&gateway, account).await.status, 303);
        caller.call("list_properties", json!({})).await.ok();
        assert_eq!(database.number("SELECT count(*) FROM account_sessions").await, 1, "in place of the older session");

        gateway.ownerrez().revoke_account_grants(account);
        let told = caller.call("list_properties", json!({})).await.refused();
        assert!(told.contains("/account"), "{told}");
        assert!(alice.look().await.body.contains("OwnerRez ended this connection"));
        assert_eq!(alice.sign_in(&gateway, account).await.status, 303);
        caller.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn everything_is_deleted_after_a_question() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alices, bobs) = (gateway.ownerrez().add_account("Alice").id, gateway.ownerrez().add_account("Bob").id);
        let mut bob = Visit::signed_in(&gateway, bobs).await;
        let app = ClientApp::register(&gateway, "App").await;
        let tokens = app.tokens(&gateway, alices, &[]).await;
        let mut alice = Visit::signed_in(&gateway, alices).await;
        let mut elsewhere = Visit::signed_in(&gateway, alices).await;
        let key = alice.make_key("", "full").await;

        let question = alice.browser.open(&format!("{}/delete", alice.url)).await;
        assert_eq!(question.status, 200);
        assert!(question.body.contains("cannot be undone"), "{}", question.body);
        assert_eq!(database.number("SELECT count(*) FROM users").await, 2, "asking deletes nothing");
        let deleted = alice.send(&question.field("csrf"), "delete", &[]).await;
        assert_eq!(deleted.status, 200);
        assert!(deleted.body.contains("Everything is deleted"), "{}", deleted.body);

        for (table, left) in [("users", 1), ("identities", 1), ("ownerrez_connections", 1), ("account_sessions", 1)] {
            assert_eq!(database.number(&format!("SELECT count(*) FROM {table}")).await, left, "{table}");
        }
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count(REVOKED), 1);
        assert!(elsewhere.look().await.body.contains("Sign in with OwnerRez"), "the user's other sessions ended too");
        for credential in [&key, tokens["access_token"].as_str().unwrap()] {
            let over =
                Person::visitor(&gateway.url).with_key(credential, "").mcp(&rpc(1, "tools/list", json!({}))).await;
            assert_eq!(over.status, 401);
        }
        assert!(bob.look().await.body.contains("Sign out"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_session_lasts_half_an_hour() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let mut alice = Visit::signed_in(&gateway, account).await;
        let csrf = alice.look().await.field("csrf");
        gateway.advance(TimeDelta::minutes(29));
        assert!(alice.look().await.body.contains("Sign out"));
        gateway.advance(TimeDelta::minutes(1));
        let late = alice.send(&csrf, "disconnect", &[]).await;
        assert_eq!(late.status, 403);
        assert!(late.body.contains("Your session has expired"), "{}", late.body);
        assert_eq!(database.number("SELECT count(*) FROM ownerrez_connections").await, 1);
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(database.number("SELECT count(*) FROM account_sessions").await, 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_account_that_comes_back_is_who_signed_in() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alices, bobs) = (gateway.ownerrez().add_account("Alice").id, gateway.ownerrez().add_account("Bob").id);
        let mut visit = Visit::signed_in(&gateway, alices).await;
        assert!(visit.look().await.body.contains(&format!("<strong>{alices}</strong>")));
        // Bob approves in the same browser.
        assert_eq!(visit.sign_in(&gateway, bobs).await.status, 303);
        assert!(visit.look().await.body.contains(&format!("<strong>{bobs}</strong>")));
        assert_eq!(database.number("SELECT count(*) FROM account_sessions").await, 1);

        // With registration closed, a new user cannot sign in, but a known one can.
        let gateway = gateway.restart_with(Settings::default().set("REGISTRATION_MODE", "closed")).await;
        let carols = gateway.ownerrez().add_account("Carol").id;
        let page = Visit::new(&gateway).sign_in(&gateway, carols).await;
        assert_eq!(page.status, 403);
        assert!(page.body.contains("does not accept new users"), "{}", page.body);
        assert_eq!(database.number("SELECT count(*) FROM users").await, 2);
        Visit::signed_in(&gateway, alices).await;

        // A user who denies the request at OwnerRez is not signed in.
        let mut nobody = Visit::new(&gateway);
        let to_ownerrez = nobody.act("sign_in", &[]).await.location();
        let state = url::Url::parse(&to_ownerrez).unwrap();
        let (_, state) = state.query_pairs().find(|(name, _)| name == "state").unwrap();
        let back = format!("{}/api/connect/ownerrez/callback?error=access_denied&state={state}", gateway.url);
        let page = nobody.browser.open(&back).await;
        assert!(page.body.contains("did not grant"), "{}", page.body);
        assert!(!nobody.look().await.body.contains("Sign out"));
        gateway.stop().await;
    })
    .await;
}
