//! What the simulator answers, before it becomes an HTTP response: bodies and headers as OwnerRez shapes them.

use serde_json::{Value, json};

/// A complete answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Reply {
            status,
            headers: vec![("content-type".into(), "application/json; charset=utf-8".into())],
            body: body.to_string().into_bytes(),
        }
    }

    pub(super) fn html(status: u16, page: String) -> Self {
        Reply {
            status,
            headers: vec![("content-type".into(), "text/html; charset=utf-8".into())],
            body: page.into_bytes(),
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Reply { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn redirect(location: &str) -> Self {
        Reply::empty(302).with("location", location)
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The error body of API v2.
    pub(super) fn error(status: u16, code: &str, messages: &[String]) -> Self {
        let word = match status {
            400 => "bad_request",
            401 => "unauthorized",
            402 => "payment_required",
            403 => "forbidden",
            404 => "not_found",
            405 => "method_not_allowed",
            _ => "error",
        };
        let body = json!({
            "messages": messages,
            "code": code,
            "doc_url": format!("https://www.ownerrez.com/support/articles/api-errors#{code}"),
            "status": word,
            "status_code": status,
        });
        Reply::json(status, &body)
    }

    pub(super) fn invalid(messages: &[String]) -> Self {
        Reply::error(400, "validation_failed", messages)
    }

    pub(super) fn missing(entity: &str, id: i64) -> Self {
        Reply::error(404, "not_found", &[format!("Expected entity {entity}:Id:{id} not found.")])
    }

    /// The limit's refusal comes from in front of the API and has a body of its own, without `Retry-After`.
    pub(super) fn over_the_limit() -> Self {
        Reply::json(429, &json!({"code": 429, "error": "Rate limit exceeded."}))
    }
}
