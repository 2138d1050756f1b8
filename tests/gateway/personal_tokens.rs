//! Connecting with a personal access token of OwnerRez instead of the browser.

use chrono::TimeDelta;
use ownerrez_gateway::simulator::Rule;
use serde_json::{Value, json};

use crate::world::{Gateway, Person, Reply, Settings, on_each_database};

const PATH: &str = "/api/connect/ownerrez/token";

/// Returns the credentials that the owner of a new account sends.
fn credentials(gateway: &Gateway, name: &str) -> Value {
    let account = gateway.ownerrez().add_account(name);
    json!({"email": account.email, "token": account.personal_access_token})
}

async fn connect(person: &Person, with: &Value) -> Reply {
    person.post(PATH, with).await
}

#[actix_web::test]
async fn a_personal_token_connects_and_is_used_as_such() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let with = credentials(&gateway, "Alice");
        let connected = connect(&alice, &with).await;
        assert_eq!(connected.status, 200, "{}", connected.body);
        let status = alice.get("/api/connect/ownerrez/status").await.body;
        assert_eq!((&status["connected"], &status["expires_at"]), (&json!(true), &json!(null)));
        assert_eq!(status["ownerrez_user_id"], connected.body["ownerrez_user_id"]);
        let me = alice.call("get_current_user", json!({})).await.ok();
        assert_eq!(me["id"], connected.body["ownerrez_user_id"]);
        assert_eq!(connect(&alice, &with).await.error(), "already_connected");

        let token = with["token"].as_str().unwrap();
        let plain = format!("SELECT count(*) FROM ownerrez_connections WHERE access_token LIKE '%{token}%'");
        assert_eq!(database.number(&plain).await, 0);
        let kind = "SELECT count(*) FROM ownerrez_connections WHERE token_type = 'basic' AND renew_at IS NULL";
        assert_eq!(database.number(kind).await, 1);

        let gateway = gateway.restart().await;
        let alice = alice.at(&gateway.url);
        alice.call("list_properties", json!({})).await.ok();
        let gone = alice.delete("/api/connect/ownerrez").await;
        assert_eq!((gone.status, &gone.body["disconnected"]), (200, &json!(true)));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count("DELETE /oauth/access_token/{token}"), 0, "only its owner can end it");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_token_that_ownerrez_refuses_is_not_stored() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let mut with = credentials(&gateway, "Alice");
        with["token"] = json!("pt_wrong");
        let refused = connect(&alice, &with).await;
        assert_eq!((refused.status, refused.error()), (422, "personal_token_refused"));
        assert!(!refused.body.to_string().contains("pt_wrong"));
        gateway.ownerrez().script(Rule::on("GET /v2/users/me").reply(503, json!({})));
        let trouble = connect(&alice, &credentials(&gateway, "Alice")).await;
        assert_eq!((trouble.status, trouble.error()), (502, "ownerrez_unavailable"));
        assert_eq!(database.number("SELECT count(*) FROM ownerrez_connections").await, 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn nonsense_costs_no_request() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        for (email, token) in [
            ("", "pt_x"),
            ("alice", "pt_x"),
            ("al:ice@example.com", "pt_x"),
            ("alice@example.com\r\nx: y", "pt_x"),
            ("alice@example.com", ""),
            ("alice@example.com", "at_x"),
            ("alice@example.com", "pt_x y"),
            ("alice@example.com", "pt_ü"),
        ] {
            let refused = connect(&alice, &json!({"email": email, "token": token})).await;
            assert_eq!((refused.status, refused.error()), (400, "invalid_request"), "{email:?} {token:?}");
        }
        for body in [json!({}), json!({"email": "a@b.example"}), json!({"email": 1, "token": 2})] {
            assert_eq!(connect(&alice, &body).await.status, 400);
        }
        assert_eq!(gateway.ownerrez().count("* /*"), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_third_account_is_refused_in_ownerrezs_words() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        for name in ["Alice", "Bob"] {
            let person = gateway.user(name).await;
            assert_eq!(connect(&person, &credentials(&gateway, name)).await.status, 200);
        }
        let carol = gateway.user("Carol").await;
        let with = credentials(&gateway, "Carol");
        let refused = connect(&carol, &with).await;
        assert_eq!((refused.status, refused.error()), (422, "personal_token_refused"));
        let told = refused.body.to_string();
        assert!(told.contains("at most 2 accounts") && told.contains("start"), "{told}");
        gateway.advance(TimeDelta::hours(25));
        assert_eq!(connect(&carol, &with).await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_token_that_its_owner_deleted_asks_for_a_new_connection() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let with = credentials(&gateway, "Alice");
        connect(&alice, &with).await;
        gateway.advance(TimeDelta::minutes(5));
        gateway.ownerrez().script(Rule::on("* /v2/*").reply(401, json!({"code": "invalid_token"})));
        let text = alice.call("list_properties", json!({})).await.refused();
        assert!(text.contains("OwnerRez ended the connection"), "{text}");
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.body["needs_reconnect"], json!(true));
        assert_eq!(connect(&alice, &with).await.status, 200, "a new one takes its place");
        alice.call("list_properties", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn where_others_reach_the_gateway_the_operator_must_allow_it() {
    on_each_database(async |database| {
        let open = || Settings::default().set("BIND", "0.0.0.0").set("SERVER_URL", "http://localhost:8080");
        let gateway = Gateway::start_with(database, open()).await;
        let url = format!("http://127.0.0.1:{}", gateway.app().address().port());
        let alice = gateway.user_at("Alice", &url).await;
        let with = credentials(&gateway, "Alice");
        let refused = connect(&alice, &with).await;
        assert_eq!((refused.status, refused.error()), (403, "personal_tokens_not_allowed"));
        assert_eq!(gateway.ownerrez().count("* /*"), 0);
        gateway.stop().await;

        let allowed = Gateway::start_with(database, open().set("ALLOW_PERSONAL_TOKENS", "true")).await;
        let url = format!("http://127.0.0.1:{}", allowed.app().address().port());
        assert_eq!(connect(&alice.at(&url), &credentials(&allowed, "Alice")).await.status, 200);
        allowed.stop().await;
    })
    .await;
}
