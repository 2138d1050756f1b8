//! Several processes on one database: any of them can answer any request.

use std::time::Instant;

use serde_json::json;

use crate::world::{ClientApp, Gateway, Settings, eventually, on_each_database, on_postgres, rpc};

fn with_share() -> Settings {
    Settings::default().set("UPSTREAM_LIMIT", "150").set("UPSTREAM_SHARED", "true")
}

#[actix_web::test]
async fn a_code_of_one_process_is_redeemed_at_another_and_an_end_is_heard_by_both() {
    on_postgres(async |database| {
        // One address for both, as behind a load balancer.
        let shared = with_share().set("SERVER_URL", "http://127.0.0.1:1");
        let one = Gateway::start_with(database, shared).await;
        let other = one.start_another(with_share()).await;
        let there = format!("http://{}", other.app().address());
        let account = one.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&one, "App").await;

        let landing = app.sign_in(&one, account, &[]).await;
        let tokens = app.at(&there).redeem(landing.get("code"), &[]).await;
        assert_eq!(tokens.status, 200, "{}", tokens.body);
        let (caller_here, caller_there) = (app.caller(&tokens.body), app.at(&there).caller(&tokens.body));
        let list = rpc(1, "tools/list", json!({}));
        for gateway in [&one, &other] {
            eventually("changes are heard", async || gateway.app().keys().receives_invalidations().then_some(())).await;
        }
        for caller in [&caller_here, &caller_there] {
            caller.call("get_current_user", json!({})).await.ok();
            assert_eq!(caller.mcp(&list).await.status, 200);
        }
        let renewed = app.refresh(&tokens.body["refresh_token"], &[]).await.body;
        let again = app.at(&there).refresh(&renewed["refresh_token"], &[]).await;
        assert_eq!(again.status, 200, "{}", again.body);

        let ended = Instant::now();
        assert_eq!(app.revoke(&again.body["access_token"]).await.status, 200);
        assert_eq!(caller_here.mcp(&list).await.status, 401, "at once");
        eventually("the other has heard", async || (caller_there.mcp(&list).await.status == 401).then_some(())).await;
        assert!(ended.elapsed().as_secs() < 5);
        other.stop().await;
        one.stop().await;
    })
    .await;
}

/// Processes of the previous version read and write this column during a rolling upgrade.
#[actix_web::test]
async fn a_column_of_the_version_before_is_kept() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let tokens = app.tokens(&gateway, account, &[]).await;
        assert_eq!(database.number("SELECT count(*) FROM oauth_grants WHERE confirmed_hash IS NULL").await, 1);
        database.execute("UPDATE oauth_grants SET confirmed_hash = 'of the version before'").await;
        assert_eq!(app.refresh(&tokens["refresh_token"], &[]).await.status, 200);
        gateway.stop().await;
    })
    .await;
}
