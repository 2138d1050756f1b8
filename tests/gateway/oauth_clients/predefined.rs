//! Clients that the operator configured, and the one from the predecessor's configuration.

use ownerrez_gateway::{
    config::{Config, OwnerRezClient, PredefinedClient},
    domain::{RedirectDestination, RedirectUri},
    oauth::clients::{ClientAuthentication, ClientErrorCode, ClientKind, PresentedClient},
};

use super::{ClientsFixture, FixtureSettings, place};
use crate::world::{TestDatabase, on_each_database};

fn with_app(config: &mut Config) {
    config.ownerrez.client = Some(OwnerRezClient { id: "c_operator".to_owned(), secret: "s_secret".into() });
}

#[actix_web::test]
async fn the_operators_own_client_id_is_a_public_client_of_todays_clients() {
    on_each_database(async |database: &TestDatabase| {
        let fixture =
            ClientsFixture::open_with(database, FixtureSettings { tune: with_app, ..FixtureSettings::default() }).await;

        let client = fixture.clients.find("c_operator").await.unwrap();

        assert_eq!(client.kind, ClientKind::Predefined);
        assert!(matches!(client.authentication, ClientAuthentication::None) && !client.is_loopback_only());
        for uri in [
            "https://chatgpt.com/connector/oauth/kDmjx77UnKOM",
            "https://chatgpt.com/connector_platform_oauth_redirect",
            "https://claude.ai/api/mcp/auth_callback",
            "https://claude.com/api/mcp/auth_callback",
            "http://localhost:54545/callback",
            "http://127.0.0.1:54545/callback",
            "claude://claude.ai/mcp-auth-callback/sdk",
            "warp://mcp/oauth2callback",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
            "http://localhost:8787/callback",
            "http://127.0.0.1:33418/",
            "http://127.0.0.1:33418",
            "http://127.0.0.1/",
            "https://vscode.dev/redirect",
            "https://insiders.vscode.dev/redirect",
        ] {
            assert!(place(&client, uri).is_some(), "{uri}");
        }
        for uri in [
            "https://chatgpt.com/connector/oauth/{id}",
            "https://chatgpt.com/connector/oauth/",
            "https://chatgpt.com/connector/oauth/a/b",
            "https://chatgpt.com/connector/oauth/..%2f..%2fg%2fevil",
            "https://chatgpt.com@evil.example/connector/oauth/a",
            "https://chatgpt.com.evil.example/connector/oauth/a",
            "https://claude.ai/api/mcp/auth_callback/",
            "https://claude.ai:444/api/mcp/auth_callback",
            "http://claude.ai/api/mcp/auth_callback",
            "https://evil.example/callback",
            "cursor://evil/oauth/callback",
        ] {
            assert_eq!(place(&client, uri), None, "{uri}");
        }
        assert_eq!(
            place(&client, "https://chatgpt.com/connector/oauth/a"),
            Some(RedirectDestination::Web { host: "chatgpt.com".to_owned() })
        );
        assert!(!fixture.clients.authenticate(&client, &PresentedClient::None, &[]).await.unwrap());
        assert!(!fixture.clients.delete("c_operator").await.unwrap(), "the operator's are not deleted by anybody");
    })
    .await;
}

#[actix_web::test]
async fn without_an_app_of_the_operators_there_is_no_such_client() {
    on_each_database(async |database: &TestDatabase| {
        let fixture = ClientsFixture::open(database).await;
        assert_eq!(fixture.refused_as("c_operator").await, ClientErrorCode::InvalidClient);
    })
    .await;
}

#[actix_web::test]
async fn what_the_operator_wrote_down_counts() {
    on_each_database(async |database: &TestDatabase| {
        let tune = |config: &mut Config| {
            with_app(config);
            let uri = RedirectUri::configured("myapp://callback").unwrap();
            let client = |id: &str| PredefinedClient {
                id: id.to_owned(),
                name: format!("My {id}"),
                redirect_uris: vec![uri.clone()],
                jwks_uri: None,
            };
            config.oauth_clients.predefined = vec![client("app"), client("c_operator")];
        };
        let fixture = ClientsFixture::open_with(database, FixtureSettings { tune, ..FixtureSettings::default() }).await;
        let client = fixture.clients.find("app").await.unwrap();
        assert_eq!((client.name.as_str(), client.kind), ("My app", ClientKind::Predefined));
        assert_eq!(place(&client, "myapp://callback"), Some(RedirectDestination::App { scheme: "myapp".to_owned() }));
        let own = fixture.clients.find("c_operator").await.unwrap();
        assert_eq!(place(&own, "https://claude.ai/api/mcp/auth_callback"), None);
        assert!(place(&own, "myapp://callback").is_some());
    })
    .await;
}
