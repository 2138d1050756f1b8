//! The same secret used by many callers at once: the first one decides, and no caller gets a server error.

use futures_util::future::{join, join_all};
use serde_json::json;

use crate::world::{ClientApp, Gateway, Reply, on_each_database, rpc};

const MANY: usize = 8;

fn statuses(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.status).collect()
}

#[actix_web::test]
async fn of_many_who_redeem_a_code_one_does_and_loses_it_again() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let landing = app.sign_in(&gateway, account, &[]).await;

        let replies = join_all((0..MANY).map(|_| app.redeem(landing.get("code"), &[]))).await;

        let got: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
        assert!(got.len() <= 1, "{:?}", statuses(&replies));
        for refused in replies.iter().filter(|reply| reply.status != 200) {
            assert_eq!((refused.status, refused.error()), (400, "invalid_grant"));
        }
        for reply in got {
            let over = app.caller(&reply.body).mcp(&rpc(1, "tools/list", json!({}))).await;
            assert_eq!(over.status, 401, "somebody else had the code, and the verifier");
        }
        assert_eq!(database.number("SELECT count(*) FROM oauth_grants").await, 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn programs_that_share_a_token_may_refresh_at_once() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let tokens = app.tokens(&gateway, account, &[]).await;

        let replies = join_all((0..MANY).map(|_| app.refresh(&tokens["refresh_token"], &[]))).await;

        assert_eq!(statuses(&replies), [200; MANY]);
        for reply in &replies {
            assert_eq!(app.caller(&reply.body).mcp(&rpc(1, "tools/list", json!({}))).await.status, 200);
        }
        assert!(replies.iter().all(|reply| reply.body["refresh_token"] == replies[0].body["refresh_token"]));
        let successors = join_all(replies.iter().map(|reply| app.refresh(&reply.body["refresh_token"], &[]))).await;
        assert_eq!(statuses(&successors), [200; MANY]);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_token_that_is_given_back_while_it_is_refreshed_is_gone() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let tokens = app.tokens(&gateway, account, &[]).await;
        let refreshes = join_all((0..MANY).map(|_| app.refresh(&tokens["refresh_token"], &[])));
        let (replies, given_back) = join(refreshes, app.revoke(&tokens["access_token"])).await;
        assert_eq!(given_back.status, 200);
        for reply in replies {
            if reply.status == 200 {
                let over = app.caller(&reply.body).mcp(&rpc(1, "tools/list", json!({}))).await;
                assert_eq!(over.status, 401);
            } else {
                assert_eq!((reply.status, reply.error()), (400, "invalid_grant"));
            }
        }
        gateway.stop().await;
    })
    .await;
}
