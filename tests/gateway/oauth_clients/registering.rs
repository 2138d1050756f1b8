//! Dynamic Client Registration: the requests of today's clients, the responses, and the registered clients.

use chrono::TimeDelta;
use ownerrez_gateway::oauth::clients::{
    ClientAuthentication, ClientError, ClientErrorCode, ClientKind, RedirectProblem,
};
use serde_json::{Value, json};

use super::{ClientsFixture, FixtureSettings, place, signer::Signer};
use crate::world::{Gateway, TestDatabase, on_each_database};

const CURSOR: [&str; 3] = [
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "https://www.cursor.com/agents/mcp/oauth/callback",
    "http://localhost:8787/callback",
];

fn register(fixture: &ClientsFixture, metadata: &Value) -> Value {
    let registered = fixture.clients.register(metadata).unwrap_or_else(|error| panic!("{metadata}: {error}"));
    serde_json::to_value(registered).unwrap()
}

fn client_id(reply: &Value) -> &str {
    reply["client_id"].as_str().unwrap()
}

fn plain() -> Value {
    json!({"client_name": "Client", "redirect_uris": ["https://client.example.com/cb"]})
}

/// Returns the registrations as each client sends them, and the redirect URIs that it then uses.
fn todays_registrations() -> Vec<(Value, Vec<&'static str>)> {
    vec![
        // ChatGPT, with its older and its newer redirect URI.
        (
            json!({"client_name": "ChatGPT", "redirect_uris": ["https://chatgpt.com/connector_platform_oauth_redirect"],
                "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
                "token_endpoint_auth_method": "client_secret_post"}),
            vec!["https://chatgpt.com/connector_platform_oauth_redirect"],
        ),
        (
            json!({"client_name": "ChatGPT", "redirect_uris": ["https://chatgpt.com/connector/oauth/kDmjx77UnKOM"],
                "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
                "token_endpoint_auth_method": "none"}),
            vec!["https://chatgpt.com/connector/oauth/kDmjx77UnKOM"],
        ),
        (
            json!({"client_name": "Claude", "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
                "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
                "scope": "claudeai", "token_endpoint_auth_method": "client_secret_post"}),
            vec!["https://claude.ai/api/mcp/auth_callback"],
        ),
        (
            json!({"client_name": "Claude Code (ownerrez)", "redirect_uris": ["http://localhost:54212/callback"],
                "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
                "application_type": "native", "token_endpoint_auth_method": "none"}),
            vec!["http://localhost:54212/callback", "http://localhost:61034/callback"],
        ),
        (
            json!({"client_name": "Cursor", "redirect_uris": CURSOR, "response_types": ["code"],
                "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none"}),
            CURSOR.to_vec(),
        ),
        (
            json!({"client_name": "Visual Studio Code", "client_uri": "https://code.visualstudio.com",
                "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
                "response_types": ["code"], "application_type": "native", "token_endpoint_auth_method": "none",
                "redirect_uris": ["https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect",
                    "http://127.0.0.1/", "http://127.0.0.1:33418/"]}),
            vec![
                "https://vscode.dev/redirect",
                "http://127.0.0.1:33418/",
                "http://127.0.0.1:52011/",
                "http://127.0.0.1:33418",
            ],
        ),
        // The official SDKs, which by default name an authentication method only sometimes.
        (
            json!({"client_name": "sdk", "redirect_uris": ["http://127.0.0.1:7777/oauth/callback"]}),
            vec!["http://127.0.0.1:7777/oauth/callback"],
        ),
    ]
}

#[actix_web::test]
async fn todays_clients_register_and_are_found_again() {
    on_each_database(async |database: &TestDatabase| {
        let fixture = ClientsFixture::open(database).await;
        for (metadata, used) in todays_registrations() {
            let reply = register(&fixture, &metadata);

            assert_eq!(reply["redirect_uris"], metadata["redirect_uris"], "{metadata}");
            assert_eq!(reply["client_name"], metadata["client_name"]);
            assert_eq!(reply["token_endpoint_auth_method"], "none", "whatever it asked for: {metadata}");
            let of_the_list = if metadata.get("grant_types").is_some() {
                json!(["authorization_code", "refresh_token"])
            } else {
                json!(["authorization_code"])
            };
            assert_eq!(reply["grant_types"], of_the_list, "{metadata}");
            assert_eq!(reply["response_types"], json!(["code"]));
            assert_eq!(reply["client_id_issued_at"], fixture.now().timestamp());
            assert!(reply.get("client_secret").is_none());
            let id = client_id(&reply);
            assert!(
                id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
                "fit for URLs: {id}"
            );

            let client = fixture.clients.find(id).await.unwrap();
            assert_eq!((client.id.to_string(), client.kind), (id.to_owned(), ClientKind::Registered));
            assert!(matches!(client.authentication, ClientAuthentication::None));
            for uri in used {
                assert!(place(&client, uri).is_some(), "{uri} of {metadata}");
            }
            assert_eq!(place(&client, "https://evil.example/callback"), None);
            assert_eq!(client.redirect(None).unwrap_err(), RedirectProblem::Missing);
        }
        assert_eq!(database.number("SELECT count(*) FROM forgotten_clients").await, 0, "nothing was stored");
    })
    .await;
}

#[actix_web::test]
async fn a_client_that_answers_to_this_machine_only_is_known_as_such() {
    on_each_database(async |database: &TestDatabase| {
        let fixture = ClientsFixture::open(database).await;
        for (uris, expected) in [
            (json!(["http://localhost/callback", "http://127.0.0.1/callback"]), true),
            (json!(["http://localhost/callback", "https://client.example.com/cb"]), false),
            (json!([CURSOR[0]]), false),
        ] {
            let reply = register(&fixture, &json!({"redirect_uris": uris}));
            let client = fixture.clients.find(client_id(&reply)).await.unwrap();
            assert_eq!(client.is_loopback_only(), expected, "{uris}");
        }
    })
    .await;
}

#[actix_web::test]
async fn registrations_that_do_not_do_are_refused_in_the_words_of_rfc_7591() {
    on_each_database(async |database: &TestDatabase| {
        let fixture = ClientsFixture::open(database).await;
        let many: Vec<_> = (0..11).map(|at| format!("https://client.example.com/{at}")).collect();
        let long: Vec<_> = (0..10).map(|at| format!("https://client.example.com/{at}/{}", "a".repeat(200))).collect();
        let private = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}]});
        for (name, value, code) in [
            ("redirect_uris", json!(null), "invalid_redirect_uri"),
            ("redirect_uris", json!([]), "invalid_redirect_uri"),
            ("redirect_uris", json!(["javascript:alert(1)"]), "invalid_redirect_uri"),
            (
                "redirect_uris",
                json!(["https://client.example.com/cb", "http://evil.example/cb"]),
                "invalid_redirect_uri",
            ),
            ("redirect_uris", json!(["https://client.example.com/cb#x"]), "invalid_redirect_uri"),
            ("redirect_uris", json!(["unknown://app/cb"]), "invalid_redirect_uri"),
            ("redirect_uris", json!(["vscode://vscode.git/clone?url=https://a.example"]), "invalid_redirect_uri"),
            ("redirect_uris", json!(["cursor://anysphere.cursor-deeplink/mcp/install?x=y"]), "invalid_redirect_uri"),
            ("redirect_uris", json!(["https://gateway.example/account"]), "invalid_redirect_uri"),
            ("redirect_uris", json!(["https://chatgpt.com/connector/oauth/{id}"]), "invalid_redirect_uri"),
            ("redirect_uris", json!(many), "invalid_client_metadata"),
            ("redirect_uris", json!(long), "invalid_client_metadata"),
            ("redirect_uris", json!("https://client.example.com/cb"), "invalid_client_metadata"),
            ("redirect_uris", json!([7]), "invalid_client_metadata"),
            ("grant_types", json!(["client_credentials"]), "invalid_client_metadata"),
            ("response_types", json!(["token"]), "invalid_client_metadata"),
            ("token_endpoint_auth_method", json!("tls_client_auth"), "invalid_client_metadata"),
            ("token_endpoint_auth_method", json!("private_key_jwt"), "invalid_client_metadata"),
            ("client_name", json!({"en": "Client"}), "invalid_client_metadata"),
        ] {
            let mut metadata = plain();
            metadata[name] = value;
            let error = fixture.clients.register(&metadata).expect_err(&metadata.to_string());
            assert_eq!(error.code().as_str(), code, "{metadata}");
            assert!(!error.to_string().contains("evil.example"), "what was sent is not quoted: {error}");
        }
        let mut with_private_key = plain();
        with_private_key["token_endpoint_auth_method"] = json!("private_key_jwt");
        with_private_key["jwks"] = private;
        assert_eq!(fixture.clients.register(&with_private_key).unwrap_err().code().as_str(), "invalid_client_metadata");
        for metadata in [json!([]), json!(null), json!("x"), json!([["https://client.example.com/cb"]])] {
            assert_eq!(
                fixture.clients.register(&metadata).unwrap_err().code().as_str(),
                "invalid_client_metadata",
                "{metadata}"
            );
        }
    })
    .await;
}

#[actix_web::test]
async fn the_largest_registration_still_fits_into_urls() {
    on_each_database(async |database: &TestDatabase| {
        let fixture = ClientsFixture::open(database).await;
        let uris: Vec<_> = (0..10).map(|at| format!("https://client.example.com/{at}/{}", "a".repeat(70))).collect();
        let reply = register(&fixture, &json!({"client_name": "\u{1f3e1}".repeat(500), "redirect_uris": uris}));
        assert!(client_id(&reply).len() <= 2048, "{}", client_id(&reply).len());
        assert_eq!(fixture.clients.find(client_id(&reply)).await.unwrap().redirect_uris.len(), 10);

        let with_key = json!({"redirect_uris": ["https://client.example.com/cb"], "token_endpoint_auth_method": "private_key_jwt",
            "jwks": Signer::rs256().jwks("one")});
        assert_eq!(register(&fixture, &with_key)["jwks"]["keys"][0]["kid"], "one");
    })
    .await;
}

#[actix_web::test]
async fn a_client_id_that_was_altered_or_made_up_is_nobodys() {
    on_each_database(async |database: &TestDatabase| {
        let fixture = ClientsFixture::open(database).await;
        let reply = register(&fixture, &plain());
        let id = client_id(&reply);
        let mut altered = vec![
            String::from("dcr_"),
            String::from("dcr_v1."),
            String::from("dcr_aa:bb:cc"),
            id.trim_start_matches("dcr_").to_owned(),
            format!("dcr_{id}"),
            format!("{id}A"),
            format!("{id}="),
            id[..id.len() - 1].to_owned(),
            String::from("never-heard-of"),
        ];
        for at in (7..id.len()).step_by(11).chain([id.len() - 1]) {
            let mut bytes = id.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            altered.push(String::from_utf8(bytes).unwrap());
        }
        for id in altered {
            assert_eq!(fixture.refused_as(&id).await, ClientErrorCode::InvalidClient, "{id}");
            assert!(!fixture.clients.delete(&id).await.unwrap(), "{id}");
        }
        for id in [String::new(), "a b".to_owned(), "\u{fc}".to_owned(), format!("dcr_{}", "A".repeat(2048))] {
            assert_eq!(fixture.refused_as(&id).await, ClientErrorCode::InvalidRequest, "{id}");
        }
    })
    .await;
}

#[actix_web::test]
async fn a_registration_ends_in_time_and_the_client_registers_anew() {
    on_each_database(async |database: &TestDatabase| {
        let tune = |config: &mut ownerrez_gateway::config::Config| config.oauth_clients.registration_days = 2;
        let fixture = ClientsFixture::open_with(database, FixtureSettings { tune, ..FixtureSettings::default() }).await;
        let reply = register(&fixture, &plain());

        fixture.clock.advance(TimeDelta::days(2) - TimeDelta::seconds(1));
        assert!(fixture.clients.find(client_id(&reply)).await.is_ok());

        fixture.clock.advance(TimeDelta::seconds(1));
        let refusal = fixture.refusal(client_id(&reply)).await;
        assert!(matches!(refusal, ClientError::Expired) && refusal.code() == ClientErrorCode::InvalidClient);
        assert!(fixture.clients.find(client_id(&register(&fixture, &plain()))).await.is_ok());
    })
    .await;
}

#[actix_web::test]
async fn a_deleted_client_is_nobody_on_every_process_while_it_could_come_back() {
    on_each_database(async |database: &TestDatabase| {
        let fixture = ClientsFixture::open(database).await;
        let elsewhere = ClientsFixture::open_with(
            database,
            FixtureSettings { clock: fixture.clock.clone(), ..FixtureSettings::default() },
        )
        .await;
        let (gone, stays) = (register(&fixture, &plain()), register(&fixture, &plain()));
        assert_ne!(client_id(&gone), client_id(&stays), "two registrations of the same are two clients");

        assert!(fixture.clients.delete(client_id(&gone)).await.unwrap());

        let refusal = elsewhere.refusal(client_id(&gone)).await;
        assert!(matches!(refusal, ClientError::Deleted) && refusal.code() == ClientErrorCode::InvalidClient);
        assert!(elsewhere.clients.find(client_id(&stays)).await.is_ok());
        assert!(!elsewhere.clients.delete(client_id(&gone)).await.unwrap(), "it is gone already");

        fixture.clock.advance(TimeDelta::days(365));
        assert_eq!(fixture.store.sweep_deleted_clients(fixture.now()).await.unwrap(), 1);
        assert_eq!(elsewhere.refused_as(client_id(&gone)).await, ClientErrorCode::InvalidClient);
    })
    .await;
}

#[actix_web::test]
async fn a_registration_outlives_a_change_of_the_encryption_key_while_the_old_one_is_listed() {
    on_each_database(async |database: &TestDatabase| {
        let before = ClientsFixture::open(database).await;
        let reply = register(&before, &plain());

        let listed = FixtureSettings { key: 2, previous: Some(1), ..FixtureSettings::default() };
        assert!(ClientsFixture::open_with(database, listed).await.clients.find(client_id(&reply)).await.is_ok());

        let dropped = FixtureSettings { key: 2, ..FixtureSettings::default() };
        let dropped = ClientsFixture::open_with(database, dropped).await;
        assert_eq!(dropped.refused_as(client_id(&reply)).await, ClientErrorCode::InvalidClient);
    })
    .await;
}

#[actix_web::test]
async fn an_apps_scheme_that_is_no_longer_listed_leaves_its_registrations() {
    on_each_database(async |database: &TestDatabase| {
        let fixture = ClientsFixture::open(database).await;
        let reply = register(&fixture, &json!({"redirect_uris": CURSOR}));

        let tune = |config: &mut ownerrez_gateway::config::Config| {
            config.oauth_clients.app_redirect_uris.retain(|uri| !uri.as_str().starts_with("cursor:"));
        };
        let stricter =
            ClientsFixture::open_with(database, FixtureSettings { tune, ..FixtureSettings::default() }).await;
        let client = stricter.clients.find(client_id(&reply)).await.unwrap();
        assert_eq!(place(&client, CURSOR[0]), None);
        assert!(place(&client, CURSOR[1]).is_some());
        assert!(stricter.clients.register(&json!({"redirect_uris": CURSOR})).is_err());
    })
    .await;
}

#[actix_web::test]
async fn while_the_database_is_away_a_registered_client_is_told_to_come_back() {
    on_each_database(async |database: &TestDatabase| {
        let fixture = ClientsFixture::open(database).await;
        let reply = register(&fixture, &plain());
        fixture.store.close().await.unwrap();
        assert_eq!(fixture.refused_as(client_id(&reply)).await, ClientErrorCode::TemporarilyUnavailable);
    })
    .await;
}

#[actix_web::test]
async fn the_chores_shorten_the_list_of_deleted_clients() {
    on_each_database(async |database: &TestDatabase| {
        let gateway = Gateway::start(database).await;
        let fixture = ClientsFixture::open_with(
            database,
            FixtureSettings { clock: gateway.clock.clone(), ..FixtureSettings::default() },
        )
        .await;
        let reply = register(&fixture, &plain());
        assert!(fixture.clients.delete(client_id(&reply)).await.unwrap());
        let listed = async || database.number("SELECT count(*) FROM forgotten_clients").await;
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(listed().await, 1);

        gateway.clock.advance(TimeDelta::days(365));
        gateway.app().sessions().run_background_jobs().await;

        assert_eq!(listed().await, 0);
        gateway.stop().await;
    })
    .await;
}
