//! The webhook that OwnerRez sends when a user revokes the app.

use base64::{Engine, engine::general_purpose::STANDARD};
use ownerrez_gateway::{
    domain::AccountId,
    simulator::{DeliveryOutcome, WebhookApp},
};
use serde_json::{Value, json};

use crate::world::{Gateway, Person, Reply, Settings, Wire, eventually, on_each_database};

const PATH: &str = "/api/webhooks/ownerrez";
const PASSWORD: &str = "a-password-of-the-app";
const MINUTE: chrono::TimeDelta = chrono::TimeDelta::minutes(1);
const ME: &str = "GET /v2/users/me";

fn with_webhooks() -> Settings {
    Settings::default().set("OWNERREZ_WEBHOOK_USER", "ownerrez").set("OWNERREZ_WEBHOOK_PASSWORD", PASSWORD)
}

async fn sent(gateway: &Gateway, credentials: &str, body: String) -> Reply {
    let basic = format!("Basic {}", STANDARD.encode(credentials));
    let headers = [("content-type", "application/json"), ("authorization", basic.as_str())];
    Person::visitor(&gateway.url).send("POST", PATH, &headers, Some(body)).await
}

async fn says(gateway: &Gateway, notice: &Value) -> u16 {
    sent(gateway, &format!("ownerrez:{PASSWORD}"), notice.to_string()).await.status
}

fn revoked(account: AccountId) -> Value {
    json!({"id": "5b1c1f9e-0000-4000-8000-000000000001", "action": "application_authorization_revoked",
        "user_id": account.0, "entity_type": "api_application"})
}

async fn needs_reconnect(person: &Person) -> bool {
    person.get("/api/connect/ownerrez/status").await.body["needs_reconnect"] == json!(true)
}

#[actix_web::test]
async fn who_takes_the_app_away_is_noticed_at_once_and_nobody_else_is_asked_about() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, with_webhooks()).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.connected_user("Bob").await);
        let account = alice.account.unwrap();
        gateway.ownerrez().clear_requests();

        gateway.ownerrez().revoke_account_grants(account);
        assert!(!needs_reconnect(&alice).await, "nobody knows yet");
        assert_eq!(says(&gateway, &revoked(account)).await, 204);

        eventually("the gateway has noticed", async || needs_reconnect(&alice).await.then_some(())).await;
        assert!(!needs_reconnect(&bob).await);
        assert_eq!(gateway.ownerrez().count(ME), 1, "about Alice");
        // The same notification again has no effect: OwnerRez repeats notifications.
        assert_eq!(says(&gateway, &revoked(account)).await, 204);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_notice_that_comes_late_or_is_about_nobody_changes_nothing() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, with_webhooks()).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().clear_requests();
        for notice in [
            json!({"id": 1, "action": "webhook_test"}),
            json!({"id": 2, "action": "entity_update", "user_id": alice.account.unwrap().0, "entity_type": "booking"}),
            json!({"id": 3, "action": "application_authorization_revoked"}),
            revoked(AccountId(1)),
        ] {
            assert_eq!(says(&gateway, &notice).await, 204, "{notice}");
        }
        assert_eq!(gateway.ownerrez().count(ME), 0);
        // Her tokens are valid: she has connected again.
        assert_eq!(says(&gateway, &revoked(alice.account.unwrap())).await, 204);
        eventually("OwnerRez was asked", async || (gateway.ownerrez().count(ME) == 1).then_some(())).await;
        alice.call("list_owners", json!({})).await.ok();
        assert!(!needs_reconnect(&alice).await);
        gateway.stop().await;
    })
    .await;
}

/// The test and the notification, as the simulated OwnerRez sends them.
#[actix_web::test]
async fn the_notice_of_a_simulated_revocation_is_taken() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, with_webhooks()).await;
        let alice = gateway.connected_user("Alice").await;
        let ownerrez = gateway.ownerrez();
        let app = WebhookApp {
            url: Some(format!("{}{PATH}", gateway.url)),
            user: "ownerrez".to_owned(),
            password: PASSWORD.into(),
        };
        ownerrez.set_webhook_app(app);
        ownerrez.send_test_webhook();
        ownerrez.revoke_account_grants(alice.account.unwrap());
        eventually("the gateway has noticed", async || needs_reconnect(&alice).await.then_some(())).await;
        ownerrez.webhooks_settled().await;
        let outcomes: Vec<DeliveryOutcome> =
            ownerrez.deliveries().iter().flat_map(|delivery| &delivery.attempts).map(|one| one.outcome).collect();
        assert_eq!(outcomes, [DeliveryOutcome::Answered(204); 2]);
        gateway.stop().await;
    })
    .await;
}

/// OwnerRez repeats its notifications, and each check of a token takes a request of the shared rate limit.
#[actix_web::test]
async fn three_hundred_notices_for_one_account_cost_two_requests() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, with_webhooks()).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.connected_user("Bob").await);
        gateway.ownerrez().clear_requests();
        for _ in 0..300 {
            assert_eq!(says(&gateway, &revoked(alice.account.unwrap())).await, 204);
        }
        eventually("OwnerRez was asked", async || (gateway.ownerrez().count(ME) == 1).then_some(())).await;
        assert_eq!(says(&gateway, &revoked(bob.account.unwrap())).await, 204);
        eventually("and about Bob", async || (gateway.ownerrez().count(ME) == 2).then_some(())).await;

        // Notifications after the check may be new, so one more check follows for all 299.
        gateway.ownerrez().revoke_account_grants(alice.account.unwrap());
        eventually("the pause has begun", async || (gateway.clock.sleepers_within(MINUTE) >= 2).then_some(())).await;
        gateway.advance(MINUTE);
        eventually("the gateway has noticed", async || needs_reconnect(&alice).await.then_some(())).await;
        assert!(!needs_reconnect(&bob).await);
        gateway.advance(MINUTE);
        alice.call("list_owners", json!({})).await.refused();
        // Her call makes no further check: the refresh of its token fails, or its connection has already ended.
        assert_eq!(gateway.ownerrez().count(ME), 3, "one more about Alice, none about Bob");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn only_ownerrez_is_listened_to() {
    on_each_database(async |database| {
        let settings = with_webhooks().tune(|config| config.keys.failures_per_address = 4);
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.connected_user("Alice").await;
        let notice = revoked(alice.account.unwrap()).to_string();
        let visitor = Person::visitor(&gateway.url);
        gateway.ownerrez().clear_requests();
        let bare = visitor.send("POST", PATH, &[("content-type", "application/json")], Some(notice.clone())).await;
        let mut refusals = vec![bare];
        for credentials in ["ownerrez:", "ownerrez", &format!("other:{PASSWORD}")] {
            refusals.push(sent(&gateway, credentials, notice.clone()).await);
        }
        for refused in refusals {
            assert_eq!((refused.status, refused.error()), (401, "webhook_credentials_required"));
            assert!(refused.header("www-authenticate").unwrap().starts_with("Basic "));
            assert!(!refused.body.to_string().contains(PASSWORD));
        }
        assert_eq!(says(&gateway, &revoked(alice.account.unwrap())).await, 429, "too many guesses from here");
        gateway.advance(chrono::TimeDelta::minutes(5));
        for body in [String::new(), "[]".to_owned()] {
            let reply = sent(&gateway, &format!("ownerrez:{PASSWORD}"), body).await;
            assert_eq!((reply.status, reply.error()), (400, "invalid_request"));
        }
        // Rejected by its headers. A client that continues to send the body may find the connection closed before it
        // has read the response.
        let mut wire = Wire::open(&gateway.url).await;
        let basic = STANDARD.encode(format!("ownerrez:{PASSWORD}"));
        wire.write(&format!(
            "POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {basic}\r\nContent-Type: application/json\r\n\
             Content-Length: 300000\r\n\r\n"
        ))
        .await;
        let reply = wire.read().await;
        assert_eq!((reply.status, &reply.body["error"]), (413, &json!("body_too_large")));
        assert_eq!(gateway.ownerrez().count(ME), 0);
        assert_eq!(visitor.get(PATH).await.status, 405);
        gateway.stop().await;

        let gateway = Gateway::start(database).await;
        assert_eq!(sent(&gateway, "", notice).await.status, 404, "where the operator set nothing, nobody listens");
        gateway.stop().await;
    })
    .await;
}
