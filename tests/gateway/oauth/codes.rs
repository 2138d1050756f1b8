//! Codes: redeemed once, in time, by the client that requested them.

use chrono::TimeDelta;
use serde_json::json;

use crate::world::{ClientApp, Gateway, on_each_database, rpc};

#[actix_web::test]
async fn a_stolen_code_is_worth_nothing_and_does_no_harm() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let thief = ClientApp::register(&gateway, "Thief").await;
        let landing = app.sign_in(&gateway, account, &[]).await;
        let code = landing.get("code");

        assert_eq!(thief.redeem(code, &[]).await.error(), "invalid_grant", "another client's");
        let wrong = format!("{:B<50}", "guess");
        for (name, value) in [
            ("code_verifier", wrong.as_str()),
            ("code_verifier", ""),
            ("redirect_uri", "https://app.example/other"),
            ("redirect_uri", ""),
        ] {
            let reply = app.redeem(code, &[(name, value)]).await;
            assert_eq!((reply.status, reply.error()), (400, "invalid_grant"), "{name}={value}");
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }
        let reply = app.redeem(code, &[("client_id", "nobody")]).await;
        assert_eq!((reply.status, reply.error()), (401, "invalid_client"));
        for (name, error) in
            [("grant_type", "invalid_request"), ("client_id", "invalid_request"), ("code", "invalid_request")]
        {
            assert_eq!(app.redeem(code, &[(name, "")]).await.error(), error, "{name}");
        }
        assert_eq!(app.redeem(code, &[("grant_type", "password")]).await.error(), "unsupported_grant_type");
        let elsewhere = [("resource", "https://evil.example/mcp")];
        assert_eq!(app.redeem(code, &elsewhere).await.error(), "invalid_target");

        // None of those attempts consumed the code.
        let tokens = app.redeem(code, &[]).await;
        assert_eq!(tokens.status, 200, "{}", tokens.body);
        app.caller(&tokens.body).call("get_current_user", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_replayed_code_ends_what_it_gave_but_only_by_who_could_redeem_it() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let other = ClientApp::register(&gateway, "Other").await;
        let landing = app.sign_in(&gateway, account, &[]).await;
        let code = landing.get("code");
        let tokens = app.redeem(code, &[]).await.body;
        let caller = app.caller(&tokens);

        let wrong = format!("{:B<50}", "guess");
        assert_eq!(other.redeem(code, &[]).await.error(), "invalid_grant");
        assert_eq!(app.redeem(code, &[("code_verifier", &wrong)]).await.error(), "invalid_grant");
        caller.call("get_current_user", json!({})).await.ok();

        assert_eq!(app.redeem(code, &[]).await.error(), "invalid_grant");
        let over = caller.mcp(&rpc(1, "tools/list", json!({}))).await;
        assert_eq!((over.status, over.error()), (401, "invalid_access_token"), "at once");
        assert_eq!(app.refresh(&tokens["refresh_token"], &[]).await.error(), "invalid_grant");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_code_is_good_for_a_minute() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let landing = app.sign_in(&gateway, account, &[]).await;
        gateway.advance(TimeDelta::seconds(59));
        let second = app.sign_in(&gateway, account, &[]).await;
        assert_eq!(app.redeem(landing.get("code"), &[]).await.status, 200);
        gateway.advance(TimeDelta::seconds(60));
        assert_eq!(app.redeem(second.get("code"), &[]).await.error(), "invalid_grant");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn only_digests_are_stored_and_what_is_over_is_swept() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        app.decide(&mut crate::world::Browser::new(), &[], "allow").await;
        let unredeemed = app.sign_in(&gateway, account, &[]).await;
        let tokens = app.tokens(&gateway, account, &[]).await;
        for (table, column, secret) in [
            ("authorization_codes", "code_hash", unredeemed.get("code")),
            ("refresh_tokens", "token_hash", tokens["refresh_token"].as_str().unwrap()),
            ("sign_in_requests", "request", "state of the client"),
        ] {
            let rows = database.number(&format!("SELECT count(*) FROM {table}")).await;
            let plain = format!("SELECT count(*) FROM {table} WHERE {column} LIKE '%{secret}%'");
            assert!(rows > 0 && database.number(&plain).await == 0, "{table}");
        }
        gateway.advance(TimeDelta::minutes(11));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(database.number("SELECT count(*) FROM sign_in_requests").await, 0);
        assert_eq!(database.number("SELECT count(*) FROM oauth_grants").await, 1, "the one that was redeemed");
        gateway.advance(TimeDelta::days(61));
        gateway.app().sessions().run_background_jobs().await;
        for table in ["oauth_grants", "authorization_codes", "refresh_tokens"] {
            assert_eq!(database.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
        gateway.stop().await;
    })
    .await;
}
