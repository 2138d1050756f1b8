//! JSON-RPC batches: the revision of 2025-03-26 has them, the ones after it do not, and the engine knows none. So they are
//! split here: one message after the other, and one list of answers.

use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::{Value, json};

/// The revision with batches.
const REVISION: &str = "2025-03-26";
/// Messages in one batch. Each may cost requests to OwnerRez, which all users share.
const MOST: usize = 20;
/// JSON-RPC 2.0, section 5.1.
const INVALID_REQUEST: i64 = -32_600;

/// The messages of a batch; `None` where the body is none, or where its revision has none and the engine says so.
pub(super) fn messages(request: &HttpRequest, body: &Bytes) -> Option<Result<Vec<Value>, HttpResponse>> {
    let version = request.headers().get("mcp-protocol-version");
    if version.is_some_and(|version| version != REVISION) || body.trim_ascii_start().first() != Some(&b'[') {
        return None;
    }
    let Ok(Value::Array(messages)) = serde_json::from_slice(body) else { return None };
    if messages.is_empty() || messages.len() > MOST {
        let told = format!("A batch holds 1 to {MOST} messages, and this one holds {}.", messages.len());
        return Some(Err(HttpResponse::BadRequest().json(refusal(Value::Null, &told))));
    }
    Some(Ok(messages))
}

/// What is refused before the engine sees it.
pub(super) fn refused(message: &Value) -> Option<Value> {
    if !message.is_object() {
        return Some(refusal(Value::Null, "An entry of a batch is one message."));
    }
    // So says the revision itself: what follows would depend on an answer that is not there yet.
    (message["method"] == "initialize").then(|| refusal(id(message), "initialize cannot be part of a batch."))
}

/// An answer of the engine as an entry; `None` for what takes no answer.
pub(super) fn entry(message: &Value, answer: &Bytes) -> Option<Value> {
    // A message without a method is an answer of the client's, and one without an id a notification.
    if message["method"].is_null() || message.get("id").is_none() {
        return None;
    }
    match serde_json::from_slice::<Value>(answer) {
        Ok(answer) if answer["jsonrpc"].is_string() => Some(answer),
        _ => Some(refusal(id(message), "This message could not be answered.")),
    }
}

fn id(message: &Value) -> Value {
    message["id"].clone()
}

fn refusal(id: Value, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": INVALID_REQUEST, "message": message}})
}
