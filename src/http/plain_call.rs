//! The short way of the commonest message: a call of a tool that only reads, from a client of the revisions with
//! `initialize`. The engine gives every message a transport and a task of its own, which costs more than all the rest of
//! a call. Only what is beyond doubt goes this way; whatever is out of the ordinary, mistakes included, is the engine's.
//!
//! Calls that change something are the engine's as well: there they run to their end though the client has left, here
//! they would end with its connection.

use std::{borrow::Cow, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
};
use bytes::Bytes;
use rmcp::{
    ErrorData,
    model::{CallToolResponse, RequestId, ServerResult},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::observe::Notes;
use crate::{
    domain::{Caller, Scope},
    mcp::{Server, Watch},
    tools::{Choice, Person, Response},
};

/// The revisions with `initialize`; a request without the header is of the first of them.
const REVISIONS: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
/// Room for what stands around an answer, in bytes.
const AROUND: usize = 256;
const REVISION: &str = "mcp-protocol-version";

/// A message with all the members that it may have here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlainCall<'a> {
    jsonrpc: &'a str,
    id: RequestId,
    method: &'a str,
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    arguments: Map<String, Value>,
    #[serde(default, rename = "_meta")]
    _meta: Meta,
}

/// Where a client would like to hear of progress: there is none on a request without a stream.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    #[serde(default, rename = "progressToken")]
    _progress_token: Option<RequestId>,
}

/// The message back (JSON-RPC 2.0, section 5).
#[derive(Serialize)]
struct Reply<'a> {
    jsonrpc: &'static str,
    id: &'a RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ServerResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorData>,
}

impl<'a> PlainCall<'a> {
    /// The call that a request is, if it is beyond doubt that it is one.
    pub(super) fn of(request: &HttpRequest, body: &'a Bytes, server: &Server) -> Option<Self> {
        if request.method() != Method::POST || !has_plain_headers(request) {
            return None;
        }
        let call: Self = serde_json::from_slice(body).ok()?;
        let plain = call.jsonrpc == "2.0" && call.method == "tools/call";
        let changes = server.toolbox().is_beyond(&call.params.name, &call.params.arguments, Scope::Read);
        (plain && !changes).then_some(call)
    }

    /// Its answer.
    pub(super) async fn answer(
        self,
        request: &HttpRequest,
        server: &Server,
        caller: &Caller,
        choice: &Choice,
    ) -> HttpResponse {
        let notes: Option<Arc<dyn Watch>> = Notes::of(request).map(|notes| notes as Arc<dyn Watch>);
        let Params { name, arguments, .. } = self.params;
        // Nobody cancels it: where the client leaves, actix drops this future, and what waits ends with it.
        let cancel = CancellationToken::new();
        let person = Person::default();
        let called = server.call((caller, choice), &name, arguments, &person, &cancel, notes.as_deref()).await;
        let body = match called {
            Ok(Response::Answer(answer)) if answer.table.is_none() => whole(&self.id, &answer.json),
            Ok(response) => {
                let mut result = ServerResult::from(CallToolResponse::from(response));
                result.strip_result_type_for_legacy_peer();
                serde_json::to_vec(&Reply { jsonrpc: "2.0", id: &self.id, result: Some(result), error: None })
            }
            Err(error) => serde_json::to_vec(&Reply { jsonrpc: "2.0", id: &self.id, result: None, error: Some(error) }),
        };
        match body {
            Ok(body) => HttpResponse::Ok().content_type("application/json").body(body),
            Err(error) => HttpResponse::from_error(actix_web::error::ErrorInternalServerError(error)),
        }
    }
}

/// The message with an answer that stands in it twice, as text and as the same JSON, which is written once and copied.
fn whole(id: &RequestId, json: &str) -> serde_json::Result<Vec<u8>> {
    let mut body = Vec::with_capacity(3 * json.len() + AROUND);
    body.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    serde_json::to_writer(&mut body, id)?;
    body.extend_from_slice(br#","result":{"content":[{"type":"text","text":""#);
    append_quoted(&mut body, json);
    body.extend_from_slice(br#""}],"structuredContent":"#);
    body.extend_from_slice(json.as_bytes());
    body.extend_from_slice(br#","isError":false}}"#);
    Ok(body)
}

/// Appends a text of JSON as it stands within a string of JSON (RFC 8259, section 7). It has no control characters, and so
/// many quotes that looking for the next one, or asking at each character whether it is one, takes longer than this.
fn append_quoted(body: &mut Vec<u8>, json: &str) {
    let mut end = body.len();
    body.resize(end + 2 * json.len(), b'\\');
    for byte in json.bytes() {
        end += usize::from(byte == b'"' || byte == b'\\');
        body[end] = byte;
        end += 1;
    }
    body.truncate(end);
}

/// Whether the headers say what every client of these revisions says, and nothing else about the protocol.
fn has_plain_headers(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accepted = text(header::ACCEPT);
    let accepts = |kind: &str| accepted.split(',').any(|one| is(one, kind));
    let ours = |name: &str| !name.starts_with("mcp-") || name == REVISION;
    headers.iter().all(|(name, _)| ours(name.as_str()))
        && headers.get(REVISION).is_none_or(|revision| REVISIONS.iter().any(|known| revision == known))
        && is(text(header::CONTENT_TYPE), "application/json")
        && accepts("application/json")
        && accepts("text/event-stream")
}

/// Whether a media type is this one, whatever its parameters.
fn is(media_type: &str, kind: &str) -> bool {
    media_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn an_answer_stands_in_its_message_as_text_and_as_json(text in r#"[\PC"\\/\n\t\x00\x7f]{0,12}"#, number in any::<i64>()) {
            let answer = json!({text.clone(): number, "text": text});
            let message = whole(&RequestId::Number(7), &answer.to_string()).unwrap();
            let message: Value = serde_json::from_slice(&message).unwrap();
            prop_assert_eq!(&message["id"], &json!(7));
            prop_assert_eq!(&message["result"]["structuredContent"], &answer);
            prop_assert_eq!(&message["result"]["content"], &json!([{"type": "text", "text": answer.to_string()}]));
            prop_assert_eq!(&message["result"]["isError"], &json!(false));
        }
    }
}
