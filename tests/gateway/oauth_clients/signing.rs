//! `private_key_jwt`: a client authenticates, and other clients cannot impersonate it.

use chrono::TimeDelta;
use ownerrez_gateway::oauth::clients::{
    ASSERTION_TYPE, AssertionProblem, Client, ClientError, ClientErrorCode, PresentedClient,
};
use serde_json::{Value, json};

use super::{ClientsFixture, signer::Signer};
use crate::world::{Published, Publisher, TestDatabase, on_each_database};

const CHATGPT: &str = "https://chatgpt.com/oauth/kDmjx77UnKOM/client.json";
const JWKS: &str = "https://chatgpt.com/oauth/jwks.json";
const ISSUER: &str = "https://gateway.example.com";
const TOKEN: &str = "https://gateway.example.com/token";

fn chatgpt() -> Value {
    json!({"client_id": CHATGPT, "client_name": "ChatGPT",
        "redirect_uris": ["https://chatgpt.com/connector/oauth/kDmjx77UnKOM"],
        "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "RS256", "jwks_uri": JWKS})
}

/// Returns ChatGPT's client, with this key in its key set.
async fn with_chatgpt(database: &TestDatabase, signer: &Signer) -> (ClientsFixture, Publisher, Client) {
    let publisher = Publisher::start(&["chatgpt.com"]).await;
    publisher.publish(CHATGPT, Published::json(&chatgpt()));
    publisher.publish(JWKS, Published::json(&signer.jwks("one")));
    let fixture = ClientsFixture::before(database, &publisher).await;
    let client = fixture.clients.find(CHATGPT).await.unwrap();
    (fixture, publisher, client)
}

impl ClientsFixture {
    /// Returns the claims of a valid, unique assertion of this client.
    fn claims(&self, client: &Client) -> Value {
        let now = self.now().timestamp();
        json!({"iss": client.id.to_string(), "sub": client.id.to_string(), "aud": TOKEN, "iat": now, "exp": now + 300,
            "jti": uuid::Uuid::new_v4().to_string()})
    }

    async fn show(&self, client: &Client, assertion: &str) -> Result<bool, ClientError> {
        let presented = PresentedClient::Assertion { kind: ASSERTION_TYPE, assertion };
        self.clients.authenticate(client, &presented, &[ISSUER.to_owned(), TOKEN.to_owned()]).await
    }

    async fn problem(&self, client: &Client, assertion: &str) -> Option<AssertionProblem> {
        match self.show(client, assertion).await {
            Ok(signed) => {
                assert!(signed);
                None
            }
            Err(ClientError::Assertion(problem)) => Some(problem),
            Err(other) => panic!("{other:?}"),
        }
    }
}

fn header(signer: &Signer) -> Value {
    json!({"alg": signer.algorithm(), "kid": "one", "typ": "JWT"})
}

#[actix_web::test]
async fn chatgpt_proves_who_it_is_with_a_key_it_publishes() {
    on_each_database(async |database: &TestDatabase| {
        let signer = Signer::rs256();
        let (fixture, publisher, client) = with_chatgpt(database, &signer).await;
        for audience in [json!(TOKEN), json!(ISSUER), json!([TOKEN]), json!([ISSUER, TOKEN])] {
            let mut claims = fixture.claims(&client);
            claims["aud"] = audience.clone();
            assert_eq!(fixture.problem(&client, &signer.sign(&header(&signer), &claims)).await, None, "{audience}");
        }
        let without_id = json!({"alg": "RS256"});
        assert_eq!(fixture.problem(&client, &signer.sign(&without_id, &fixture.claims(&client))).await, None);
        assert_eq!(publisher.count(JWKS), 1, "keys are kept like documents");
    })
    .await;
}

#[actix_web::test]
async fn an_es256_key_that_was_registered_does_as_well() {
    on_each_database(async |database: &TestDatabase| {
        let (signer, fixture) = (Signer::es256(), ClientsFixture::open(database).await);
        let metadata = json!({"redirect_uris": ["https://client.example.com/cb"], "jwks": signer.jwks("one"),
            "token_endpoint_auth_method": "private_key_jwt"});
        let registered = fixture.clients.register(&metadata).unwrap();
        assert_eq!(registered.token_endpoint_auth_method, "private_key_jwt");
        let client = fixture.clients.find(&registered.client_id).await.unwrap();

        assert_eq!(fixture.problem(&client, &signer.sign(&header(&signer), &fixture.claims(&client))).await, None);
        let other = Signer::es256();
        let forged = other.sign(&header(&other), &fixture.claims(&client));
        assert_eq!(fixture.problem(&client, &forged).await, Some(AssertionProblem::Signature));
    })
    .await;
}

#[actix_web::test]
async fn an_assertion_that_says_something_else_is_refused() {
    on_each_database(async |database: &TestDatabase| {
        use AssertionProblem::*;
        let signer = Signer::rs256();
        let (fixture, _publisher, client) = with_chatgpt(database, &signer).await;
        let now = fixture.now().timestamp();
        for (name, value, expected) in [
            ("iss", json!("https://evil.example/client.json"), Some(Issuer)),
            ("sub", json!("https://evil.example/client.json"), Some(Issuer)),
            ("sub", json!(null), Some(Form)),
            ("aud", json!("https://other.example.com/token"), Some(Audience)),
            ("aud", json!([TOKEN, "https://other.example.com/token"]), Some(Audience)),
            ("aud", json!([]), Some(Audience)),
            ("aud", json!(null), Some(Form)),
            ("exp", json!(now - 29), None),
            ("exp", json!(now - 30), Some(Expired)),
            ("exp", json!(now + 600), None),
            ("exp", json!(now + 631), Some(TooLong)),
            ("exp", json!(now as f64 + 0.5), None),
            ("exp", json!((now + 60).to_string()), Some(Form)),
            ("exp", json!(1e300), Some(Form)),
            ("exp", json!(-1), Some(Form)),
            ("exp", json!(null), Some(Form)),
            ("nbf", json!(now + 31), Some(TooEarly)),
            ("nbf", json!(now + 30), None),
            ("nbf", json!("soon"), Some(Form)),
            ("iat", json!(now + 3600), Some(TooEarly)),
            ("jti", json!(""), Some(Form)),
            ("jti", json!(null), Some(Form)),
            ("jti", json!(7), Some(Form)),
            ("jti", json!("a".repeat(257)), Some(Form)),
        ] {
            let mut claims = fixture.claims(&client);
            claims[name] = value.clone();
            let problem = fixture.problem(&client, &signer.sign(&header(&signer), &claims)).await;
            assert_eq!(problem, expected, "{name} = {value}");
        }
    })
    .await;
}

#[actix_web::test]
async fn an_assertion_that_is_signed_otherwise_is_refused() {
    on_each_database(async |database: &TestDatabase| {
        use AssertionProblem::*;
        let (signer, other) = (Signer::rs256(), Signer::es256());
        let (fixture, _publisher, client) = with_chatgpt(database, &signer).await;
        let good = signer.sign(&header(&signer), &fixture.claims(&client));
        let parts: Vec<_> = good.split('.').collect();
        let other_claims = signer.sign(&header(&signer), &fixture.claims(&client));
        let swapped = format!("{}.{}.{}", parts[0], other_claims.split('.').nth(1).unwrap(), parts[2]);
        let none = signer.sign(&json!({"alg": "none"}), &fixture.claims(&client));
        let hmac = signer.sign(&json!({"alg": "HS256", "kid": "one"}), &fixture.claims(&client));
        let own_key = other.sign(
            &json!({"alg": "ES256", "kid": "one", "jwk": other.jwk("one"), "jku": "https://evil.example/jwks"}),
            &fixture.claims(&client),
        );
        let posing = other.sign(&json!({"alg": "RS256", "kid": "one"}), &fixture.claims(&client));
        let critical = signer.sign(&json!({"alg": "RS256", "kid": "one", "crit": ["exp"]}), &fixture.claims(&client));
        for (assertion, expected) in [
            (swapped, Signature),
            (format!("{}.{}.", parts[0], parts[1]), Signature),
            (format!("{}.{}.AAAA", parts[0], parts[1]), Signature),
            (posing, Signature),
            (none.clone(), Form),
            (format!("{}.", none.rsplit_once('.').unwrap().0), Form),
            (hmac, Algorithm),
            (own_key, Algorithm),
            (critical, Form),
            (String::new(), Form),
            ("a.b.c".to_owned(), Form),
            (format!("{good}.x"), Form),
            (format!("{}{}", "a".repeat(5000), good), Form),
        ] {
            assert_eq!(fixture.problem(&client, &assertion).await, Some(expected), "{assertion}");
        }
        assert_eq!(fixture.problem(&client, &good).await, None, "what failed used nothing up");
    })
    .await;
}

#[actix_web::test]
async fn an_assertion_is_good_once() {
    on_each_database(async |database: &TestDatabase| {
        let signer = Signer::rs256();
        let (fixture, _publisher, client) = with_chatgpt(database, &signer).await;
        let assertion = signer.sign(&header(&signer), &fixture.claims(&client));

        assert_eq!(fixture.problem(&client, &assertion).await, None);

        assert_eq!(fixture.problem(&client, &assertion).await, Some(AssertionProblem::Replayed));
        fixture.clock.advance(TimeDelta::seconds(329));
        assert_eq!(fixture.problem(&client, &assertion).await, Some(AssertionProblem::Replayed));
        fixture.clock.advance(TimeDelta::seconds(1));
        assert_eq!(fixture.problem(&client, &assertion).await, Some(AssertionProblem::Expired));
    })
    .await;
}

#[actix_web::test]
async fn a_new_key_is_looked_up_once_a_minute_at_most() {
    on_each_database(async |database: &TestDatabase| {
        let signer = Signer::rs256();
        let (fixture, publisher, client) = with_chatgpt(database, &signer).await;
        assert_eq!(fixture.problem(&client, &signer.sign(&header(&signer), &fixture.claims(&client))).await, None);

        let renewed = json!({"alg": "RS256", "kid": "two"});
        publisher.publish(JWKS, Published::json(&signer.jwks("two")));
        let sign = |fixture: &ClientsFixture| signer.sign(&renewed, &fixture.claims(&client));
        for _ in 0..5 {
            assert_eq!(fixture.problem(&client, &sign(&fixture)).await, Some(AssertionProblem::UnknownKey));
        }
        assert_eq!(publisher.count(JWKS), 1, "they were fetched within this minute");

        fixture.clock.advance(TimeDelta::seconds(61));
        assert_eq!(fixture.problem(&client, &sign(&fixture)).await, None);
        assert_eq!(publisher.count(JWKS), 2);

        let unknown = signer.sign(&json!({"alg": "RS256", "kid": "three"}), &fixture.claims(&client));
        for _ in 0..5 {
            assert_eq!(fixture.problem(&client, &unknown).await, Some(AssertionProblem::UnknownKey));
        }
        assert_eq!(publisher.count(JWKS), 2);
    })
    .await;
}

#[actix_web::test]
async fn while_the_keys_cannot_be_fetched_the_client_is_told_to_come_back() {
    on_each_database(async |database: &TestDatabase| {
        let signer = Signer::rs256();
        let (fixture, publisher, client) = with_chatgpt(database, &signer).await;
        publisher.publish(JWKS, Published::json(&json!({})).status(502));
        let assertion = signer.sign(&header(&signer), &fixture.claims(&client));
        let refusal = fixture.show(&client, &assertion).await.unwrap_err();
        assert_eq!(refusal.code(), ClientErrorCode::TemporarilyUnavailable);

        publisher.publish(JWKS, Published::json(&json!({"keys": [{"kty": "oct", "k": "AA"}]})));
        fixture.clock.advance(TimeDelta::seconds(30));
        let refusal = fixture.show(&client, &assertion).await.unwrap_err();
        assert_eq!(refusal.code(), ClientErrorCode::InvalidClient);

        publisher.publish(JWKS, Published::json(&signer.jwks("one")));
        fixture.clock.advance(TimeDelta::seconds(30));
        assert!(fixture.show(&client, &assertion).await.is_ok());
    })
    .await;
}

#[actix_web::test]
async fn who_has_keys_must_use_them_unless_it_says_otherwise_itself() {
    on_each_database(async |database: &TestDatabase| {
        let signer = Signer::rs256();
        let (fixture, publisher, client) = with_chatgpt(database, &signer).await;
        let nothing = PresentedClient::None;
        let refusal = fixture.clients.authenticate(&client, &nothing, &[]).await.unwrap_err();
        assert!(matches!(refusal, ClientError::Assertion(AssertionProblem::Missing)));
        assert_eq!(refusal.code(), ClientErrorCode::InvalidClient);
        let good = signer.sign(&header(&signer), &fixture.claims(&client));
        let other_kind = PresentedClient::Assertion {
            kind: "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
            assertion: &good,
        };
        let refusal = fixture.clients.authenticate(&client, &other_kind, &[TOKEN.to_owned()]).await.unwrap_err();
        assert!(matches!(refusal, ClientError::Assertion(AssertionProblem::Type)));

        let mut both = chatgpt();
        both["token_endpoint_auth_methods_supported"] = json!(["none", "private_key_jwt"]);
        publisher.publish(CHATGPT, Published::json(&both));
        fixture.clock.advance(TimeDelta::hours(1));
        let client = fixture.clients.find(CHATGPT).await.unwrap();
        assert!(!fixture.clients.authenticate(&client, &nothing, &[]).await.unwrap());
        assert!(fixture.problem(&client, "a.b.c").await.is_some(), "what it does sign must be good");

        let public = fixture.clients.register(&json!({"redirect_uris": ["https://client.example.com/cb"]})).unwrap();
        let public = fixture.clients.find(&public.client_id).await.unwrap();
        assert_eq!(fixture.problem(&public, &good).await, Some(AssertionProblem::NotExpected));
    })
    .await;
}

#[actix_web::test]
async fn an_assertion_never_shows_itself() {
    let presented = PresentedClient::Assertion { kind: ASSERTION_TYPE, assertion: "header.claims.signature" };
    assert!(!format!("{presented:?}").contains("claims"));
}
