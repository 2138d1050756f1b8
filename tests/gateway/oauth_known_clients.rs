//! The complete request sequences of today's clients, from the metadata to a revoked token: ChatGPT, Claude, Claude
//! Code, Cursor and VS Code, with their published documents and with registration.

use chrono::TimeDelta;
use ownerrez_gateway::{domain::Clock, oauth::clients::ASSERTION_TYPE};
use serde_json::{Value, json};

use crate::{
    oauth_clients::signer::Signer,
    world::{ClientApp, Gateway, Person, Published, Publisher, Settings, on_each_database, rpc},
};

/// The scope of a client that takes the scopes of the challenge or of the resource metadata.
const ASKED: &str = "ownerrez:read ownerrez:full";
/// The granted scope, because the client lists the grant type `refresh_token`.
const ALL: &str = "ownerrez:read ownerrez:full offline_access";
const CHATGPT_KEYS: &str = "https://chatgpt.com/oauth/jwks.json";

/// How a client gets its id.
enum By {
    /// The URL of a document (CIMD).
    Document(&'static str),
    /// RFC 7591.
    Registration,
}

/// One client and its particular behavior.
struct Known {
    by: By,
    metadata: Value,
    /// The redirect URI that it uses.
    redirect_uri: &'static str,
    /// The requested scope; empty if it omits `scope`.
    scope: &'static str,
    /// Whether it sends `resource` (RFC 8707), also with the code.
    names_resource: bool,
}

fn document(url: &'static str, metadata: Value, redirect_uri: &'static str) -> Known {
    Known { by: By::Document(url), metadata, redirect_uri, scope: ASKED, names_resource: true }
}

fn registration(metadata: Value, redirect_uri: &'static str) -> Known {
    Known { by: By::Registration, metadata, redirect_uri, scope: ASKED, names_resource: true }
}

fn todays_clients() -> Vec<Known> {
    let both = json!(["authorization_code", "refresh_token"]);
    let cursor = [
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "http://localhost:8787/callback",
    ];
    let of_cursor = json!({"client_name": "Cursor", "redirect_uris": cursor, "grant_types": both,
        "response_types": ["code"], "token_endpoint_auth_method": "none"});
    let of_vs_code = json!({"client_name": "Visual Studio Code", "client_uri": "https://code.visualstudio.com",
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"], "application_type": "native", "token_endpoint_auth_method": "none",
        "redirect_uris": ["https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect", "http://127.0.0.1/",
            "http://127.0.0.1:33418/"]});
    let mut clients = vec![
        document(
            "https://chatgpt.com/oauth/kDmjx77UnKOM/client.json",
            json!({"client_name": "ChatGPT", "client_uri": "https://chatgpt.com/",
                "redirect_uris": ["https://chatgpt.com/connector/oauth/kDmjx77UnKOM"], "grant_types": both,
                "response_types": ["code"], "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_signing_alg": "RS256", "jwks_uri": CHATGPT_KEYS}),
            "https://chatgpt.com/connector/oauth/kDmjx77UnKOM",
        ),
        document(
            "https://claude.ai/oauth/mcp-oauth-client-metadata",
            json!({"client_name": "Claude", "client_uri": "https://claude.ai", "grant_types": both,
                "redirect_uris": ["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"],
                "response_types": ["code"], "token_endpoint_auth_method": "none"}),
            "https://claude.ai/api/mcp/auth_callback",
        ),
        document(
            "https://claude.ai/oauth/claude-code-client-metadata",
            json!({"client_name": "Claude Code", "client_uri": "https://claude.ai", "grant_types": both,
                "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
                "response_types": ["code"], "token_endpoint_auth_method": "none"}),
            "http://localhost:54212/callback",
        ),
        document("https://vscode.dev/oauth/client-metadata.json", of_vs_code.clone(), "http://127.0.0.1:33418/"),
        registration(
            json!({"client_name": "ChatGPT", "redirect_uris": ["https://chatgpt.com/connector_platform_oauth_redirect"],
                "grant_types": both, "response_types": ["code"], "token_endpoint_auth_method": "client_secret_post"}),
            "https://chatgpt.com/connector_platform_oauth_redirect",
        ),
        registration(
            json!({"client_name": "Claude", "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
                "grant_types": both, "response_types": ["code"], "scope": "claudeai",
                "token_endpoint_auth_method": "client_secret_post"}),
            "https://claude.ai/api/mcp/auth_callback",
        ),
        registration(
            json!({"client_name": "Claude Code (ownerrez)", "redirect_uris": ["http://localhost:54212/callback"],
                "grant_types": both, "response_types": ["code"], "application_type": "native",
                "token_endpoint_auth_method": "none"}),
            "http://localhost:61034/callback",
        ),
    ];
    let of_app = |name: &str, uri: &'static str| {
        json!({"client_name": name, "redirect_uris": [uri], "grant_types": both, "response_types": ["code"],
            "token_endpoint_auth_method": "none"})
    };
    for (name, uri) in [("Claude", "claude://claude.ai/mcp-auth-callback/sdk"), ("Warp", "warp://mcp/oauth2callback")] {
        // Warp omits the resource.
        clients.push(Known { names_resource: name == "Claude", ..registration(of_app(name, uri), uri) });
    }
    clients.extend(cursor.map(|used| Known { names_resource: false, ..registration(of_cursor.clone(), used) }));
    clients.extend(["https://vscode.dev/redirect", "http://127.0.0.1:52011/"].map(|used| Known {
        names_resource: false,
        scope: "",
        ..registration(of_vs_code.clone(), used)
    }));
    clients
}

/// Returns the client authentication for requests without a browser: none, or a new assertion (RFC 7523).
fn proof(gateway: &Gateway, client: &Known, signer: &Signer) -> Option<String> {
    let By::Document(id) = client.by else { return None };
    if client.metadata["token_endpoint_auth_method"] != "private_key_jwt" {
        return None;
    }
    let now = gateway.clock.now().timestamp();
    let claims = json!({"iss": id, "sub": id, "aud": format!("{}/token", gateway.url), "iat": now, "exp": now + 300,
        "jti": uuid::Uuid::new_v4().to_string()});
    Some(signer.sign(&json!({"alg": "RS256", "kid": "one", "typ": "JWT"}), &claims))
}

fn with<'a>(proof: Option<&'a str>, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let proof = proof.map(|assertion| [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)]);
    proof.into_iter().flatten().chain(more.iter().copied()).collect()
}

/// Performs the discovery that every client starts with: from the 401 to the endpoints.
async fn discovered(gateway: &Gateway) -> Value {
    let stranger = Person::visitor(&gateway.url);
    let refused = stranger.mcp(&rpc(1, "initialize", json!({}))).await;
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate").unwrap();
    let (_, rest) = challenge.split_once(r#"resource_metadata=""#).unwrap();
    let path = rest.split('"').next().unwrap().strip_prefix(&gateway.url).expect("ours").to_owned();
    let resource = stranger.get(&path).await.body;
    assert_eq!(resource["resource"], json!(format!("{}/mcp", gateway.url)));
    let server = resource["authorization_servers"][0].as_str().unwrap().strip_prefix(&gateway.url).expect("ours");
    stranger.get(&format!("{server}/.well-known/oauth-authorization-server")).await.body
}

async fn id_of(gateway: &Gateway, client: &Known, server: &Value) -> String {
    match client.by {
        By::Document(url) => {
            // Claude uses its document only if both are there.
            assert_eq!(server["client_id_metadata_document_supported"], json!(true));
            assert!(server["token_endpoint_auth_methods_supported"].as_array().unwrap().contains(&json!("none")));
            url.to_owned()
        }
        By::Registration => {
            let path = server["registration_endpoint"].as_str().unwrap().strip_prefix(&gateway.url).unwrap();
            let reply = Person::visitor(&gateway.url).post(path, &client.metadata).await;
            assert_eq!(reply.status, 201, "{}", reply.body);
            assert_eq!(reply.body["redirect_uris"], client.metadata["redirect_uris"], "one lost is all lost");
            assert_eq!(reply.body["token_endpoint_auth_method"], json!("none"), "there are no secrets");
            reply.body["client_id"].as_str().unwrap().to_owned()
        }
    }
}

#[actix_web::test]
async fn todays_clients_get_in_by_the_requests_that_they_send() {
    on_each_database(async |database| {
        let signer = Signer::rs256();
        let publisher = Publisher::start(&["chatgpt.com", "claude.ai", "vscode.dev"]).await;
        publisher.publish(CHATGPT_KEYS, Published::json(&signer.jwks("one")));
        let gateway = Gateway::start_with(database, Settings::default().with_egress(publisher.egress())).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        for client in todays_clients() {
            let name = format!("{} by {}", client.metadata["client_name"], client.redirect_uri);
            if let By::Document(url) = client.by {
                let mut published = client.metadata.clone();
                published["client_id"] = json!(url);
                publisher.publish(url, Published::json(&published));
            }

            let server = discovered(&gateway).await;
            let app = ClientApp::known(&gateway, &id_of(&gateway, &client, &server).await, client.redirect_uri);
            let resource = format!("{}/mcp", gateway.url);
            let named = if client.names_resource { resource.as_str() } else { "" };
            let asked = [("scope", client.scope), ("resource", named)];
            let landing = app.sign_in(&gateway, account, &asked).await;
            assert_eq!((landing.get("error"), landing.get("iss")), ("", gateway.url.as_str()), "{name}");

            if proof(&gateway, &client, &signer).is_some() {
                let bare = app.redeem(landing.get("code"), &[]).await;
                assert_eq!((bare.status, bare.error()), (401, "invalid_client"), "{name}: anybody knows its id");
            }
            let shown = proof(&gateway, &client, &signer);
            let reply = app.redeem(landing.get("code"), &with(shown.as_deref(), &[("resource", named)])).await;
            assert_eq!(reply.status, 200, "{name}: {}", reply.body);
            assert_eq!(reply.body["scope"], json!(ALL), "{name}");
            let me = app.caller(&reply.body).call("get_current_user", json!({})).await.ok();
            assert_eq!(me["id"], json!(account.0), "{name}");

            gateway.advance(TimeDelta::minutes(61));
            let over = app.caller(&reply.body).mcp(&rpc(1, "tools/list", json!({}))).await;
            assert_eq!(over.status, 401, "{name}");
            let shown = proof(&gateway, &client, &signer);
            let renewed =
                app.refresh(&reply.body["refresh_token"], &with(shown.as_deref(), &[("resource", named)])).await;
            assert_eq!(renewed.status, 200, "{name}: {}", renewed.body);
            let caller = app.caller(&renewed.body);
            caller.call("get_current_user", json!({})).await.ok();

            let shown = proof(&gateway, &client, &signer);
            let given_back = app.revoke_with(&renewed.body["refresh_token"], &with(shown.as_deref(), &[])).await;
            assert_eq!(given_back.status, 200, "{name}: {}", given_back.body);
            assert_eq!(caller.mcp(&rpc(1, "tools/list", json!({}))).await.status, 401, "{name}");
        }
        gateway.stop().await;
    })
    .await;
}

/// ChatGPT's other document also offers `none`. If the code was redeemed with a signature, all later requests need one.
#[actix_web::test]
async fn who_may_sign_or_not_is_held_to_what_it_began_with() {
    on_each_database(async |database| {
        let signer = Signer::rs256();
        let publisher = Publisher::start(&["chatgpt.com"]).await;
        publisher.publish(CHATGPT_KEYS, Published::json(&signer.jwks("one")));
        const ID: &str = "https://chatgpt.com/oauth/client.json";
        let redirect_uri = "https://chatgpt.com/connector_platform_oauth_redirect";
        let client = document(
            ID,
            json!({"client_id": ID, "client_name": "ChatGPT", "redirect_uris": [redirect_uri],
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
                "token_endpoint_auth_signing_alg": "RS256", "jwks_uri": CHATGPT_KEYS}),
            redirect_uri,
        );
        publisher.publish(ID, Published::json(&client.metadata));
        let gateway = Gateway::start_with(database, Settings::default().with_egress(publisher.egress())).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::known(&gateway, ID, redirect_uri);

        let bare = app.tokens(&gateway, account, &[]).await;
        let shown = proof(&gateway, &client, &signer);
        let landing = app.sign_in(&gateway, account, &[]).await;
        let signed = app.redeem(landing.get("code"), &with(shown.as_deref(), &[])).await.body;

        assert_eq!(app.refresh(&bare["refresh_token"], &[]).await.status, 200, "it never signed");
        for refusal in [app.refresh(&signed["refresh_token"], &[]).await, app.revoke(&signed["access_token"]).await] {
            assert_eq!((refusal.status, refusal.error()), (401, "invalid_client"), "{}", refusal.body);
        }
        app.caller(&signed).call("get_current_user", json!({})).await.ok();
        let shown = proof(&gateway, &client, &signer);
        let renewed = app.refresh(&signed["refresh_token"], &with(shown.as_deref(), &[])).await;
        assert_eq!(renewed.status, 200, "nothing was used up: {}", renewed.body);
        gateway.stop().await;
    })
    .await;
}
