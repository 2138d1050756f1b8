//! The scope and resource that a client requests, and what it gets.

use serde_json::{Value, json};

use crate::world::{Browser, ClientApp, Gateway, Person, Published, Publisher, Settings, on_each_database, rpc};

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
        let visitor = Person::visitor(&gateway.url);
        for (asked, named) in [
            (json!({}), "ownerrez:read ownerrez:full"),
            (json!({"scope": "claudeai"}), "ownerrez:read ownerrez:full"),
            (json!({"scope": "claudeai", "grant_types": ["authorization_code", "refresh_token"]}), ALL),
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
        let gateway = Gateway::start_with(database, Settings::default().with_egress(publisher.egress())).await;
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
            // Requested by clients that take the scopes of the challenge or of the resource metadata.
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
async fn the_answer_to_a_registration_is_what_the_client_then_gets() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let visitor = Person::visitor(&gateway.url);
        let both = json!(["authorization_code", "refresh_token"]);
        for (asked, grant_types) in [
            (json!({}), json!(["authorization_code"])),
            (json!({"grant_types": []}), json!(["authorization_code"])),
            (json!({"grant_types": ["authorization_code", "client_credentials"]}), json!(["authorization_code"])),
            (json!({"grant_types": both}), both.clone()),
            (json!({"scope": "ownerrez:read offline_access"}), both.clone()),
            (json!({"scope": "ownerrez:read", "grant_types": both}), both.clone()),
        ] {
            let registered = visitor.post("/register", &client(&asked)).await.body;
            assert_eq!(registered["grant_types"], grant_types, "{asked}");
            let text = |name: &str| registered[name].as_str().unwrap();
            let app = ClientApp::known(&gateway, text("client_id"), "https://app.example/callback");
            let tokens = app.tokens(&gateway, account, &[("scope", text("scope"))]).await;
            assert_eq!(tokens["scope"], registered["scope"], "{asked}");
            assert_eq!(tokens["refresh_token"].is_string(), grant_types == both, "{asked}");
        }
        let refused = visitor.post("/register", &client(&json!({"grant_types": ["refresh_token"]}))).await;
        assert_eq!((refused.status, refused.error()), (400, "invalid_client_metadata"));
        let words = refused.body["error_description"].as_str().unwrap();
        assert!(words.contains("without authorization_code"), "{words}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_resource_that_asks_for_reading_only_gives_tokens_that_only_read() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let read_only = format!("{}/mcp?readonly=true", gateway.url);
        let guest = json!({"first_name": "Ada", "last_name": "Story"});

        let mut browser = Browser::new();
        let page = browser.open(&app.authorize_url(&[("resource", &read_only)])).await;
        assert!(!page.body.contains("Change"), "the person is asked for reading: {}", page.body);
        let tokens = app.tokens(&gateway, account, &[("resource", &read_only)]).await;
        assert_eq!(tokens["scope"], json!("ownerrez:read offline_access"));
        let caller = app.caller(&tokens);
        caller.call("get_current_user", json!({})).await.ok();
        assert!(!caller.call("create_guest", guest.clone()).await.is_ok(), "at /mcp without a query");
        let wider = app.refresh(&tokens["refresh_token"], &[("scope", "ownerrez:full")]).await;
        assert_eq!((wider.status, wider.error()), (400, "invalid_scope"));

        // A full grant can also issue such a token.
        let all = app.tokens(&gateway, account, &[]).await;
        let other_spelling = format!("{}/mcp?read_only", gateway.url);
        let less = app.refresh(&all["refresh_token"], &[("resource", &other_spelling)]).await.body;
        assert_eq!(less["scope"], json!("ownerrez:read offline_access"));
        assert!(!app.caller(&less).call("create_guest", guest.clone()).await.is_ok());
        let resource = format!("{}/mcp?toolsets=guests", gateway.url);
        let again = app.refresh(&less["refresh_token"], &[("resource", &resource)]).await.body;
        app.caller(&again).call("create_guest", guest).await.ok();
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
        // A part of the resource is narrower than the whole.
        let below = format!("{}/mcp/readonly", gateway.url);
        let narrow = app.tokens(&gateway, account, &[("resource", &below)]).await;
        let more = app.refresh(&narrow["refresh_token"], &[("resource", &gateway.url)]).await;
        assert_eq!((more.status, more.error()), (400, "invalid_target"));
        gateway.stop().await;
    })
    .await;
}
