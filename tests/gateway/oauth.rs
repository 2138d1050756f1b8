//! Signing in with OwnerRez: a client is added by the gateway's address, its user agrees once and approves at OwnerRez,
//! and the client works. Also attacks on each step.

mod at_once;
mod authorize;
mod codes;
mod holders;
mod identity;
mod in_one_browser;
mod odd;
mod others;
mod processes;
mod redirects;
mod refresh;
mod scopes;
mod tokens;

use serde_json::json;

use crate::world::{Browser, ClientApp, Gateway, Landing, Person, Settings, on_each_database, rpc};

#[actix_web::test]
async fn from_the_address_to_an_answer_and_to_the_end() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;

        // The client knows only the address.
        let stranger = Person::visitor(&gateway.url);
        let refused = stranger.mcp(&rpc(1, "tools/list", json!({}))).await;
        assert_eq!(refused.status, 401);
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer ") && !challenge.contains("error="), "{challenge}");
        assert!(challenge.contains(r#"scope="ownerrez:read ownerrez:full""#), "{challenge}");
        let (_, rest) = challenge.split_once(r#"resource_metadata=""#).unwrap();
        let metadata_url = rest.split('"').next().unwrap();
        let path = metadata_url.strip_prefix(&gateway.url).expect("ours");
        let resource = stranger.get(path).await.body;
        assert_eq!(resource["resource"], json!(format!("{}/mcp", gateway.url)));
        assert_eq!(resource["authorization_servers"], json!([gateway.url]));
        let server = stranger.get("/.well-known/oauth-authorization-server").await.body;
        assert_eq!(server["issuer"], json!(gateway.url));

        let app = ClientApp::register(&gateway, "Alice's <b>assistant</b>").await;
        let mut browser = Browser::new();
        let consent = browser.open(&app.authorize_url(&[])).await;
        assert_eq!(consent.status, 200);
        for told in ["&lt;b&gt;assistant", "app.example", "is not verified", "Change", "without asking again"] {
            assert!(consent.body.contains(told), "{told}: {}", consent.body);
        }
        assert!(!consent.body.contains("<b>assistant"), "names are text");
        let policy = consent.header("content-security-policy").unwrap();
        let forms = format!("form-action 'self' {} https://app.example;", gateway.simulator.url());
        assert!(policy.contains(&forms) && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(database.number("SELECT count(*) FROM sign_in_requests").await, 0, "nothing before consent");

        let page = app.approved(&gateway, &mut browser, account, &[]).await;
        let landing = Landing::of(&page, "https://app.example/callback");
        assert_eq!((landing.get("state"), landing.get("iss")), ("state of the client", gateway.url.as_str()));
        let reply = app.redeem(landing.get("code"), &[]).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.body["token_type"], json!("Bearer"));
        assert_eq!(reply.body["expires_in"], json!(3600));
        assert_eq!(reply.body["scope"], json!("ownerrez:read ownerrez:full offline_access"));

        let me = app.caller(&reply.body).call("get_current_user", json!({})).await.ok();
        assert_eq!(me["id"], json!(account.0));
        let renewed = app.refresh(&reply.body["refresh_token"], &[]).await;
        assert_eq!(renewed.status, 200, "{}", renewed.body);
        let caller = app.caller(&renewed.body);
        caller.call("get_current_user", json!({})).await.ok();

        assert_eq!(app.revoke(&renewed.body["refresh_token"]).await.status, 200);
        let over = caller.mcp(&rpc(1, "tools/list", json!({}))).await;
        assert_eq!((over.status, over.error()), (401, "invalid_access_token"));
        assert!(over.header("www-authenticate").unwrap().contains(r#"error="invalid_token""#));
        assert_eq!(app.refresh(&renewed.body["refresh_token"], &[]).await.error(), "invalid_grant");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_operators_own_client_id_goes_on_working() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        for redirect_uri in [
            "https://claude.ai/api/mcp/auth_callback",
            "https://chatgpt.com/connector/oauth/kDmjx77UnKOM",
            "http://127.0.0.1:33418/",
            "cursor://anysphere.cursor-mcp/oauth/callback",
        ] {
            let app = ClientApp::known(&gateway, "c_sandbox", redirect_uri);
            let tokens = app.tokens(&gateway, account, &[]).await;
            app.caller(&tokens).call("get_current_user", json!({})).await.ok();
        }
        assert_eq!(database.number("SELECT count(*) FROM users").await, 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_clients_read_first() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let visitor = Person::visitor(&gateway.url);
        for (path, resource) in [("", "/mcp"), ("/mcp", "/mcp"), ("/mcp/", "/mcp"), ("/mcp/readonly", "/mcp/readonly")]
        {
            let reply = visitor.get(&format!("/.well-known/oauth-protected-resource{path}")).await;
            assert_eq!(reply.status, 200, "{path}");
            assert_eq!(reply.body["resource"], json!(format!("{}{resource}", gateway.url)), "{path}");
            assert_eq!(reply.body["scopes_supported"], json!(["ownerrez:read", "ownerrez:full"]));
            assert_eq!(reply.body["bearer_methods_supported"], json!(["header"]));
        }
        let server = visitor.get("/.well-known/oauth-authorization-server").await.body;
        for (member, path) in [
            ("authorization_endpoint", "/authorize"),
            ("token_endpoint", "/token"),
            ("registration_endpoint", "/register"),
            ("revocation_endpoint", "/revoke"),
        ] {
            assert_eq!(server[member], json!(format!("{}{path}", gateway.url)));
        }
        assert_eq!(server["scopes_supported"], json!(["ownerrez:read", "ownerrez:full", "offline_access"]));
        assert_eq!(server["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(server["response_types_supported"], json!(["code"]));
        assert_eq!(server["grant_types_supported"], json!(["authorization_code", "refresh_token"]));
        assert_eq!(server["token_endpoint_auth_methods_supported"], json!(["none", "private_key_jwt"]));
        for member in ["client_id_metadata_document_supported", "authorization_response_iss_parameter_supported"] {
            assert_eq!(server[member], json!(true));
        }
        // Partial metadata would be worse than none.
        for path in ["/.well-known/openid-configuration", "/.well-known/oauth-protected-resource/api"] {
            assert_eq!(visitor.get(path).await.status, 404, "{path}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn pages_of_any_origin_may_ask_what_goes_by_no_cookie() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let visitor = Person::visitor(&gateway.url);
        let foreign = [("origin", "https://inspector.example")];
        for (method, path) in [
            ("GET", "/.well-known/oauth-protected-resource/mcp"),
            ("GET", "/.well-known/oauth-authorization-server"),
            ("POST", "/token"),
            ("POST", "/register"),
            ("POST", "/revoke"),
        ] {
            let reply = visitor.send(method, path, &foreign, None).await;
            assert_ne!(reply.status, 403, "{path}");
            assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{path}");
            assert_eq!(reply.header("access-control-allow-credentials"), None);
            let before = visitor.send("OPTIONS", path, &foreign, None).await;
            assert_eq!((before.status, before.header("access-control-allow-origin")), (204, Some("*")), "{path}");
            assert_eq!(before.header("access-control-allow-methods"), Some(method));
        }
        for path in ["/authorize", "/authorize/continue", "/api/users/register", "/mcp"] {
            let reply = visitor.send("POST", path, &foreign, None).await;
            assert_eq!((reply.status, reply.header("access-control-allow-origin")), (403, None), "{path}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_address_registers_so_many_clients_within_an_hour() {
    on_each_database(async |database| {
        let few = Settings::default().tune(|config| config.oauth.registrations_per_hour_and_address = 2);
        let gateway = Gateway::start_with(database, few).await;
        let visitor = Person::visitor(&gateway.url);
        let metadata = json!({"redirect_uris": ["https://app.example/callback"]});
        for status in [201, 201, 429] {
            let reply = visitor.post("/register", &metadata).await;
            assert_eq!(
                (reply.status, reply.header("retry-after").is_some()),
                (status, status == 429),
                "{}",
                reply.body
            );
        }
        gateway.advance(chrono::TimeDelta::hours(1));
        assert_eq!(visitor.post("/register", &metadata).await.status, 201);
        let bad = visitor.post("/register", &json!({"redirect_uris": ["http://app.example/callback"]})).await;
        assert_eq!((bad.status, bad.error()), (400, "invalid_redirect_uri"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn without_an_ownerrez_app_there_is_no_signing_in() {
    on_each_database(async |database| {
        let settings = Settings::default().set("OWNERREZ_CLIENT_ID", "").set("OWNERREZ_CLIENT_SECRET", "");
        let gateway = Gateway::start_with(database, settings).await;
        let visitor = Person::visitor(&gateway.url);
        for path in [
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource/mcp",
            "/.well-known/oauth-authorization-server",
            "/authorize",
            "/token",
            "/register",
            "/revoke",
        ] {
            assert_eq!(visitor.get(path).await.status, 404, "{path}");
        }
        let refused = visitor.mcp(&rpc(1, "tools/list", json!({}))).await;
        assert_eq!(refused.status, 401);
        assert!(!refused.header("www-authenticate").unwrap().contains("resource_metadata"));
        let token = visitor.with_key("ownerrez_at_x.y", "").mcp(&rpc(1, "tools/list", json!({}))).await;
        assert_eq!(token.status, 401);
        gateway.stop().await;
    })
    .await;
}
