//! Credentials: the browser flow, tokens and their expiry.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{CALLBACK, Sandbox, basic, client, query_value};

#[actix_web::test]
async fn the_browser_flow_leads_to_tokens_once() {
    let sandbox = Sandbox::start().await;
    let page = sandbox.send("GET", &sandbox.authorize_url(""), "", None).await;
    assert_eq!(page.status, 200);
    let account = sandbox.first().id.to_string();
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
    let denied = sandbox.form("/oauth/authorize", "", &decide("deny")).await;
    assert_eq!(denied.status, 302);
    assert_eq!(query_value(&denied.location.expect("a location"), "error"), "access_denied");

    let approved = sandbox.form("/oauth/authorize", "", &decide("approve")).await.location.expect("a location");
    assert!(approved.starts_with(CALLBACK));
    assert_eq!(query_value(&approved, "state"), "s1");
    let code = query_value(&approved, "code");
    assert!(code.starts_with("tc_"));

    let fields = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    let tokens = sandbox.exchange(&fields).await;
    assert_eq!(tokens.status, 200);
    assert_eq!(tokens.body["user_id"], sandbox.first().id.0);
    assert_eq!(tokens.body["expires_in"], 2_592_000);
    assert_eq!(tokens.body["expires_at"], "2026-12-23T12:00:00Z");
    let again = sandbox.exchange(&fields).await;
    assert_eq!((again.status, &again.body["error"]), (400, &json!("invalid_grant")));

    let authorization = format!("Bearer {}", tokens.body["access_token"].as_str().expect("a token"));
    let me = sandbox.send("GET", "/v2/users/me", &authorization, None).await;
    assert_eq!(me.body["id"], sandbox.first().id.0);
}

#[actix_web::test]
async fn bad_authorization_requests_stay_on_a_page() {
    let sandbox = Sandbox::start().await;
    for query in [
        "response_type=code&client_id=c_other&redirect_uri=https%3A%2F%2Fa.example%2F",
        "response_type=code&client_id=c_sandbox",
        "response_type=code&client_id=c_sandbox&redirect_uri=http%3A%2F%2Fa.example%2F",
        "response_type=code&client_id=c_sandbox&redirect_uri=javascript%3Aalert(1)",
        "response_type=code&client_id=c_sandbox&redirect_uri=%2Frelative",
    ] {
        let page = sandbox.send("GET", &format!("/oauth/authorize?{query}"), "", None).await;
        assert_eq!((page.status, page.location), (400, None), "{query}");
    }
    let wrong_type = sandbox.authorize_url("").replace("response_type=code", "response_type=token");
    let back = sandbox.send("GET", &wrong_type, "", None).await.location.expect("a location");
    assert_eq!(query_value(&back, "error"), "unsupported_response_type");
}

#[actix_web::test]
async fn the_token_endpoint_refuses_what_it_should() {
    let sandbox = Sandbox::start().await;
    let code = sandbox.code();
    let grant = [("grant_type", "authorization_code"), ("code", code.as_str())];
    let stranger = sandbox.form("/oauth/access_token", &basic("c_sandbox", "s_wrong"), &grant).await;
    assert_eq!((stranger.status, &stranger.body["error"]), (401, &json!("invalid_client")));
    let elsewhere = [grant[0], grant[1], ("redirect_uri", "http://localhost:9999/other")];
    assert_eq!(sandbox.exchange(&elsewhere).await.body["error"], "invalid_grant");

    let code = sandbox.code();
    sandbox.clock.advance(TimeDelta::minutes(10));
    let late = sandbox.exchange(&[grant[0], ("code", &code)]).await;
    assert_eq!((late.status, &late.body["error"]), (400, &json!("invalid_grant")));
    assert_eq!(sandbox.exchange(&[("grant_type", "password")]).await.body["error"], "unsupported_grant_type");

    let code = sandbox.code();
    let alias = sandbox.form("/oauth/token", &client(), &[grant[0], ("code", &code)]).await;
    assert_eq!(alias.status, 200, "redirect_uri is optional, and so is the longer path");
}

#[actix_web::test]
async fn refresh_follows_the_switches() {
    let sandbox = Sandbox::start().await;
    let account = sandbox.first().id;
    let tokens = sandbox.controls().grant(account);
    let refresh = tokens["refresh_token"].as_str().expect("a refresh token");
    let renewal = [("grant_type", "refresh_token"), ("refresh_token", refresh)];

    let kept = sandbox.exchange(&renewal).await;
    assert_eq!(kept.status, 200);
    assert!(kept.body.get("refresh_token").is_none(), "without rotation the old one goes on");

    sandbox.controls().change(|switches| switches.rotate_refresh_tokens = true);
    let rotated = sandbox.exchange(&renewal).await;
    assert!(rotated.body["refresh_token"].is_string());
    assert_eq!(sandbox.exchange(&renewal).await.body["error"], "invalid_grant");

    sandbox.controls().change(|switches| switches.token_life_seconds = None);
    let endless = sandbox.controls().grant(account);
    assert!(endless.get("refresh_token").is_none() && endless.get("expires_in").is_none());

    let second = sandbox.controls().grant(account);
    sandbox.controls().change(|switches| switches.second_grant_ends_first = true);
    sandbox.controls().grant(account);
    let dead = format!("Bearer {}", second["access_token"].as_str().expect("a token"));
    assert_eq!(sandbox.send("GET", "/v2/users/me", &dead, None).await.status, 401);
}

#[actix_web::test]
async fn tokens_end_by_time_by_revocation_and_by_the_user() {
    let sandbox = Sandbox::start().await;
    let account = sandbox.first().id;
    let me = async |tokens: &Value| {
        let authorization = format!("Bearer {}", tokens["access_token"].as_str().expect("a token"));
        sandbox.send("GET", "/v2/users/me", &authorization, None).await
    };
    let tokens = sandbox.controls().grant(account);
    sandbox.controls().expire_access_tokens(account);
    let expired = me(&tokens).await;
    assert_eq!((expired.status, &expired.body["code"]), (401, &json!("invalid_token")));

    let tokens = sandbox.controls().grant(account);
    let path = format!("/oauth/access_token/{}", tokens["access_token"].as_str().expect("a token"));
    let revoked = sandbox.send("DELETE", &path, &client(), None).await;
    assert_eq!((revoked.status, revoked.body), (200, json!({})));
    assert_eq!(sandbox.send("DELETE", &path, &client(), None).await.status, 404);
    assert_eq!(me(&tokens).await.status, 401);
    let refresh = tokens["refresh_token"].as_str().expect("a refresh token");
    let renewal = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    assert_eq!(sandbox.exchange(&renewal).await.status, 400, "the refresh token dies with the access token");
    assert_eq!(sandbox.controls().count("DELETE /oauth/access_token/{token}"), 2);

    let tokens = sandbox.controls().grant(account);
    sandbox.controls().revoke_account_grants(account);
    assert_eq!(me(&tokens).await.status, 401);
    let tokens = sandbox.controls().grant(account);
    sandbox.clock.advance(TimeDelta::days(30));
    assert_eq!(me(&tokens).await.status, 401);
}

#[actix_web::test]
async fn credentials_are_told_apart() {
    let sandbox = Sandbox::start().await;
    let first = sandbox.first();
    for (authorization, status, code) in [
        (String::new(), 401, "auth_required"),
        ("Bearer at_unknown".to_owned(), 401, "invalid_token"),
        ("Basic !!!".to_owned(), 401, "invalid_request"),
        (basic(&first.email, "pt_wrong"), 401, "invalid_token"),
        (basic(&first.email, &first.personal_access_token), 200, ""),
    ] {
        let answer = sandbox.send("GET", "/v2/users/me", &authorization, None).await;
        assert_eq!(answer.status, status, "{authorization}");
        assert_eq!(answer.body["code"].as_str().unwrap_or_default(), code, "{authorization}");
    }
    let silent = sandbox.raw("GET /v2/users/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x").await;
    assert!(silent.starts_with("HTTP/1.1 401") && silent.contains("user_agent_required"), "{silent}");
    let silent = sandbox.raw("POST /oauth/access_token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0").await;
    assert!(silent.starts_with("HTTP/1.1 403"), "{silent}");
    let foreign = sandbox.raw("GET /_control HTTP/1.1\r\nHost: evil.example\r\nUser-Agent: x").await;
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
}

#[actix_web::test]
async fn read_only_tokens_only_read() {
    let sandbox = Sandbox::start().await;
    sandbox.controls().change(|switches| switches.read_only = true);
    let authorization = sandbox.bearer(sandbox.first().id);
    assert_eq!(sandbox.send("GET", "/v2/owners", &authorization, None).await.status, 200);
    let refused = sandbox.send("POST", "/v2/guests", &authorization, Some(json!({"first_name": "Ann"}))).await;
    assert_eq!(refused.status, 403);
}
