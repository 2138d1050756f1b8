//! Redirects of a browser after an error: only to clients that the operator configured, or after the user has declined.

use serde_json::json;

use crate::world::{Browser, ClientApp, Gateway, Landing, Published, Publisher, Settings, on_each_database};

/// Returns invalid requests whose client and redirect URI are valid.
fn wrong_requests(gateway: &Gateway) -> Vec<(&'static str, String, &'static str)> {
    let plain = [
        ("response_type", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_mode", "fragment", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("scope", "openid", "invalid_scope"),
        ("resource", "https://evil.example/mcp", "invalid_target"),
        ("resource", "not a url", "invalid_target"),
    ];
    let own = [("resource", format!("{}/api", gateway.url), "invalid_target")];
    plain.into_iter().map(|(name, value, error)| (name, value.to_owned(), error)).chain(own).collect()
}

#[actix_web::test]
async fn a_client_that_registered_itself_never_moves_a_browser_by_an_error() {
    on_each_database(async |database| {
        let publisher = Publisher::start(&["client.example"]).await;
        const DOCUMENT: &str = "https://client.example/client.json";
        let published = json!({"client_id": DOCUMENT, "redirect_uris": ["https://phish.example/cb?x=1"]});
        publisher.publish(DOCUMENT, Published::json(&published));
        let gateway = Gateway::start_with(database, Settings::default().with_egress(publisher.egress())).await;
        for (app, named) in [
            (ClientApp::register_with(&gateway, "App", "https://phish.example/login").await, "phish.example"),
            (ClientApp::known(&gateway, DOCUMENT, "https://phish.example/cb?x=1"), "phish.example"),
            (ClientApp::register_with(&gateway, "App", "http://127.0.0.1:7/cb").await, "the program on this computer"),
            (
                ClientApp::register_with(&gateway, "App", "cursor://anysphere.cursor-mcp/oauth/callback").await,
                "the app that opens cursor: links",
            ),
        ] {
            let mut requests: Vec<(String, &str)> = wrong_requests(&gateway)
                .into_iter()
                .map(|(name, value, error)| (app.authorize_url(&[(name, value.as_str())]), error))
                .collect();
            let good = app.authorize_url(&[]);
            requests.push((format!("{good}&scope=ownerrez:read&scope=ownerrez:full"), "invalid_request"));
            requests.push((format!("{good}&resource=https%3A%2F%2Fevil.example%2Fmcp"), "invalid_target"));
            for (request, error) in requests {
                let page = Browser::new().open(&request).await;
                assert_eq!((page.status, page.header("location"), page.header("refresh")), (400, None, None));
                assert!(page.body.contains(&format!(">Send the error to {named}</a>")), "{}", page.body);
                let landing = Landing::offered(&page, &app.redirect_uri);
                assert_eq!(landing.get("error"), error, "{request}");
                assert!(!landing.get("error_description").is_empty());
                assert_eq!((landing.get("state"), landing.get("iss")), ("state of the client", gateway.url.as_str()));
                // The same request, submitted as if it came from the consent page.
                let query = request.split_once('?').unwrap().1;
                let sent = [("request", query), ("csrf", "x"), ("decision", "allow")];
                let page = Browser::new().submit(&format!("{}/authorize", gateway.url), &sent).await;
                assert_eq!((page.status, page.header("location")), (400, None), "{request}");
            }
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_client_that_the_operator_named_gets_the_error_at_once() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let app = ClientApp::known(&gateway, "c_sandbox", "https://claude.ai/api/mcp/auth_callback");
        for (name, value, error) in wrong_requests(&gateway) {
            let page = Browser::new().open(&app.authorize_url(&[(name, &value)])).await;
            let landing = Landing::of(&page, &app.redirect_uri);
            assert_eq!(landing.get("error"), error, "{name}={value}");
            assert_eq!((landing.get("state"), landing.get("iss")), ("state of the client", gateway.url.as_str()));
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn no_answer_is_sent_to_the_gateway_itself() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let port = gateway.app().address().port();
        let own = [format!("http://127.0.0.1:{port}/account"), format!("http://localhost:{port}/account")];
        let visitor = crate::world::Person::visitor(&gateway.url);
        for uri in &own {
            let reply = visitor.post("/register", &json!({"redirect_uris": [uri]})).await;
            assert_eq!((reply.status, reply.error()), (400, "invalid_redirect_uri"), "{uri}");
            assert!(
                reply.body["error_description"].as_str().unwrap().contains("this gateway itself"),
                "{}",
                reply.body
            );
        }
        // On loopback the port may differ from the registered one, so the request is shown.
        for (registered, asked) in ["http://127.0.0.1:1/account", "http://localhost:1/account"].iter().zip(&own) {
            let app = ClientApp::register_with(&gateway, "App", registered).await;
            let page = Browser::new().open(&app.authorize_url(&[("redirect_uri", asked)])).await;
            assert_eq!((page.status, page.header("location")), (400, None), "{asked}");
            assert!(!page.body.contains("<a "), "{}", page.body);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn without_client_documents_the_other_ways_remain() {
    on_each_database(async |database| {
        let publisher = Publisher::start(&["client.example"]).await;
        const DOCUMENT: &str = "https://client.example/client.json";
        let redirect_uri = "https://client.example/cb";
        let published = json!({"client_id": DOCUMENT, "redirect_uris": [redirect_uri]});
        publisher.publish(DOCUMENT, Published::json(&published));
        let settings = Settings::default().with_egress(publisher.egress()).set("CLIENT_DOCUMENTS", "false");
        let gateway = Gateway::start_with(database, settings).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let visitor = crate::world::Person::visitor(&gateway.url);
        let server = visitor.get("/.well-known/oauth-authorization-server").await.body;
        assert_eq!(server["client_id_metadata_document_supported"], json!(false));
        assert!(server["registration_endpoint"].is_string());

        let app = ClientApp::known(&gateway, DOCUMENT, redirect_uri);
        let page = Browser::new().open(&app.authorize_url(&[])).await;
        assert_eq!((page.status, page.header("location")), (400, None));
        assert!(
            page.body.contains("oauth.client_documents") && page.body.contains("register dynamically"),
            "{}",
            page.body
        );
        let refused = app.redeem("ownerrez_ac_x", &[]).await;
        assert_eq!((refused.status, refused.error()), (401, "invalid_client"));
        assert_eq!(publisher.connections(), 0, "nothing was fetched");

        let named = ClientApp::known(&gateway, "c_sandbox", "https://claude.ai/api/mcp/auth_callback");
        for app in [ClientApp::register(&gateway, "App").await, named] {
            app.tokens(&gateway, account, &[]).await;
        }
        gateway.stop().await;
    })
    .await;
}
