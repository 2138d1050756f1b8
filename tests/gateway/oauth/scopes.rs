//! What a client asks for, by scope and resource, and what it gets.

use serde_json::{Value, json};

use crate::world::{ClientApp, Gateway, Published, Publisher, Settings, on_each_database, rpc};

const ALL: &str = "ownerrez:read ownerrez:full offline_access";

fn client(more: &Value) -> Value {
    let mut metadata = json!({"client_name": "App", "redirect_uris": ["https://app.example/callback"]});
    for (name, value) in more.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    metadata
}

#[actix_web::test]
async fn unknown_scopes_next_to_known_ones_are_ignored_and_the_granted_ones_are_named() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        for (asked, granted) in [
            ("ownerrez:read openid", "ownerrez:read"),
            ("openid profile ownerrez:full ownerrez:admin", "ownerrez:read ownerrez:full"),
            ("ownerrez:read offline_access mcp:tools", "ownerrez:read offline_access"),
            ("", ALL),
        ] {
            let landing = app.sign_in(&gateway, account, &[("scope", asked)]).await;
            assert_eq!((landing.get("error"), landing.get("scope")), ("", granted), "{asked}");
            let tokens = app.redeem(landing.get("code"), &[]).await.body;
            assert_eq!(tokens["scope"], json!(granted), "{asked}");
            if granted.contains("offline_access") {
                let less = app.refresh(&tokens["refresh_token"], &[("scope", "ownerrez:read openid")]).await;
                assert_eq!((less.status, &less.body["scope"]), (200, &json!("ownerrez:read")), "{asked}");
                let none = app.refresh(&tokens["refresh_token"], &[("scope", "openid")]).await;
                assert_eq!((none.status, none.error()), (400, "invalid_scope"), "{asked}");
            }
        }
        let visitor = crate::world::Person::visitor(&gateway.url);
        for (asked, named) in [
            (json!({}), ALL),
            (json!({"scope": "claudeai"}), ALL),
            (json!({"scope": "ownerrez:read openid"}), "ownerrez:read"),
        ] {
            let reply = visitor.post("/register", &client(&asked)).await;
            assert_eq!((reply.status, &reply.body["scope"]), (201, &json!(named)), "{asked}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_client_that_says_that_it_refreshes_gets_a_refresh_token() {
    on_each_database(async |database| {
        let publisher = Publisher::start(&["client.example"]).await;
        const LISTS: &str = "https://client.example/lists.json";
        const LEAVES_OUT: &str = "https://client.example/leaves-out.json";
        let both = json!(["authorization_code", "refresh_token"]);
        for (url, more) in [(LISTS, json!({"grant_types": both})), (LEAVES_OUT, json!({}))] {
            let mut published = client(&more);
            published["client_id"] = json!(url);
            publisher.publish(url, Published::json(&published));
        }
        let gateway = Gateway::start_with(database, Settings::default().within(publisher.outside())).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = async |grant_types: Value| {
            ClientApp::register_as(&gateway, &client(&json!({"grant_types": grant_types}))).await
        };
        let known = |id: &str| ClientApp::known(&gateway, id, "https://app.example/callback");
        for (app, expected) in [
            (app(both.clone()).await, true),
            (app(json!(["authorization_code"])).await, false),
            (app(Value::Null).await, false),
            (known(LISTS), true),
            (known(LEAVES_OUT), false),
            (ClientApp::known(&gateway, "c_sandbox", "https://claude.ai/api/mcp/auth_callback"), true),
        ] {
            // As clients ask that take the scopes of the challenge or of the resource metadata.
            let tokens = app.tokens(&gateway, account, &[("scope", "ownerrez:read ownerrez:full")]).await;
            assert_eq!(tokens["refresh_token"].is_string(), expected, "{}", app.id);
            let granted = if expected { ALL } else { "ownerrez:read ownerrez:full" };
            assert_eq!(tokens["scope"], json!(granted), "{}", app.id);
            if expected {
                assert_eq!(app.refresh(&tokens["refresh_token"], &[]).await.status, 200);
            }
            let asked = app.tokens(&gateway, account, &[("scope", "ownerrez:read offline_access")]).await;
            assert!(asked["refresh_token"].is_string(), "{}: asked for", app.id);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_origin_means_the_one_resource_here() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        for resource in [gateway.url.clone(), format!("{}/", gateway.url)] {
            let named = [("resource", resource.as_str())];
            let landing = app.sign_in(&gateway, account, &named).await;
            let tokens = app.redeem(landing.get("code"), &named).await;
            assert_eq!(tokens.status, 200, "{resource}: {}", tokens.body);
            let tokens = app.refresh(&tokens.body["refresh_token"], &named).await;
            assert_eq!(tokens.status, 200, "{resource}: {}", tokens.body);
            assert_eq!(app.caller(&tokens.body).mcp(&rpc(1, "tools/list", json!({}))).await.status, 200, "{resource}");
        }
        // A part of it is less than the whole.
        let below = format!("{}/mcp/readonly", gateway.url);
        let narrow = app.tokens(&gateway, account, &[("resource", &below)]).await;
        let more = app.refresh(&narrow["refresh_token"], &[("resource", &gateway.url)]).await;
        assert_eq!((more.status, more.error()), (400, "invalid_target"));
        gateway.stop().await;
    })
    .await;
}
