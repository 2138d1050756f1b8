//! The fast path for the most common message: a call of a read-only tool, from a client of the revisions with
//! `initialize`. rmcp creates a transport and a task for every message, which costs more than the rest of a call. Only
//! messages that need no special treatment take this path; rmcp handles all others, including invalid ones.
//!
//! rmcp also handles calls that change something. It runs them to completion if the client disconnects; here they would
//! end with the connection.

use std::{borrow::Cow, fmt, marker::PhantomData, sync::Arc};

use actix_web::{HttpRequest, HttpResponse, http::header::HeaderMap};
use bytes::Bytes;
use rmcp::{
    ErrorData,
    model::{RequestId, ServerResult},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::{mcp_failure, request_logger::RequestContext};
use crate::{
    domain::{Principal, Scope},
    mcp::{CallObserver, Revision, Server, response_in},
    tools::{ClientElicitation, Response, ToolSelection},
};

/// The bytes reserved for the message around an answer.
const ENVELOPE_BYTES: usize = 256;
const REVISION: &str = "mcp-protocol-version";

/// A call that can be answered without rmcp.
pub(super) struct FastPathCall<'a> {
    revision: Revision,
    call: Call<'a>,
}

/// A message. Other members than these are left to rmcp.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call<'a> {
    jsonrpc: &'a str,
    id: RequestId,
    method: &'a str,
    #[serde(borrow)]
    params: Object<Params<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    arguments: Map<String, Value>,
    #[serde(default, rename = "_meta")]
    _meta: Object<Meta>,
}

/// The metadata of a call. Progress notifications are not sent, since they need a stream.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    #[serde(default, rename = "progressToken")]
    _progress_token: Option<RequestId>,
}

/// A JSON object. Serde's derived implementation for a struct also accepts an array, with the members in order.
#[derive(Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }
        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// The response message (JSON-RPC 2.0, section 5).
#[derive(Serialize)]
struct Reply<'a> {
    jsonrpc: &'static str,
    id: &'a RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ServerResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorData>,
}

impl<'a> FastPathCall<'a> {
    /// Returns the call that a request contains, if it can be answered without rmcp. The method, `Accept` and
    /// `Content-Type` of the request have been checked.
    pub(super) fn of(request: &HttpRequest, body: &'a Bytes, server: &Server) -> Option<Self> {
        let revision = fast_path_revision(request.headers())?;
        let Object(call): Object<Call<'a>> = serde_json::from_slice(body).ok()?;
        let plain = call.jsonrpc == "2.0" && call.method == "tools/call";
        let Object(params) = &call.params;
        let changes = server.toolbox().requires_more_than(&params.name, &params.arguments, Scope::Read);
        (plain && !changes).then_some(Self { revision, call })
    }

    /// Answers the call.
    pub(super) async fn answer(
        self,
        request: &HttpRequest,
        server: &Server,
        caller: &Principal,
        selection: &ToolSelection,
    ) -> HttpResponse {
        let context: Option<Arc<dyn CallObserver>> =
            RequestContext::of(request).map(|context| context as Arc<dyn CallObserver>);
        let Self { revision, call: Call { id, params: Object(Params { name, arguments, .. }), .. } } = self;
        // Never cancelled: if the client disconnects, actix drops this future, which ends everything that it waits for.
        let cancel = CancellationToken::new();
        let elicitation = ClientElicitation::default();
        let outcome =
            server.call((caller, selection), &name, arguments, &elicitation, &cancel, context.as_deref()).await;
        let body = match outcome {
            Ok(Response::Answer(answer)) if answer.table.is_none() && revision.has_structured_content() => {
                tool_result_message(&id, &answer.json)
            }
            Ok(response) => {
                let mut result = ServerResult::from(response_in(revision, response));
                result.strip_result_type_for_legacy_peer();
                serde_json::to_vec(&Reply { jsonrpc: "2.0", id: &id, result: Some(result), error: None })
            }
            Err(error) => {
                mcp_failure::note_code(request, Some("tools/call"), i64::from(error.code.0));
                serde_json::to_vec(&Reply { jsonrpc: "2.0", id: &id, result: None, error: Some(error) })
            }
        };
        match body {
            Ok(body) => HttpResponse::Ok().content_type("application/json").body(body),
            Err(error) => HttpResponse::from_error(actix_web::error::ErrorInternalServerError(error)),
        }
    }
}

/// Returns the message with an answer as text and as JSON. The JSON is serialized once and copied.
fn tool_result_message(id: &RequestId, json: &str) -> serde_json::Result<Vec<u8>> {
    let mut body = Vec::with_capacity(3 * json.len() + ENVELOPE_BYTES);
    body.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    serde_json::to_writer(&mut body, id)?;
    body.extend_from_slice(br#","result":{"content":[{"type":"text","text":""#);
    append_quoted(&mut body, json);
    body.extend_from_slice(br#""}],"structuredContent":"#);
    body.extend_from_slice(json.as_bytes());
    body.extend_from_slice(br#","isError":false}}"#);
    Ok(body)
}

/// Appends JSON text as the content of a JSON string (RFC 8259, section 7). The text has no control characters, and so
/// many quotes that this loop is faster than searching for the next quote or branching on each character.
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

/// Returns the revision of a request, if it is one with `initialize` and no other MCP header is present. A request
/// without the header has revision 2025-03-26 (2025-06-18, Transports).
fn fast_path_revision(headers: &HeaderMap) -> Option<Revision> {
    let ours = |name: &str| !name.starts_with("mcp-") || name == REVISION;
    if !headers.keys().all(|name| ours(name.as_str())) {
        return None;
    }
    let revision = match headers.get(REVISION) {
        None => Revision::V2025_03_26,
        Some(named) => Revision::named(named.to_str().ok()?)?,
    };
    (revision < Revision::V2026_07_28).then_some(revision)
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
            let message = tool_result_message(&RequestId::Number(7), &answer.to_string()).unwrap();
            let message: Value = serde_json::from_slice(&message).unwrap();
            prop_assert_eq!(&message["id"], &json!(7));
            prop_assert_eq!(&message["result"]["structuredContent"], &answer);
            prop_assert_eq!(&message["result"]["content"], &json!([{"type": "text", "text": answer.to_string()}]));
            prop_assert_eq!(&message["result"]["isError"], &json!(false));
        }
    }
}
