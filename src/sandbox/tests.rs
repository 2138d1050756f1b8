//! The simulator as a client meets it, over real connections.

use std::sync::Arc;

use actix_web::http::Method;
use awc::Client;
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{clock::tests::StoppedClock, operations::Kind, *};
use crate::domain::AccountId;

const CALLBACK: &str = "http://localhost:9999/callback";

struct Sandbox {
    simulator: Simulator,
    clock: Arc<StoppedClock>,
    http: Client,
}

struct Answered {
    status: u16,
    body: Value,
    location: Option<String>,
}

impl Sandbox {
    async fn start() -> Self {
        let clock = StoppedClock::at("2026-11-23T12:00:00Z");
        let simulator = Simulator::start(SimulatorOptions::new(clock.clone())).await.expect("a simulator");
        Sandbox { simulator, clock, http: Client::builder().disable_redirects().finish() }
    }

    fn controls(&self) -> &Controls {
        self.simulator.controls()
    }

    fn first(&self) -> DemoAccount {
        self.controls().accounts()[0].clone()
    }

    fn bearer(&self, account: AccountId) -> String {
        format!("Bearer {}", self.controls().grant(account)["access_token"].as_str().expect("a token"))
    }

    async fn send(&self, method: &str, target: &str, authorization: &str, body: Option<Value>) -> Answered {
        let url = if target.starts_with("http") { target.to_owned() } else { self.simulator.url() + target };
        let mut request = self
            .http
            .request(Method::from_bytes(method.as_bytes()).expect("a method"), url)
            .insert_header(("User-Agent", "Test/1.0 (c_sandbox)"));
        if !authorization.is_empty() {
            request = request.insert_header(("Authorization", authorization));
        }
        let sent = match body {
            Some(body) => request.send_json(&body).await,
            None => request.send().await,
        };
        read(sent.expect("an answer")).await
    }

    async fn form(&self, path: &str, authorization: &str, fields: &[(&str, &str)]) -> Answered {
        let request = self
            .http
            .post(self.simulator.url() + path)
            .insert_header(("User-Agent", "Test/1.0 (c_sandbox)"))
            .insert_header(("Authorization", authorization));
        read(request.send_form(&fields).await.expect("an answer")).await
    }

    async fn get(&self, target: &str) -> Answered {
        let authorization = self.bearer(self.first().id);
        self.send("GET", target, &authorization, None).await
    }

    fn authorize_url(&self, extra: &str) -> String {
        format!(
            "/oauth/authorize?response_type=code&client_id=c_sandbox&redirect_uri=http%3A%2F%2Flocalhost%3A9999%2Fcallback&state=s1{extra}"
        )
    }

    fn code(&self) -> String {
        let url = format!("http://x{}", self.authorize_url(""));
        let back = self.controls().approve(&url, self.first().id).expect("a redirect");
        query_value(&back, "code")
    }

    async fn exchange(&self, fields: &[(&str, &str)]) -> Answered {
        self.form("/oauth/access_token", &client(), fields).await
    }

    /// Writes a request by hand and reads until the connection closes.
    async fn raw(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.simulator.server.address).await.expect("a connection");
        stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }
}

async fn read(
    mut response: awc::ClientResponse<impl futures_util::Stream<Item = Result<bytes::Bytes, awc::error::PayloadError>> + Unpin>,
) -> Answered {
    let location = response.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = response.body().limit(10_000_000).await.expect("a body");
    Answered { status: response.status().as_u16(), body: serde_json::from_slice(&body).unwrap_or_default(), location }
}

fn client() -> String {
    basic("c_sandbox", "s_sandbox")
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn query_value(url: &str, name: &str) -> String {
    let url = url::Url::parse(url).expect("an address");
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn ids(page: &Value) -> Vec<i64> {
    page["items"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_i64()).collect()
}

#[actix_web::test]
async fn every_operation_answers_a_valid_call() {
    let sandbox = Sandbox::start().await;
    let authorization = sandbox.bearer(sandbox.first().id);
    let property = ids(&sandbox.get("/v2/properties").await.body)[0];
    for operation in Operations::load().expect("embedded data").all {
        let guests = sandbox.get("/v2/guests?q=a").await.body;
        let guest = &guests["items"][0];
        let booking = ids(&sandbox.get(&format!("/v2/bookings?property_ids={property}")).await.body)[0];
        let owner = ids(&sandbox.get("/v2/owners").await.body)[0];
        let collection_id = match &operation.kind {
            Some(Kind::Get { collection } | Kind::Update { collection, .. } | Kind::Delete { collection }) => {
                match collection.as_str() {
                    "properties" => property,
                    "bookings" => booking,
                    "owners" => owner,
                    _ => guest["id"].as_i64().expect("a guest"),
                }
            }
            _ => guest["id"].as_i64().expect("a guest"),
        };
        let path = operation
            .path
            .replace("{id}", &collection_id.to_string())
            .replace("{property_id}", &property.to_string())
            .replace("{address_id}", &guest["addresses"][0]["id"].to_string())
            .replace("{email_address_id}", &guest["email_addresses"][0]["id"].to_string())
            .replace("{phone_id}", &guest["phones"][0]["id"].to_string());
        let query = match operation.tool.as_str() {
            "get_property_calendar" => "?from=2026-11-01&to=2026-12-31".to_owned(),
            "list_bookings" => format!("?property_ids={property}"),
            "list_guests" => "?q=a".to_owned(),
            _ => String::new(),
        };
        let body = match operation.tool.as_str() {
            "create_booking" => Some(json!({
                "property_id": property, "is_block": true, "arrival": "2028-03-01", "departure": "2028-03-05",
            })),
            _ if operation.read_only || operation.method == "DELETE" => None,
            _ => Some(json!({"notes": "changed"})),
        };
        let answer = sandbox.send(&operation.method, &format!("{path}{query}"), &authorization, body).await;
        assert!((200..300).contains(&answer.status), "{}: {} {}", operation.tool, answer.status, answer.body);
    }
}

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
async fn the_log_keeps_no_secret() {
    let sandbox = Sandbox::start().await;
    let tokens = sandbox.controls().grant(sandbox.first().id);
    let access = tokens["access_token"].as_str().expect("a token");
    let refresh = tokens["refresh_token"].as_str().expect("a token");
    sandbox.exchange(&[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
    sandbox.send("GET", "/v2/owners", &format!("Bearer {access}"), None).await;
    sandbox.send("DELETE", &format!("/oauth/access_token/{access}"), &client(), None).await;
    let log = serde_json::to_string(&sandbox.controls().requests()).expect("a log");
    assert!(!log.contains(access) && !log.contains(refresh) && !log.contains("s_sandbox"), "{log}");
    let accounts: Vec<_> = sandbox.controls().requests().iter().map(|record| record.account).collect();
    assert_eq!(accounts, vec![Some(sandbox.first().id.0); 3]);
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
    sandbox.controls().change(|switches| switches.missing_user_agent_status = 403);
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

#[actix_web::test]
async fn errors_have_the_documented_body() {
    let sandbox = Sandbox::start().await;
    let missing = sandbox.get("/v2/guests/1").await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.body["messages"], json!(["Expected entity Guest:Id:1 not found."]));
    assert_eq!((&missing.body["status"], &missing.body["status_code"]), (&json!("not_found"), &json!(404)));
    for (target, status, code) in [
        ("/v2/threads", 404, "not_found"),
        ("/v2/guests/abc", 400, "validation_failed"),
        ("/v2/bookings", 400, "validation_failed"),
        ("/v2/bookings?property_ids=1&limit=0", 400, "validation_failed"),
        ("/v2/properties?offset=-1", 400, "validation_failed"),
    ] {
        let answer = sandbox.get(target).await;
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{target}");
    }
    let calendar = ids(&sandbox.get("/v2/properties").await.body)[0];
    for range in ["from=2026-01-01&to=2027-01-03", "from=2026-02-01&to=2026-01-01", "from=2026-02-01"] {
        assert_eq!(sandbox.get(&format!("/v2/calendar/{calendar}?{range}")).await.status, 400, "{range}");
    }
    let wrong_method = sandbox.send("PUT", "/v2/guests/1", &sandbox.bearer(sandbox.first().id), None).await;
    assert_eq!(wrong_method.status, 405);
}

#[actix_web::test]
async fn pages_follow_each_other_and_end() {
    let sandbox = Sandbox::start().await;
    let all = sandbox.get("/v2/properties?limit=500").await.body;
    assert_eq!((&all["limit"], &all["count"]), (&json!(100), &json!(12)));
    let mut next = Some("/v2/properties?active=true&limit=4".to_owned());
    let mut seen = Vec::new();
    while let Some(target) = next {
        let page = sandbox.get(&target).await.body;
        seen.extend(ids(&page));
        next = page["next_page_url"].as_str().map(str::to_owned);
        assert!(next.iter().all(|url| url.starts_with(&sandbox.simulator.url()) && url.contains("active=true")));
    }
    assert_eq!(seen.len(), 11);
    assert!(seen.iter().all(|id| ids(&all).contains(id)));

    let bookings = sandbox.get("/v2/bookings?since_utc=2026-01-01T00:00:00Z").await.body;
    assert_eq!(ids(&bookings).len(), 20);
    assert!(bookings.get("count").is_none());
    sandbox.controls().change(|switches| switches.drop_empty_items = true);
    let empty = sandbox.get("/v2/bookings?property_ids=1").await.body;
    assert_eq!(empty, json!({"limit": 20, "offset": 0}));
}

#[actix_web::test]
async fn filters_do_what_they_say() {
    let sandbox = Sandbox::start().await;
    let items = async |target: &str| {
        let body = sandbox.get(target).await.body;
        let items = body["items"].as_array().cloned().unwrap_or_default();
        assert!(!items.is_empty(), "{target}: {body}");
        items
    };
    let text = |item: &Value, member: &str| item[member].as_str().unwrap_or_default().to_owned();
    let since = "since_utc=2025-01-01&limit=100";
    for booking in items(&format!("/v2/bookings?{since}&status=canceled")).await {
        assert_eq!(booking["status"], "canceled");
        assert!(booking["canceled_utc"].is_string());
    }
    for booking in items(&format!("/v2/bookings?{since}&from=2026-11-20&to=2026-12-01")).await {
        assert!(text(&booking, "departure").as_str() >= "2026-11-20" && text(&booking, "arrival").as_str() <= "2026-12-01");
    }
    for booking in items("/v2/bookings?since_utc=2026-11-20T00:00:00Z").await {
        assert!(text(&booking, "updated_utc").as_str() > "2026-11-20");
    }
    for property in items("/v2/propertysearch?bedrooms_min=3&rate_max=300").await {
        assert!(property["bedrooms"].as_i64().unwrap_or_default() >= 3);
    }
    let guest = items("/v2/guests?created_since_utc=2020-01-01").await.remove(0);
    let mail = text(&guest["email_addresses"][0], "address");
    assert_eq!(ids(&json!({"items": items(&format!("/v2/guests?q={}", mail.to_uppercase())).await})), vec![guest["id"].as_i64().unwrap_or_default()]);
    let tagged = items("/v2/propertysearch?include_tag_ids[0]=3").await.len();
    let untagged = items("/v2/propertysearch?exclude_tag_ids[0]=3").await.len();
    assert_eq!(tagged + untagged, 12);
    let free = items("/v2/propertysearch?available_from=2026-12-01&available_to=2026-12-02&evaluate_rules=true").await;
    assert!(free.iter().all(|property| property["rule_violations"][0].is_string()), "one night is too short everywhere");
    for property in free {
        let id = &property["id"];
        let days = sandbox.get(&format!("/v2/calendar/{id}?from=2026-12-01&to=2026-12-01")).await.body;
        assert!(["available", "gap"].contains(&days["days"][0]["status"].as_str().unwrap_or_default()));
        assert_eq!(days["days"][0]["date"], "2026-12-01T00:00:00");
    }
}

#[actix_web::test]
async fn optional_members_come_only_when_asked_for() {
    let sandbox = Sandbox::start().await;
    let plain = sandbox.get("/v2/bookings?since_utc=2020-01-01&limit=100").await.body;
    let booking = plain["items"].as_array().into_iter().flatten().find(|item| item["type"] == "booking").expect("a booking");
    let names = ["door_codes", "charges", "tags", "fields", "guest", "cancellation_policy_description", "agreements"];
    assert!(names.iter().all(|name| booking.get(name).is_none()));
    let asked = "include_door_codes=true&include_charges=true&include_tags=true&include_fields=true&include_guest=true\
                 &include_cancellation_policy=true&include_agreements=true";
    let full = sandbox.get(&format!("/v2/bookings/{}?{asked}", booking["id"])).await.body;
    assert!(names.iter().all(|name| full.get(name).is_some()), "{full}");
    assert_eq!(full["guest"]["id"], booking["guest_id"]);
    let everything = plain.to_string() + &full.to_string();
    assert!(!everything.contains("null") && !everything.contains("\"_"));
}

#[actix_web::test]
async fn writes_stick_and_conflicts_are_refused() {
    let sandbox = Sandbox::start().await;
    let authorization = sandbox.bearer(sandbox.first().id);
    let send = async |method: &str, path: &str, body: Value| sandbox.send(method, path, &authorization, Some(body)).await;
    let property = ids(&sandbox.get("/v2/properties").await.body)[0];

    let block = json!({"property_id": property, "is_block": true, "arrival": "2028-02-01", "departure": "2028-02-04"});
    let created = send("POST", "/v2/bookings", block.clone()).await;
    assert_eq!((created.status, &created.body["type"]), (200, &json!("block")));
    let conflict = send("POST", "/v2/bookings", block).await;
    assert_eq!((conflict.status, &conflict.body["code"]), (400, &json!("validation_failed")));
    let path = format!("/v2/bookings/{}", created.body["id"]);
    let moved = send("PATCH", &path, json!({"departure": "2028-02-06", "title": "Painting", "id": 1})).await;
    assert_eq!((moved.status, &moved.body["title"], &moved.body["id"]), (200, &json!("Painting"), &created.body["id"]));
    assert_eq!(sandbox.get(&path).await.body["departure"], "2028-02-06");
    assert_eq!(send("PATCH", &path, json!({"title": null})).await.body.get("title"), None);

    for bad in [
        json!({"property_id": property, "arrival": "2028-05-01", "departure": "2028-05-04"}),
        json!({"property_id": property, "is_block": true, "arrival": "2028-05-04", "departure": "2028-05-01"}),
        json!({"property_id": 1, "is_block": true, "arrival": "2028-05-01", "departure": "2028-05-04"}),
        json!({"property_id": property, "is_block": true, "arrival": "1 May", "departure": "2028-05-04"}),
        json!({"property_id": property, "is_block": true, "arrival": "0001-01-01", "departure": "9999-05-04"}),
        json!([]),
    ] {
        assert_eq!(send("POST", "/v2/bookings", bad.clone()).await.status, 400, "{bad}");
    }

    let guest = send("POST", "/v2/guests", json!({"first_name": "Ann", "phones": [{"number": "1"}, {"number": "2"}]})).await.body;
    let phone = &guest["phones"][0]["id"];
    let path = format!("/v2/guests/{}", guest["id"]);
    let changed = send("PATCH", &path, json!({"phones": [{"id": phone, "number": "3"}, {"number": "4"}]})).await.body;
    let numbers: Vec<_> = changed["phones"].as_array().into_iter().flatten().map(|phone| phone["number"].clone()).collect();
    assert_eq!(numbers, [json!("3"), json!("2"), json!("4")]);
    assert_eq!(sandbox.send("DELETE", &format!("{path}/phones/{phone}"), &authorization, None).await.status, 204);
    assert_eq!(sandbox.send("DELETE", &format!("{path}/phones/{phone}"), &authorization, None).await.status, 404);

    let stay = json!({"property_id": property, "guest_id": guest["id"], "arrival": "2028-03-04", "departure": "2028-03-08"});
    let booked = send("POST", "/v2/bookings", stay).await.body;
    assert!(booked["total_amount"].as_f64().unwrap_or_default() > 0.0, "{booked}");
    assert_eq!(booked["total_owed"], booked["total_amount"]);
    sandbox.controls().change(|switches| switches.delete_answers_204 = false);
    let deleted = sandbox.send("DELETE", &path, &authorization, None).await;
    assert_eq!((deleted.status, &deleted.body["success"]), (200, &json!(true)));
    assert_eq!(sandbox.get(&path).await.status, 404);
}

#[actix_web::test]
async fn accounts_do_not_see_each_other() {
    let sandbox = Sandbox::start().await;
    let added = sandbox.controls().add_account("Tenant Four");
    let mine = sandbox.send("GET", "/v2/properties", &sandbox.bearer(added.id), None).await.body;
    assert!(mine["items"].as_array().into_iter().flatten().all(|item| item["name"].as_str().unwrap_or_default().starts_with("Tenant Four")));
    for id in ids(&mine) {
        assert_eq!(sandbox.get(&format!("/v2/properties/{id}")).await.status, 404);
    }
}

#[actix_web::test]
async fn the_allowance_slides_and_refuses_with_its_own_body() {
    let sandbox = Sandbox::start().await;
    sandbox.controls().change(|switches| switches.request_limit = 3);
    for status in [200, 200, 200, 429] {
        assert_eq!(sandbox.get("/v2/users/me").await.status, status);
    }
    let refused = sandbox.exchange(&[]).await;
    assert_eq!((refused.status, refused.body), (429, json!({"code": 429, "error": "Rate limit exceeded."})));
    assert_eq!(sandbox.send("GET", &sandbox.authorize_url(""), "", None).await.status, 200, "a page, not the API");
    sandbox.controls().advance(TimeDelta::minutes(5));
    assert_eq!(sandbox.get("/v2/users/me").await.status, 200);
    assert_eq!(sandbox.controls().count_status(429), 2);
}

#[actix_web::test]
async fn scripted_answers_delays_and_cuts() {
    let sandbox = Sandbox::start().await;
    let controls = sandbox.controls();
    controls.script(Rule::on("GET /v2/owners").reply(503, json!({"busy": true})).header("Retry-After", "3"));
    let scripted = sandbox.get("/v2/owners").await;
    assert_eq!((scripted.status, scripted.body), (503, json!({"busy": true})));
    assert_eq!(sandbox.get("/v2/owners").await.status, 200);

    let head = "GET /v2/owners HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x";
    controls.script(Rule::on("GET /v2/owners").reset());
    assert_eq!(sandbox.raw(head).await, "");
    controls.script(Rule::on("* /v2/*").lose_reply());
    let authorization = sandbox.bearer(sandbox.first().id);
    let body = r#"{"first_name":"Lost"}"#;
    let post = format!(
        "POST /v2/guests HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(sandbox.raw(&post).await, "");
    assert_eq!(ids(&sandbox.get("/v2/guests?q=Lost").await.body).len(), 1, "the lost reply took effect");

    controls.script(Rule::on("GET /v2/owners").giant_body(5_000_000));
    assert_eq!(sandbox.get("/v2/owners").await.body.as_str().map(str::len), Some(4_999_998));
    controls.script(Rule::on("GET /v2/owners").invalid_json());
    assert_eq!(sandbox.get("/v2/owners").await.body, Value::Null);

    controls.script(Rule::on("GET /v2/owners").delay(TimeDelta::seconds(30)));
    let held = controls.hold("GET /v2/owners");
    let slow = sandbox.get("/v2/owners");
    tokio::pin!(slow);
    tokio::select! {
        _ = &mut slow => panic!("held requests wait"),
        () = held.wait_arrived(1) => {}
    }
    held.release();
    assert!(futures_util::poll!(&mut slow).is_pending());
    controls.advance(TimeDelta::seconds(30));
    assert_eq!(slow.await.status, 200);
}

#[actix_web::test]
async fn a_late_body_follows_its_head() {
    let sandbox = Sandbox::start().await;
    sandbox.controls().script(Rule::on("GET /v2/owners").body_delay(TimeDelta::seconds(5)));
    let mut stream = TcpStream::connect(sandbox.simulator.server.address).await.expect("a connection");
    stream.write_all(b"GET /v2/owners HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a byte of the head"));
    }
    let next = stream.read_u8();
    tokio::pin!(next);
    assert!(futures_util::poll!(&mut next).is_pending());
    sandbox.clock.advance(TimeDelta::seconds(5));
    assert_eq!(next.await.expect("the body"), b'{');
}

#[actix_web::test]
async fn the_control_surface_does_the_same_over_http() {
    let sandbox = Sandbox::start().await;
    let control = async |method: &str, path: &str, body: Value| {
        let body = (!body.is_null()).then_some(body);
        sandbox.send(method, &format!("/_control{path}"), "", body).await
    };
    let account = control("POST", "/accounts", json!({"name": "Over HTTP"})).await.body["id"].clone();
    let tokens = control("POST", &format!("/accounts/{account}/grant"), Value::Null).await.body;
    let authorization = format!("Bearer {}", tokens["access_token"].as_str().expect("a token"));
    control("POST", "/rules", json!({"pattern": "GET /v2/owners", "answer": {"reply": {"status": 500}}})).await;
    assert_eq!(sandbox.send("GET", "/v2/owners", &authorization, None).await.status, 500);
    control("PATCH", "/switches", json!({"request_limit": 1})).await;
    assert_eq!(sandbox.controls().switches().request_limit, 1);
    assert_eq!(control("PATCH", "/switches", json!({"unknown": 1})).await.status, 400);
    assert_eq!(sandbox.send("GET", "/v2/owners", &authorization, None).await.status, 429);
    control("POST", "/advance", json!({"seconds": 300})).await;
    let hold = control("POST", "/holds", json!({"pattern": "GET /v2/owners"})).await.body["id"].clone();
    let waiting = sandbox.send("GET", "/v2/owners", &authorization, None);
    let driver = async {
        let arrived = control("GET", &format!("/holds/{hold}?arrived=1"), Value::Null).await.body;
        control("DELETE", &format!("/holds/{hold}"), Value::Null).await;
        arrived
    };
    let (answer, arrived) = futures_util::join!(waiting, driver);
    assert_eq!((answer.status, &arrived["arrived"]), (200, &json!(1)));
    let log = control("GET", "/requests?pattern=GET%20/v2/owners", Value::Null).await.body;
    assert_eq!(log.as_array().map(Vec::len), Some(3));
    control("POST", &format!("/accounts/{account}/expire"), Value::Null).await;
    control("POST", "/reset", Value::Null).await;
    assert_eq!(sandbox.controls().accounts().len(), 3);
    assert_eq!(control("GET", "/nothing", Value::Null).await.status, 404);
}

#[actix_web::test]
async fn it_stops_and_frees_its_port() {
    let sandbox = Sandbox::start().await;
    let address = sandbox.simulator.server.address;
    sandbox.simulator.stop(false).await;
    assert!(TcpStream::connect(address).await.is_err());
}
