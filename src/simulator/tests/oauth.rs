//! Credentials: the browser flow, tokens and their expiry.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{CALLBACK, Fixture, basic, client, query_value};

#[actix_web::test]
async fn the_browser_flow_leads_to_tokens_once() {
    let fixture = Fixture::start().await;
    let page = fixture.send("GET", &fixture.authorize_url(""), "", None).await;
    assert_eq!(page.status, 200);
    let account = fixture.first().id.to_string();
    let decide = |decision| {
        vec![
            ("client_id", "c_sandbox"),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("state", "s1"),
            ("account", account.as_str()),
            ("decision", decision),
        ]
    };
    let denied = fixture.form("/oauth/authorize", "", &decide("deny")).await;
    assert_eq!(denied.status, 302);
    assert_eq!(query_value(&denied.location.expect("a location"), "error"), "access_denied");

    let approved = fixture.form("/oauth/authorize", "", &decide("approve")).await.location.expect("a location");
    assert!(approved.starts_with(CALLBACK));
    assert_eq!(query_value(&approved, "state"), "s1");
    let code = query_value(&approved, "code");
    assert!(code.starts_with("tc_"));

    let fields = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    let tokens = fixture.exchange(&fields).await;
    assert_eq!(tokens.status, 200);
    assert_eq!(tokens.body["user_id"], fixture.first().id.0);
    assert_eq!(tokens.body["expires_in"], 2_592_000);
    assert_eq!(tokens.body["expires_at"], "2026-12-23T12:00:00Z");
    let again = fixture.exchange(&fields).await;
    assert_eq!((again.status, &again.body["error"]), (400, &json!("invalid_grant")));

    let authorization = format!("Bearer {}", tokens.body["access_token"].as_str().expect("a token"));
    let me = fixture.send("GET", "/v2/users/me", &authorization, None).await;
    assert_eq!(me.body["id"], fixture.first().id.0);
}

#[actix_web::test]
async fn bad_authorization_requests_stay_on_a_page() {
    let fixture = Fixture::start().await;
    for query in [
        "response_type=code&client_id=c_other&redirect_uri=https%3A%2F%2Fa.example%2F",
        "response_type=code&client_id=c_sandbox",
        "response_type=code&client_id=c_sandbox&redirect_uri=http%3A%2F%2Fa.example%2F",
        "response_type=code&client_id=c_sandbox&redirect_uri=javascript%3Aalert(1)",
        "response_type=code&client_id=c_sandbox&redirect_uri=%2Frelative",
    ] {
        let page = fixture.send("GET", &format!("/oauth/authorize?{query}"), "", None).await;
        assert_eq!((page.status, page.location), (400, None), "{query}");
    }
    let wrong_type = fixture.authorize_url("").replace("response_type=code", "response_type=token");
    let back = fixture.send("GET", &wrong_type, "", None).await.location.expect("a location");
    assert_eq!(query_value(&back, "error"), "unsupported_response_type");
}

#[actix_web::test]
async fn the_token_endpoint_refuses_what_it_should() {
    let fixture = Fixture::start().await;
    let code = fixture.code();
    let grant = [("grant_type", "authorization_code"), ("code", code.as_str())];
    let stranger = fixture.form("/oauth/access_token", &basic("c_sandbox", "s_wrong"), &grant).await;
    assert_eq!((stranger.status, &stranger.body["error"]), (401, &json!("invalid_client")));
    let elsewhere = [grant[0], grant[1], ("redirect_uri", "http://localhost:9999/other")];
    assert_eq!(fixture.exchange(&elsewhere).await.body["error"], "invalid_grant");

    let code = fixture.code();
    fixture.clock.advance(TimeDelta::minutes(10));
    let late = fixture.exchange(&[grant[0], ("code", &code)]).await;
    assert_eq!((late.status, &late.body["error"]), (400, &json!("invalid_grant")));
    assert_eq!(fixture.exchange(&[("grant_type", "password")]).await.body["error"], "unsupported_grant_type");

    let code = fixture.code();
    let alias = fixture.form("/oauth/token", &client(), &[grant[0], ("code", &code)]).await;
    assert_eq!(alias.status, 200, "redirect_uri is optional, and so is the longer path");
}

#[actix_web::test]
async fn refresh_follows_the_switches() {
    let fixture = Fixture::start().await;
    let account = fixture.first().id;
    let tokens = fixture.controls().grant(account);
    let refresh = tokens["refresh_token"].as_str().expect("a refresh token");
    let renewal = [("grant_type", "refresh_token"), ("refresh_token", refresh)];

    let kept = fixture.exchange(&renewal).await;
    assert_eq!(kept.status, 200);
    assert!(kept.body.get("refresh_token").is_none(), "without rotation the old one goes on");

    fixture.controls().change(|switches| switches.rotate_refresh_tokens = true);
    let rotated = fixture.exchange(&renewal).await;
    assert!(rotated.body["refresh_token"].is_string());
    assert_eq!(fixture.exchange(&renewal).await.body["error"], "invalid_grant");

    fixture.controls().change(|switches| switches.token_life_seconds = None);
    let endless = fixture.controls().grant(account);
    assert!(endless.get("refresh_token").is_none() && endless.get("expires_in").is_none());

    let second = fixture.controls().grant(account);
    fixture.controls().change(|switches| switches.second_grant_ends_first = true);
    fixture.controls().grant(account);
    let dead = format!("Bearer {}", second["access_token"].as_str().expect("a token"));
    assert_eq!(fixture.send("GET", "/v2/users/me", &dead, None).await.status, 401);
}

#[actix_web::test]
async fn tokens_end_by_time_by_revocation_and_by_the_user() {
    let fixture = Fixture::start().await;
    let account = fixture.first().id;
    let me = async |tokens: &Value| {
        let authorization = format!("Bearer {}", tokens["access_token"].as_str().expect("a token"));
        fixture.send("GET", "/v2/users/me", &authorization, None).await
    };
    let tokens = fixture.controls().grant(account);
    fixture.controls().expire_access_tokens(account);
    let expired = me(&tokens).await;
    assert_eq!((expired.status, &expired.body["code"]), (401, &json!("invalid_token")));

    let tokens = fixture.controls().grant(account);
    let path = format!("/oauth/access_token/{}", tokens["access_token"].as_str().expect("a token"));
    let revoked = fixture.send("DELETE", &path, &client(), None).await;
    assert_eq!((revoked.status, revoked.body), (200, json!({})));
    assert_eq!(fixture.send("DELETE", &path, &client(), None).await.status, 404);
    assert_eq!(me(&tokens).await.status, 401);
    let refresh = tokens["refresh_token"].as_str().expect("a refresh token");
    let renewal = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    assert_eq!(fixture.exchange(&renewal).await.status, 400, "the refresh token dies with the access token");
    assert_eq!(fixture.controls().count("DELETE /oauth/access_token/{token}"), 2);

    let tokens = fixture.controls().grant(account);
    fixture.controls().revoke_account_grants(account);
    assert_eq!(me(&tokens).await.status, 401);
    let tokens = fixture.controls().grant(account);
    fixture.clock.advance(TimeDelta::days(30));
    assert_eq!(me(&tokens).await.status, 401);
}

#[actix_web::test]
async fn credentials_are_told_apart() {
    let fixture = Fixture::start().await;
    let first = fixture.first();
    for (authorization, status, code) in [
        (String::new(), 401, "auth_required"),
        ("Bearer at_unknown".to_owned(), 401, "invalid_token"),
        ("Basic !!!".to_owned(), 401, "invalid_request"),
        (basic(&first.email, "pt_wrong"), 401, "invalid_token"),
        (basic(&first.email, &first.personal_access_token), 200, ""),
    ] {
        let answer = fixture.send("GET", "/v2/users/me", &authorization, None).await;
        assert_eq!(answer.status, status, "{authorization}");
        assert_eq!(answer.body["code"].as_str().unwrap_or_default(), code, "{authorization}");
    }
    let silent = fixture.raw("GET /v2/users/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x").await;
    assert!(silent.starts_with("HTTP/1.1 401") && silent.contains("user_agent_required"), "{silent}");
    let silent = fixture.raw("POST /oauth/access_token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0").await;
    assert!(silent.starts_with("HTTP/1.1 403"), "{silent}");
    let foreign = fixture.raw("GET /_control HTTP/1.1\r\nHost: evil.example\r\nUser-Agent: x").await;
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
}

#[actix_web::test]
async fn read_only_tokens_only_read() {
    let fixture = Fixture::start().await;
    fixture.controls().change(|switches| switches.read_only = true);
    let authorization = fixture.bearer(fixture.first().id);
    assert_eq!(fixture.send("GET", "/v2/owners", &authorization, None).await.status, 200);
    let refused = fixture.send("POST", "/v2/guests", &authorization, Some(json!({"first_name": "Ann"}))).await;
    assert_eq!(refused.status, 403);
}
