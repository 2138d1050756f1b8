//! On the page of a connect link, a sign-in of the same user replaces the key.

use serde_json::json;

use super::Visit;
use crate::world::{Gateway, Person, on_each_database};

#[actix_web::test]
async fn a_sign_in_of_the_keys_user_stands_in_for_the_key() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let mut alice = Visit::signed_in(&gateway, account).await;
        let key = alice.make_key("laptop", "full").await;
        let laptop = Person::visitor(&gateway.url).with_key(&key, "");
        assert_eq!(alice.act("disconnect", &[]).await.status, 303);
        let started = laptop.get("/api/connect/ownerrez/start").await;
        let link = started.body["authorization_url"].as_str().unwrap();

        // Another signed-in user must enter the key, like every other visitor.
        let mut mallory = Visit::signed_in(&gateway, gateway.ownerrez().add_account("Mallory").id).await;
        let page = mallory.browser.open(link).await;
        assert!(page.body.contains(r#"name="api_key""#), "{}", page.body);
        assert_eq!(mallory.browser.give_key(link, "").await.status, 403);

        let page = alice.browser.open(link).await;
        assert!(!page.body.contains(r#"name="api_key""#) && page.body.contains("This key is yours"), "{}", page.body);
        let to_ownerrez = alice.browser.give_key(link, "").await;
        assert_eq!(to_ownerrez.status, 303, "{}", to_ownerrez.body);
        let back = gateway.ownerrez().approve(&to_ownerrez.location(), account).unwrap();
        assert_eq!(alice.browser.open(&back).await.status, 200);
        laptop.call("list_properties", json!({})).await.ok();

        // After signing out, the page asks for the key again.
        alice.act("disconnect", &[]).await;
        let started = laptop.get("/api/connect/ownerrez/start").await;
        let link = started.body["authorization_url"].as_str().unwrap();
        alice.act("sign_out", &[]).await;
        assert!(alice.browser.open(link).await.body.contains(r#"name="api_key""#));
        assert_eq!(alice.browser.give_key(link, "").await.status, 403);
        gateway.stop().await;
    })
    .await;
}
