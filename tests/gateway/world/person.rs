//! A user with an API key, or without.

use awc::http::header;
use ownerrez_gateway::domain::{AccountId, UserId};
use serde_json::{Value, json};

use super::rpc;

/// A client of the gateway. A clone is the same user with a second connection.
#[derive(Clone)]
pub(crate) struct Person {
    http: awc::Client,
    url: String,
    pub(crate) key: String,
    pub(crate) id: String,
    /// The connected OwnerRez account.
    pub(crate) account: Option<AccountId>,
}

/// A REST response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Reply {
    /// Returns the stable code of an error.
    pub(crate) fn error(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }

    /// Returns a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The result of a tool call.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) Reply);

impl Answer {
    /// Returns the structured content of a success.
    pub(crate) fn ok(self) -> Value {
        let result = &self.0.body["result"];
        assert_eq!(result["isError"], json!(false), "{}", self.0.body);
        result["structuredContent"].clone()
    }

    /// Returns the text of an `isError` result.
    pub(crate) fn refused(self) -> String {
        let result = &self.0.body["result"];
        assert_eq!(result["isError"], json!(true), "{}", self.0.body);
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// Returns whether the call succeeded.
    pub(crate) fn is_ok(&self) -> bool {
        self.0.body["result"]["isError"] == json!(false)
    }
}

impl Person {
    /// Returns a user without a key.
    pub(crate) fn visitor(url: &str) -> Self {
        let http = awc::Client::builder().disable_timeout().disable_redirects().finish();
        Self { http, url: url.to_owned(), key: String::new(), id: String::new(), account: None }
    }

    /// Returns the same user with a key.
    pub(crate) fn with_key(&self, key: &str, id: &str) -> Self {
        Self { key: key.to_owned(), id: id.to_owned(), ..self.clone() }
    }

    /// Returns the same user with requests to another process.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// Returns the user id.
    pub(crate) fn user(&self) -> UserId {
        UserId(self.id.parse().unwrap())
    }

    /// Sends a `GET` with the key.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], None).await
    }

    /// Sends a `DELETE` with the key.
    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], None).await
    }

    /// Sends a `POST` of JSON with the key.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], Some(body.to_string())).await
    }

    /// Sends any request, with the key unless it is empty.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<String>) -> Reply {
        let mut request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.url));
        if !self.key.is_empty() {
            request = request.insert_header((header::AUTHORIZATION, format!("Bearer {}", self.key)));
        }
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        let sent = match body {
            Some(body) => request.send_body(body),
            None => request.send(),
        };
        let mut response = sent.await.unwrap();
        let body = response.body().limit(16 << 20).await.unwrap();
        let text = |value: &header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        Reply {
            status: response.status().as_u16(),
            headers: response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: serde_json::from_slice(&body)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned())),
        }
    }

    /// Sends a JSON-RPC message to `/mcp`, as a client of 2025-06-18 does.
    pub(crate) async fn mcp(&self, message: &Value) -> Reply {
        self.mcp_at("/mcp", &[], message).await
    }

    /// Does the same at another path, with more headers.
    pub(crate) async fn mcp_at(&self, path: &str, more: &[(&str, &str)], message: &Value) -> Reply {
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2025-06-18"),
        ];
        self.send("POST", path, &[&headers, more].concat(), Some(message.to_string())).await
    }

    /// Calls a tool that takes two steps, and performs both: the second call repeats the token from the first response.
    pub(crate) async fn call_confirmed(&self, tool: &str, arguments: Value) -> Answer {
        let first = self.call(tool, arguments.clone()).await.ok();
        let step = ["confirm", "draft_id"].into_iter().find(|step| first[*step].is_string());
        let step = step.unwrap_or_else(|| panic!("{tool} asked for nothing: {first}"));
        let mut second = arguments;
        second[step] = first[step].clone();
        self.call(tool, second).await
    }

    /// Calls a tool.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Answer {
        Answer(self.mcp(&rpc(1, "tools/call", json!({"name": tool, "arguments": arguments}))).await)
    }
}
