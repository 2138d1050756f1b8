//! JSON-RPC batches. Only revision 2025-03-26 has them, and rmcp does not support them. So they are split here: the
//! messages are processed one after the other, and the answers are returned as one list.

use actix_web::HttpRequest;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::mcp::{Malformed, Message};

/// The revision with batches.
const REVISION: &str = "2025-03-26";
/// Limits the messages in one batch. Each may send requests to OwnerRez, whose rate limit all users share.
const MAX_MESSAGES: usize = 20;

/// Checks that the revision of a request has batches, and the number of messages.
pub(in crate::http) fn check(request: &HttpRequest, messages: &[Value]) -> Result<(), Malformed> {
    let refused = |reason: String| Err(Malformed::invalid_request(Value::Null, format!("Invalid request: {reason}.")));
    if request.headers().get("mcp-protocol-version").is_some_and(|version| version != REVISION) {
        return refused(format!(
            "a message must be a JSON object, and this is an array; only revision {REVISION} has batches"
        ));
    }
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        return refused(format!(
            "a batch must contain 1 to {MAX_MESSAGES} messages, and this one contains {}",
            messages.len()
        ));
    }
    Ok(())
}

/// Checks an entry of a batch.
pub(in crate::http) fn entry(value: Value) -> Result<Message, Malformed> {
    let message = Message::check(value)?;
    message.check_params()?;
    if message.method() == Some("initialize") {
        // The revision forbids it: the following messages would depend on an answer that does not exist yet.
        let id = message.id().cloned().unwrap_or_default();
        return Err(Malformed::invalid_request(id, "Invalid request: initialize cannot be part of a batch."));
    }
    Ok(message)
}

/// Returns an answer of rmcp as an entry; `None` if the message takes no answer.
pub(in crate::http) fn answer(message: &Message, answer: &Bytes) -> Option<Value> {
    if !message.is_request() {
        return None;
    }
    match serde_json::from_slice::<Value>(answer) {
        Ok(answer) if answer["jsonrpc"].is_string() => Some(answer),
        _ => {
            let error = json!({"code": -32603, "message": "This message could not be processed."});
            Some(json!({"jsonrpc": "2.0", "id": message.id(), "error": error}))
        }
    }
}
