//! Control of the simulator by tests, and its request log.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Fixture, client, ids};
use crate::{domain::AccountId, simulator::Rule};

#[actix_web::test]
async fn the_log_keeps_no_secret() {
    let fixture = Fixture::start().await;
    let tokens = fixture.controls().grant(fixture.first().id);
    let access = tokens["access_token"].as_str().expect("a token");
    let refresh = tokens["refresh_token"].as_str().expect("a token");
    fixture.exchange(&[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
    fixture.send("GET", "/v2/owners", &format!("Bearer {access}"), None).await;
    fixture.send("DELETE", &format!("/oauth/access_token/{access}"), &client(), None).await;
    let log = serde_json::to_string(&fixture.controls().requests()).expect("a log");
    assert!(!log.contains(access) && !log.contains(refresh) && !log.contains("s_sandbox"), "{log}");
    let accounts: Vec<_> = fixture.controls().requests().iter().map(|record| record.account).collect();
    assert_eq!(accounts, vec![Some(fixture.first().id.0); 3]);
}

#[actix_web::test]
async fn the_allowance_slides_and_refuses_with_its_own_body() {
    let fixture = Fixture::start().await;
    fixture.controls().change(|switches| switches.request_limit = 3);
    for status in [200, 200, 200, 429] {
        assert_eq!(fixture.get("/v2/users/me").await.status, status);
    }
    let refused = fixture.exchange(&[]).await;
    assert_eq!((refused.status, refused.body), (429, json!({"code": 429, "error": "Rate limit exceeded."})));
    assert_eq!(fixture.send("GET", &fixture.authorize_url(""), "", None).await.status, 200, "a page, not the API");
    fixture.controls().advance(TimeDelta::minutes(5));
    assert_eq!(fixture.get("/v2/users/me").await.status, 200);
    assert_eq!(fixture.controls().count_status(429), 2);
}

#[actix_web::test]
async fn scripted_answers_delays_and_cuts() {
    let fixture = Fixture::start().await;
    let controls = fixture.controls();
    controls.script(Rule::on("GET /v2/owners").reply(503, json!({"busy": true})).header("Retry-After", "3"));
    let scripted = fixture.get("/v2/owners").await;
    assert_eq!((scripted.status, scripted.body), (503, json!({"busy": true})));
    assert_eq!(fixture.get("/v2/owners").await.status, 200);

    let head = "GET /v2/owners HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x";
    controls.script(Rule::on("GET /v2/owners").reset());
    assert_eq!(fixture.raw(head).await, "");
    controls.script(Rule::on("* /v2/*").lose_reply());
    let authorization = fixture.bearer(fixture.first().id);
    let body = r#"{"first_name":"Lost"}"#;
    let post = format!(
        "POST /v2/guests HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(fixture.raw(&post).await, "");
    assert_eq!(ids(&fixture.get("/v2/guests?q=Lost").await.body).len(), 1, "the lost reply took effect");

    controls.script(Rule::on("GET /v2/owners").giant_body(5_000_000));
    assert_eq!(fixture.get("/v2/owners").await.body.as_str().map(str::len), Some(4_999_998));
    controls.script(Rule::on("GET /v2/owners").invalid_json());
    assert_eq!(fixture.get("/v2/owners").await.body, Value::Null);

    controls.script(Rule::on("GET /v2/owners").delay(TimeDelta::seconds(30)));
    let held = controls.hold("GET /v2/owners");
    let slow = fixture.get("/v2/owners");
    tokio::pin!(slow);
    tokio::select! {
        _ = &mut slow => panic!("held requests wait"),
        () = held.wait_arrived(1) => {}
    }
    held.release();
    controls.advance(TimeDelta::seconds(30));
    assert_eq!(slow.await.status, 200);
}

#[actix_web::test]
async fn a_late_body_follows_its_head() {
    let fixture = Fixture::start().await;
    fixture.controls().script(Rule::on("GET /v2/owners").body_delay(TimeDelta::seconds(5)));
    let mut stream = TcpStream::connect(fixture.simulator.server.address).await.expect("a connection");
    stream.write_all(b"GET /v2/owners HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x\r\n\r\n").await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a byte of the head"));
    }
    let next = stream.read_u8();
    tokio::pin!(next);
    assert!(futures_util::poll!(&mut next).is_pending());
    fixture.clock.advance(TimeDelta::seconds(5));
    assert_eq!(next.await.expect("the body"), b'{');
}

#[actix_web::test]
async fn the_control_surface_does_the_same_over_http() {
    let fixture = Fixture::start().await;
    let control = async |method: &str, path: &str, body: Value| {
        let body = (!body.is_null()).then_some(body);
        fixture.send(method, &format!("/_control{path}"), "", body).await
    };
    let account = control("POST", "/accounts", json!({"name": "Over HTTP"})).await.body["id"].clone();
    let tokens = control("POST", &format!("/accounts/{account}/grant"), Value::Null).await.body;
    let authorization = format!("Bearer {}", tokens["access_token"].as_str().expect("a token"));
    control("POST", "/rules", json!({"pattern": "GET /v2/owners", "answer": {"reply": {"status": 500}}})).await;
    assert_eq!(fixture.send("GET", "/v2/owners", &authorization, None).await.status, 500);
    let variations = format!("/accounts/{account}/variations");
    assert_eq!(control("GET", &variations, Value::Null).await.body, json!(["user_agent_refused_in_front"]));
    let changed =
        control("PATCH", &variations, json!({"thread_only": true, "user_agent_refused_in_front": false})).await.body;
    assert_eq!(changed, json!(["thread_only"]));
    assert_eq!(control("PATCH", &variations, json!({"unknown": true})).await.status, 400);
    let large = control("POST", "/accounts", json!({"name": "Large", "properties": 5, "bookings": 30})).await.body;
    assert_eq!(fixture.controls().records(AccountId(large["id"].as_i64().expect("an id")), "bookings").len(), 30);
    control("PATCH", "/switches", json!({"request_limit": 1})).await;
    assert_eq!(fixture.controls().switches().request_limit, 1);
    assert_eq!(control("PATCH", "/switches", json!({"unknown": 1})).await.status, 400);
    assert_eq!(fixture.send("GET", "/v2/owners", &authorization, None).await.status, 429);
    control("POST", "/advance", json!({"seconds": 300})).await;
    control("PATCH", "/switches", json!({"request_limit": 100, "token_life_seconds": i64::MAX})).await;
    assert_eq!(control("POST", &format!("/accounts/{account}/grant"), Value::Null).await.status, 200);
    let hold = control("POST", "/holds", json!({"pattern": "GET /v2/owners"})).await.body["id"].clone();
    let waiting = fixture.send("GET", "/v2/owners", &authorization, None);
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
    assert_eq!(fixture.controls().accounts().len(), 3);
    assert_eq!(control("GET", "/nothing", Value::Null).await.status, 404);
}

#[actix_web::test]
async fn it_stops_and_frees_its_port() {
    let fixture = Fixture::start().await;
    let address = fixture.simulator.server.address;
    fixture.simulator.stop(false).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[test]
fn the_handles_cross_threads() {
    fn crosses<T: Clone + Send + Sync + 'static>() {}
    crosses::<crate::simulator::Simulator>();
    crosses::<crate::simulator::Controls>();
}

#[actix_web::test]
async fn a_waiting_test_is_woken_by_the_arrival() {
    let fixture = Fixture::start().await;
    let held = fixture.controls().hold_account("* /v2/*", fixture.first().id);
    let other = fixture.controls().add_account("Not Held");
    let authorization = fixture.bearer(other.id);
    assert_eq!(fixture.send("GET", "/v2/owners", &authorization, None).await.status, 200);
    let release = async {
        fixture.controls().wait_for("GET /v2/properties", 1).await;
        drop(held);
    };
    let (answer, ()) = futures_util::join!(fixture.get("/v2/properties"), release);
    assert_eq!(answer.status, 200);
}
