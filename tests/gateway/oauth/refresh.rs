//! Refresh tokens: each use issues a new one, a lost reply costs nothing, a theft ends the family.

use chrono::TimeDelta;
use serde_json::json;

use crate::world::{ClientApp, Gateway, on_each_database, rpc};

#[actix_web::test]
async fn a_predecessor_is_good_until_its_successor_was_used() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let first = app.tokens(&gateway, account, &[]).await;

        let lost = app.refresh(&first["refresh_token"], &[]).await.body;
        assert_ne!(lost["refresh_token"], first["refresh_token"], "rotated");
        // The reply was lost several times: the client retries with its old token.
        for _ in 0..12 {
            let again = app.refresh(&first["refresh_token"], &[]).await;
            assert_eq!((again.status, &again.body["refresh_token"]), (200, &lost["refresh_token"]));
        }
        let second = app.refresh(&first["refresh_token"], &[]).await.body;
        let third = app.refresh(&second["refresh_token"], &[]).await;
        assert_eq!(third.status, 200, "{}", third.body);
        let caller = app.caller(&third.body);
        caller.call("get_current_user", json!({})).await.ok();
        assert_eq!(database.number("SELECT count(*) FROM refresh_tokens").await, 2, "bounded");

        // Now the first token is used up. A client that presents it has stolen it, or its tokens were stolen.
        assert_eq!(app.refresh(&first["refresh_token"], &[]).await.error(), "invalid_grant");
        assert_eq!(app.refresh(&third.body["refresh_token"], &[]).await.error(), "invalid_grant", "the family ended");
        let over = caller.mcp(&rpc(1, "tools/list", json!({}))).await;
        assert_eq!((over.status, over.error()), (401, "invalid_access_token"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn two_processes_that_share_a_token_go_on_side_by_side() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let first = app.tokens(&gateway, account, &[]).await;
        let (mut one, mut other) = (first.clone(), first);
        for _ in 0..5 {
            one = app.refresh(&one["refresh_token"], &[]).await.body;
            other = app.refresh(&other["refresh_token"], &[]).await.body;
            assert_eq!(one["refresh_token"], other["refresh_token"]);
            for tokens in [&one, &other] {
                assert_eq!(app.caller(tokens).mcp(&rpc(1, "tools/list", json!({}))).await.status, 200);
            }
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn another_clients_refresh_token_does_no_harm() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let other = ClientApp::register(&gateway, "Other").await;
        let first = app.tokens(&gateway, account, &[]).await;
        let second = app.refresh(&first["refresh_token"], &[]).await.body;
        let third = app.refresh(&second["refresh_token"], &[]).await.body;
        for used_up_or_not in [&first, &third] {
            assert_eq!(other.refresh(&used_up_or_not["refresh_token"], &[]).await.error(), "invalid_grant");
            assert_eq!(other.revoke(&used_up_or_not["refresh_token"]).await.status, 200, "RFC 7009: no error");
        }
        assert_eq!(other.revoke(&third["access_token"]).await.status, 200);
        app.caller(&third).call("get_current_user", json!({})).await.ok();
        assert_eq!(app.refresh(&third["refresh_token"], &[]).await.status, 200);
        assert_eq!(app.refresh(&json!("ownerrez_rt_invented"), &[]).await.error(), "invalid_grant");
        assert_eq!(app.revoke(&json!("ownerrez_rt_invented")).await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn less_may_be_asked_for_and_never_more() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let full = app.tokens(&gateway, account, &[]).await;
        let less = app.refresh(&full["refresh_token"], &[("scope", "ownerrez:read")]).await.body;
        assert_eq!(less["scope"], json!("ownerrez:read"));
        let again = app.refresh(&less["refresh_token"], &[]).await.body;
        assert_eq!(again["scope"], json!("ownerrez:read ownerrez:full offline_access"), "the grant is what it was");

        let read = app.tokens(&gateway, account, &[("scope", "ownerrez:read offline_access")]).await;
        assert_eq!(read["scope"], json!("ownerrez:read offline_access"));
        let more = app.refresh(&read["refresh_token"], &[("scope", "ownerrez:full")]).await;
        assert_eq!(more.error(), "invalid_scope");
        let elsewhere = [("resource", "https://evil.example/mcp")];
        assert_eq!(app.refresh(&read["refresh_token"], &elsewhere).await.error(), "invalid_target");
        assert_eq!(app.refresh(&read["refresh_token"], &[]).await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn who_did_not_ask_for_more_than_an_hour_gets_no_refresh_token() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let tokens = app.tokens(&gateway, account, &[("scope", "ownerrez:full")]).await;
        assert!(tokens.get("refresh_token").is_none());
        app.caller(&tokens).call("get_current_user", json!({})).await.ok();
        gateway.advance(TimeDelta::hours(1));
        let over = app.caller(&tokens).mcp(&rpc(1, "tools/list", json!({}))).await;
        assert_eq!((over.status, over.error()), (401, "expired_access_token"));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(database.number("SELECT count(*) FROM oauth_grants").await, 0);

        let offline = app.tokens(&gateway, account, &[]).await;
        gateway.advance(TimeDelta::days(60));
        assert_eq!(app.refresh(&offline["refresh_token"], &[]).await.error(), "invalid_grant", "away for too long");
        gateway.stop().await;
    })
    .await;
}
