//! Other clients and keys with access to the account of a user who signs in: the user sees them and can revoke them.

use serde_json::json;

use crate::world::{Browser, ClientApp, Gateway, Landing, on_each_database, rpc};

#[actix_web::test]
async fn a_phishers_key_is_not_joined_but_shown_and_can_be_ended() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let victims = gateway.ownerrez().add_account("Victim").id;
        // The victim was tricked into approving the account for a key that an attacker knows.
        let phisher = gateway.user("Holiday helper").await.connect(&gateway, victims).await;
        let bystander = gateway.connected_user("Bystander").await;

        let app = ClientApp::register(&gateway, "App").await;
        let mut browser = Browser::new();
        let page = app.approved(&gateway, &mut browser, victims, &[]).await;
        let look = page.location();
        assert!(look.starts_with(&format!("{}/authorize/continue?state=", gateway.url)), "{look}");
        assert_eq!(Browser::new().open(&look).await.status, 403, "another browser sees nothing");
        let page = browser.open(&look).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("Holiday helper") && page.body.contains(&phisher.key[..24]), "{}", page.body);
        assert!(!page.body.contains(&phisher.key) && !page.body.contains("Bystander"));
        assert_eq!(database.number("SELECT count(*) FROM users").await, 3, "joined to nobody");
        phisher.call("get_current_user", json!({})).await.ok();

        // Only from that page, in that browser, and only the access that it shows.
        let (state, csrf) = (page.field("state"), page.field("csrf"));
        let action = format!("{}/authorize/continue", gateway.url);
        let end = [("state", state.as_str()), ("csrf", csrf.as_str()), ("user", phisher.id.as_str())];
        assert_eq!(Browser::new().submit(&action, &end).await.status, 403);
        let forged = [("state", state.as_str()), ("csrf", "x"), ("user", phisher.id.as_str())];
        assert_eq!(browser.submit(&action, &forged).await.status, 403);
        let cross = [("origin", "null"), ("sec-fetch-site", "cross-site")];
        assert_eq!(browser.submit_with(&action, &end, &cross).await.status, 403);
        page.send_others(&mut browser, &gateway.url, &[("user", &bystander.id)]).await;
        bystander.call("get_current_user", json!({})).await.ok();
        phisher.call("get_current_user", json!({})).await.ok();

        let ended = page.send_others(&mut browser, &gateway.url, &[("user", &phisher.id)]).await;
        assert_eq!((ended.status, ended.location()), (303, look.clone()));
        assert!(phisher.call("get_current_user", json!({})).await.refused().contains("No OwnerRez account"));
        let page = browser.open(&look).await;
        assert!(!page.body.contains("Holiday helper"));

        let landing = Landing::of(&page.send_others(&mut browser, &gateway.url, &[]).await, &app.redirect_uri);
        assert_eq!(landing.get("state"), "state of the client");
        let tokens = app.redeem(landing.get("code"), &[]).await.body;
        app.caller(&tokens).call("get_current_user", json!({})).await.ok();
        assert_eq!(browser.open(&look).await.status, 403, "it goes on once");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn ones_own_other_clients_are_shown_and_can_be_ended() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let first = ClientApp::register(&gateway, "Forgotten assistant").await;
        let old = first.caller(&first.tokens(&gateway, account, &[]).await);
        old.call("get_current_user", json!({})).await.ok();

        let app = ClientApp::register(&gateway, "App").await;
        let mut browser = Browser::new();
        let look = app.approved(&gateway, &mut browser, account, &[]).await.location();
        let page = browser.open(&look).await;
        assert!(page.body.contains("Forgotten assistant"), "{}", page.body);
        let grant = page.field("grant");
        assert_eq!(page.send_others(&mut browser, &gateway.url, &[("grant", &grant)]).await.status, 303);
        assert_eq!(old.mcp(&rpc(1, "tools/list", json!({}))).await.status, 401);
        let page = browser.open(&look).await;
        assert!(!page.body.contains("Forgotten assistant"));
        let landing = Landing::of(&page.send_others(&mut browser, &gateway.url, &[]).await, &app.redirect_uri);
        let tokens = app.redeem(landing.get("code"), &[]).await.body;
        app.caller(&tokens).call("get_current_user", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}
