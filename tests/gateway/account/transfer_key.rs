//! A signed-in user can transfer an existing API key to their user: only that key.

use serde_json::json;

use super::Visit;
use crate::world::{Browser, ClientApp, Gateway, Landing, Page, Person, Settings, on_each_database, rpc};

const REVOKED: &str = "DELETE /oauth/access_token/{token}";

impl Visit {
    /// Enters a key; returns the page that asks whether to transfer it.
    async fn show_key(&mut self, key: &str) -> Page {
        self.act("show_key", &[("api_key", key)]).await
    }

    /// Agrees to the question of that page.
    async fn confirm_transfer(&mut self, question: &Page) -> Page {
        let fields = ["attach", "from", "proof"].map(|name| (name, question.field(name)));
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.act("attach", &fields).await
    }
}

async fn account_of(person: &Person) -> serde_json::Value {
    person.call("get_current_user", json!({})).await.ok()["id"].clone()
}

#[actix_web::test]
async fn a_key_moves_and_works_for_whoever_signed_in() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        // A user from before sign-in existed: two keys, connected to the same account.
        let laptop = gateway.user("My <laptop>").await.connect(&gateway, account).await;
        let made = laptop.post("/api/keys", &json!({"name": "phone", "scope": "full"})).await;
        let phone = laptop.with_key(made.body["api_key"].as_str().unwrap(), &laptop.id);
        assert_eq!(account_of(&phone).await, json!(account.0));
        let mut alice = Visit::signed_in(&gateway, account).await;
        assert_eq!(database.number("SELECT count(*) FROM users").await, 2, "joined to nobody");

        let question = alice.show_key(&laptop.key).await;
        assert_eq!(question.status, 200);
        for told in ["My &lt;laptop&gt;", &laptop.key[..24], "one more key", &format!("<strong>{account}</strong>")] {
            assert!(question.body.contains(told), "{told}: {}", question.body);
        }
        assert!(!question.body.contains(&laptop.key));
        assert!(!alice.look().await.body.contains("Delete this key"), "not hers before she agreed");
        let moved = alice.confirm_transfer(&question).await;
        assert_eq!((moved.status, moved.location()), (303, alice.url.clone()), "{}", moved.body);
        assert!(alice.look().await.body.contains("Delete this key"));

        // Both keys keep working: one belongs to Alice now, the other to its old user.
        assert_eq!((account_of(&laptop).await, account_of(&phone).await), (json!(account.0), json!(account.0)));
        let listed = phone.get("/api/keys").await.body;
        assert_eq!(listed["keys"].as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(alice.confirm_transfer(&question).await.status, 410, "it moves once");

        // The last key: its old user is deleted, and the account's tokens are not revoked at OwnerRez.
        let question = alice.show_key(&phone.key).await;
        assert!(question.body.contains("only key"), "{}", question.body);
        assert_eq!(alice.confirm_transfer(&question).await.status, 303);
        for table in ["users", "identities", "ownerrez_connections"] {
            assert_eq!(database.number(&format!("SELECT count(*) FROM {table}")).await, 1, "{table}");
        }
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count(REVOKED), 0);
        assert_eq!((account_of(&laptop).await, account_of(&phone).await), (json!(account.0), json!(account.0)));
        assert!(alice.show_key(&phone.key).await.body.contains("already yours"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn on_the_way_to_a_client_as_well() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let laptop = gateway.user("laptop").await.connect(&gateway, account).await;
        let app = ClientApp::register(&gateway, "App").await;
        let mut browser = Browser::new();
        let look = app.approved(&gateway, &mut browser, account, &[]).await.location();
        let page = browser.open(&look).await;
        assert!(page.body.contains("Transfer an existing API key"), "{}", page.body);

        let wrong = page.send_others(&mut browser, &gateway.url, &[("api_key", "ownerrez_sk_nonsense")]).await;
        assert_eq!(wrong.status, 403);
        let question = page.send_others(&mut browser, &gateway.url, &[("api_key", &laptop.key)]).await;
        assert_eq!(question.status, 200, "{}", question.body);
        let fields = ["attach", "from", "proof"].map(|name| (name, question.field(name)));
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let [attach, from, _] = fields;
        let forged = page.send_others(&mut browser, &gateway.url, &[attach, from, ("proof", "x")]).await;
        assert_eq!(forged.status, 403);
        // A proof that one page issued is not valid on the other page.
        let mut alice = Visit::signed_in(&gateway, account).await;
        assert_eq!(alice.act("attach", &fields).await.status, 403);
        assert_eq!(database.number("SELECT count(*) FROM users").await, 2);

        let moved = page.send_others(&mut browser, &gateway.url, &fields).await;
        assert_eq!((moved.status, moved.location()), (303, look.clone()), "{}", moved.body);
        assert_eq!(database.number("SELECT count(*) FROM users").await, 1);
        assert_eq!(account_of(&laptop).await, json!(account.0));
        let page = browser.open(&look).await;
        assert!(page.body.contains("Delete this key"), "it is theirs now: {}", page.body);
        let landing = Landing::of(&page.send_others(&mut browser, &gateway.url, &[]).await, &app.redirect_uri);
        assert!(!landing.get("code").is_empty());
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_key_of_another_account_stays_where_it_is() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let mut alice = Visit::signed_in(&gateway, account).await;
        let bob = gateway.connected_user("Bob").await;
        let late = gateway.user("connects meanwhile").await;

        let refused = alice.show_key(&bob.key).await;
        assert_eq!(refused.status, 409);
        assert!(refused.body.contains("an OwnerRez account other than yours"), "{}", refused.body);
        let made = bob.post("/api/keys", &json!({"scope": "read"})).await;
        let reader = made.body["api_key"].as_str().unwrap();
        assert_eq!(alice.show_key(reader).await.status, 403, "reading keys manage nothing");

        // The conditions are checked again at the transfer.
        let question = alice.show_key(&late.key).await;
        assert_eq!(question.status, 200);
        let bobs = bob.account.unwrap();
        let late = late.connect(&gateway, bobs).await;
        assert_eq!(alice.confirm_transfer(&question).await.status, 409);
        assert_eq!((account_of(&late).await, account_of(&bob).await), (json!(bobs.0), json!(bobs.0)));
        assert_eq!(database.number("SELECT count(*) FROM users").await, 3);

        // A key without a connection can be transferred; its connect links become invalid.
        let spare = gateway.user("spare").await;
        let link =
            spare.get("/api/connect/ownerrez/start").await.body["authorization_url"].as_str().unwrap().to_owned();
        let question = alice.show_key(&spare.key).await;
        assert_eq!(alice.confirm_transfer(&question).await.status, 303);
        assert_eq!(account_of(&spare).await, json!(account.0));
        assert_eq!(Browser::new().open(&link).await.status, 410);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn only_a_key_that_was_shown_here_moves() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let victim = gateway.user("victim").await;
        let spare = gateway.user("spare").await;
        let mut alice = Visit::signed_in(&gateway, account).await;
        let question = alice.show_key(&spare.key).await;
        let (key, from, proof) = (question.field("attach"), question.field("from"), question.field("proof"));
        let victims = victim.get("/api/keys").await.body["keys"][0]["id"].as_str().unwrap().to_owned();

        for (key, from, proof) in [
            (victims.as_str(), victim.id.as_str(), proof.as_str()),
            (victims.as_str(), from.as_str(), proof.as_str()),
            (key.as_str(), victim.id.as_str(), proof.as_str()),
            (key.as_str(), from.as_str(), ""),
        ] {
            let refused = alice.act("attach", &[("attach", key), ("from", from), ("proof", proof)]).await;
            assert_eq!(refused.status, 403, "{}", refused.body);
        }
        // Nor in another browser of the same user.
        let mut elsewhere = Visit::signed_in(&gateway, account).await;
        assert_eq!(elsewhere.confirm_transfer(&question).await.status, 403);
        // Nor after its owner has deleted it.
        assert_eq!(spare.delete("/api/users/me").await.status, 200);
        assert_eq!(alice.confirm_transfer(&question).await.status, 410);
        assert_eq!(victim.get("/api/keys").await.status, 200);
        assert_eq!(database.number("SELECT count(*) FROM users").await, 2);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn keys_that_are_not_good_are_counted() {
    on_each_database(async |database| {
        let few = Settings::default().tune(|config| config.keys.failures_per_address = 3);
        let gateway = Gateway::start_with(database, few).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let spare = gateway.user("spare").await;
        let mut alice = Visit::signed_in(&gateway, account).await;
        for wrong in ["", "ownerrez_sk_nonsense", &spare.key[..60]] {
            assert_eq!(alice.show_key(wrong).await.status, 403, "{wrong}");
        }
        let limited = alice.show_key(&spare.key).await;
        assert_eq!(limited.status, 429);
        assert!(limited.header("retry-after").is_some());
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_phishers_key_is_shown_joined_to_nobody_and_ended() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let victims = gateway.ownerrez().add_account("Victim").id;
        let phisher = gateway.user("Holiday helper").await.connect(&gateway, victims).await;
        let bystander = gateway.connected_user("Bystander").await;
        let mut victim = Visit::signed_in(&gateway, victims).await;
        let page = victim.look().await;
        assert!(page.body.contains("Holiday helper") && page.body.contains("Another user connected to this account"));
        assert!(!page.body.contains("Delete this key") && !page.body.contains("Bystander"), "{}", page.body);

        // The victim cannot delete it like their own key, and cannot end the connection of another account.
        let key = phisher.get("/api/keys").await.body["keys"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(victim.act("end_key", &[("key", &key)]).await.status, 303);
        assert_eq!(victim.act("end_stranger", &[("user", &bystander.id)]).await.status, 303);
        assert_eq!(account_of(&phisher).await, json!(victims.0));
        account_of(&bystander).await;

        assert_eq!(victim.act("end_stranger", &[("user", &phisher.id)]).await.status, 303);
        assert!(phisher.call("get_current_user", json!({})).await.refused().contains("No OwnerRez account"));
        assert_eq!(
            phisher.mcp(&rpc(1, "tools/list", json!({}))).await.status,
            200,
            "the key itself is not the victim's"
        );
        assert!(!victim.look().await.body.contains("Holiday helper"));
        gateway.stop().await;
    })
    .await;
}
