//! The evidence that ends a connection. A 401 alone is not enough.

use chrono::TimeDelta;
use ownerrez_gateway::simulator::Rule;
use serde_json::{Value, json};

use crate::world::{Gateway, Person, TestDatabase, on_each_database};

const READ: &str = "GET /v2/owners";
const TOKEN: &str = "POST /oauth/access_token";

async fn read(person: &Person) -> Result<Value, String> {
    let answer = person.call("list_owners", json!({})).await;
    if answer.is_ok() { Ok(answer.ok()) } else { Err(answer.refused()) }
}

/// Returns OwnerRez's error body for a 401.
fn unauthorized(code: &str) -> Value {
    json!({"messages": ["No."], "code": code, "status": "unauthorized", "status_code": 401})
}

async fn needs_reconnect(person: &Person) -> bool {
    person.get("/api/connect/ownerrez/status").await.body["needs_reconnect"] == json!(true)
}

/// Returns a user with an OAuth grant and one with a personal token, both connected long ago.
async fn two_people(database: &TestDatabase) -> (Gateway, [Person; 2]) {
    let gateway = Gateway::start(database).await;
    let alice = gateway.connected_user("Alice").await;
    let bob = gateway.user("Bob").await;
    let account = gateway.ownerrez().add_account("Bob");
    let with = json!({"email": account.email, "token": account.personal_access_token});
    assert_eq!(bob.post("/api/connect/ownerrez/token", &with).await.status, 200);
    gateway.advance(TimeDelta::minutes(20));
    gateway.ownerrez().clear_requests();
    (gateway, [alice, bob])
}

#[actix_web::test]
async fn a_401_about_something_else_passes() {
    on_each_database(async |database| {
        let (gateway, people) = two_people(database).await;
        for body in [
            unauthorized("user_agent_required"),
            unauthorized("a_code_of_next_year"),
            json!("<html><body>Access denied</body></html>"),
            json!(null),
        ] {
            for person in &people {
                gateway.ownerrez().script(Rule::on(READ).times(4).reply(401, body.clone()));
                for _ in 0..4 {
                    gateway.ownerrez().clear_requests();
                    let text = read(person).await.unwrap_err();
                    assert!(text.contains("401") && text.contains("the connection is kept"), "{body}: {text}");
                    assert!(text.contains("Try again in a minute") && !text.contains("<html"), "{body}: {text}");
                    assert_eq!(gateway.ownerrez().requests().len(), 1, "{body}: neither refreshed nor repeated");
                    gateway.advance(TimeDelta::minutes(2));
                }
                assert!(!needs_reconnect(person).await, "{body}");
                read(person).await.unwrap();
            }
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_401_without_a_clear_reason_is_answered_with_one_refresh_and_ends_no_grant() {
    on_each_database(async |database| {
        let (gateway, [alice, bob]) = two_people(database).await;
        let old_form = json!({"messages": ["No."], "status": "unauthorized", "status_code": 401});
        for body in [unauthorized("auth_required"), unauthorized("invalid_request"), old_form] {
            gateway.ownerrez().clear_rules();
            gateway.ownerrez().script(Rule::on(READ).always().reply(401, body.clone()));
            gateway.ownerrez().clear_requests();
            for _ in 0..4 {
                let text = read(&alice).await.unwrap_err();
                assert!(text.contains("the connection is kept"), "{body}: {text}");
                gateway.advance(TimeDelta::minutes(1));
            }
            assert_eq!(gateway.ownerrez().count(TOKEN), 1, "{body}: within five minutes");
            gateway.advance(TimeDelta::minutes(5));
            for _ in 0..3 {
                read(&alice).await.unwrap_err();
                gateway.advance(TimeDelta::minutes(5));
            }
            assert!(!needs_reconnect(&alice).await, "{body}");
            gateway.ownerrez().clear_rules();
            read(&alice).await.unwrap();
        }

        // A personal token cannot be refreshed: the same response for minutes is the only possible evidence.
        gateway.ownerrez().script(Rule::on(READ).always().reply(401, unauthorized("invalid_request")));
        for _ in 0..5 {
            assert!(read(&bob).await.unwrap_err().contains("the connection is kept"));
            gateway.advance(TimeDelta::minutes(1));
        }
        assert!(read(&bob).await.unwrap_err().contains("OwnerRez ended the connection"));
        assert!(needs_reconnect(&bob).await);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_token_that_was_just_issued_is_refused_several_times_before_that_ends_the_connection() {
    on_each_database(async |database| {
        let (gateway, [alice, _]) = two_people(database).await;
        let invalid = || Rule::on(READ).always().reply(401, unauthorized("invalid_token"));
        // Two rejections over minutes, and then a success: the count restarts.
        for _ in 0..2 {
            gateway.ownerrez().script(invalid());
            gateway.ownerrez().clear_requests();
            let text = read(&alice).await.unwrap_err();
            assert!(text.contains("connection is kept") && text.contains("Try again in a minute"), "{text}");
            assert_eq!((gateway.ownerrez().count(TOKEN), gateway.ownerrez().count(READ)), (1, 2), "no loop");
            gateway.advance(TimeDelta::minutes(4));
            read(&alice).await.unwrap_err();
            assert_eq!(
                (gateway.ownerrez().count(TOKEN), gateway.ownerrez().count(READ)),
                (1, 3),
                "no second new token"
            );
            gateway.ownerrez().clear_rules();
            read(&alice).await.unwrap();
            gateway.advance(TimeDelta::minutes(10));
        }
        // Many rejections at once are no stronger evidence than one.
        gateway.ownerrez().script(invalid());
        for _ in 0..10 {
            assert!(read(&alice).await.unwrap_err().contains("connection is kept"));
        }
        gateway.advance(TimeDelta::minutes(5));
        assert!(read(&alice).await.unwrap_err().contains("OwnerRez ended the connection"));
        assert!(needs_reconnect(&alice).await);
        gateway.ownerrez().clear_requests();
        read(&alice).await.unwrap_err();
        assert_eq!(gateway.ownerrez().requests().len(), 0, "it is remembered");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_refused_refresh_is_certain_and_so_is_a_named_token_that_cannot_be_refreshed() {
    on_each_database(async |database| {
        let (gateway, [alice, bob]) = two_people(database).await;
        gateway.ownerrez().revoke_account_grants(alice.account.unwrap());
        assert!(read(&alice).await.unwrap_err().contains("OwnerRez ended the connection"));
        assert_eq!((gateway.ownerrez().count(TOKEN), gateway.ownerrez().count(READ)), (1, 1));
        gateway.ownerrez().script(Rule::on(READ).reply(401, unauthorized("invalid_token")));
        assert!(read(&bob).await.unwrap_err().contains("OwnerRez ended the connection"));
        assert!(needs_reconnect(&bob).await);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_header_that_names_the_token_is_evidence_as_well() {
    on_each_database(async |database| {
        let (gateway, [alice, bob]) = two_people(database).await;
        let challenge = r#"Bearer realm="OwnerRez", error="invalid_token", error_description="It expired.""#;
        for body in [json!(null), json!("<html>"), unauthorized("auth_required")] {
            gateway.ownerrez().script(Rule::on(READ).reply(401, body).header("WWW-Authenticate", challenge));
            gateway.ownerrez().clear_requests();
            read(&alice).await.unwrap();
            assert_eq!((gateway.ownerrez().count(TOKEN), gateway.ownerrez().count(READ)), (1, 2));
            gateway.advance(TimeDelta::minutes(6));
        }
        // The body is more specific than the header.
        let body = unauthorized("user_agent_required");
        gateway.ownerrez().script(Rule::on(READ).times(2).reply(401, body).header("WWW-Authenticate", challenge));
        for person in [&alice, &bob] {
            let text = read(person).await.unwrap_err();
            assert!(text.contains("did not name the user's access as the reason"), "{text}");
        }
        gateway.ownerrez().script(Rule::on(READ).reply(401, json!(null)).header("WWW-Authenticate", challenge));
        assert!(read(&bob).await.unwrap_err().contains("OwnerRez ended the connection"));
        assert!(needs_reconnect(&bob).await);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_personal_token_that_is_refused_at_first_is_not_called_issued() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let bob = gateway.user("Bob").await;
        let account = gateway.ownerrez().add_account("Bob");
        let with = json!({"email": account.email, "token": account.personal_access_token});
        assert_eq!(bob.post("/api/connect/ownerrez/token", &with).await.status, 200);
        let said = json!({"messages": ["The token is not good"], "code": "invalid_token"});
        gateway.ownerrez().script(Rule::on(READ).reply(401, said));
        let text = read(&bob).await.unwrap_err();
        assert!(text.contains("so the connection is kept") && !text.contains("issued"), "{text}");
        assert!(text.contains("It said: The token is not good. This refusal alone"), "{text}");
        read(&bob).await.unwrap();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_personal_token_is_not_called_wrong_by_an_edge() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let account = gateway.ownerrez().add_account("Alice");
        let with = json!({"email": account.email, "token": account.personal_access_token});
        gateway.ownerrez().script(Rule::on("GET /v2/users/me").reply(401, json!("<html>")));
        let reply = alice.post("/api/connect/ownerrez/token", &with).await;
        assert_eq!((reply.status, reply.error()), (502, "ownerrez_unavailable"));
        assert_eq!(alice.post("/api/connect/ownerrez/token", &with).await.status, 200);
        gateway.stop().await;
    })
    .await;
}

/// OwnerRez's app policy "None" issues tokens without an expiry and without a refresh token.
#[actix_web::test]
async fn an_oauth_token_that_cannot_be_refreshed_ends_as_a_personal_one_does() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        gateway.ownerrez().change(|switches| switches.token_life_seconds = None);
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().script(Rule::on(READ).always().reply(401, unauthorized("invalid_request")));
        for _ in 0..5 {
            assert!(read(&alice).await.unwrap_err().contains("the connection is kept"));
            gateway.advance(TimeDelta::minutes(1));
        }
        assert!(read(&alice).await.unwrap_err().contains("OwnerRez ended the connection"));
        assert!(needs_reconnect(&alice).await);
        gateway.stop().await;
    })
    .await;
}
