//! JSON-RPC batches: the revision of 2025-03-26 has them, the ones after it do not, and the engine knows none. So they are
//! split here: one message after the other, and one list of answers.

use actix_web::HttpRequest;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::mcp::{Malformed, Message};

/// The revision with batches.
const REVISION: &str = "2025-03-26";
/// Messages in one batch. Each may cost requests to OwnerRez, which all users share.
const MOST: usize = 20;

/// Checks that the revision of a request has batches, and how many messages one holds.
pub(super) fn check(request: &HttpRequest, messages: &[Value]) -> Result<(), Malformed> {
    let refused = |reason: String| Err(Malformed::invalid_request(Value::Null, format!("Invalid request: {reason}.")));
    if request.headers().get("mcp-protocol-version").is_some_and(|version| version != REVISION) {
        return refused(format!(
            "a message is a JSON object, and this is an array; only revision {REVISION} has batches"
        ));
    }
    if messages.is_empty() || messages.len() > MOST {
        return refused(format!("a batch holds 1 to {MOST} messages, and this one holds {}", messages.len()));
    }
    Ok(())
}

/// Checks an entry of a batch.
pub(super) fn entry(value: Value) -> Result<Message, Malformed> {
    let message = Message::check(value)?;
    message.check_params()?;
    if message.method() == Some("initialize") {
        // So says the revision itself: what follows would depend on an answer that is not there yet.
        let id = message.id().cloned().unwrap_or_default();
        return Err(Malformed::invalid_request(id, "Invalid request: initialize cannot be part of a batch."));
    }
    Ok(message)
}

/// Returns an answer of the engine as an entry; `None` for what takes no answer.
pub(super) fn answer(message: &Message, answer: &Bytes) -> Option<Value> {
    if !message.is_request() {
        return None;
    }
    match serde_json::from_slice::<Value>(answer) {
        Ok(answer) if answer["jsonrpc"].is_string() => Some(answer),
        _ => {
            let error = json!({"code": -32603, "message": "This message could not be answered."});
            Some(json!({"jsonrpc": "2.0", "id": message.id(), "error": error}))
        }
    }
}
