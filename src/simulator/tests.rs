//! The simulator as its clients use it, over real connections.

mod described;
mod evidence;
mod oauth;
mod operations;
mod receiver;
mod seed;
mod steering;
mod webhook_faults;
mod webhooks;

use std::sync::Arc;

use actix_web::http::Method;
use awc::Client;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Controls, DemoAccount, Simulator, SimulatorOptions, Variations, clock::tests::StoppedClock};
use crate::domain::AccountId;

const CALLBACK: &str = "http://localhost:9999/callback";

struct Fixture {
    simulator: Simulator,
    clock: Arc<StoppedClock>,
    http: Client,
}

struct Answered {
    status: u16,
    body: Value,
    location: Option<String>,
}

impl Fixture {
    /// Starts a simulator as documented, without variations.
    async fn start() -> Self {
        Self::start_with(Some(Variations::none())).await
    }

    async fn start_with(variations: Option<Variations>) -> Self {
        let clock = StoppedClock::at("2026-11-23T12:00:00Z");
        let options = SimulatorOptions { variations, ..SimulatorOptions::new(clock.clone()) };
        let simulator = Simulator::start(options).await.expect("a simulator");
        Fixture { simulator, clock, http: Client::builder().disable_redirects().finish() }
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
    mut response: awc::ClientResponse<
        impl futures_util::Stream<Item = Result<bytes::Bytes, awc::error::PayloadError>> + Unpin,
    >,
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
