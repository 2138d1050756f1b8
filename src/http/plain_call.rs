//! The short way of the commonest message: a call of a tool that only reads, from a client of the revisions with
//! `initialize`. The engine gives every message a transport and a task of its own, which costs more than all the rest of
//! a call. Only what is beyond doubt goes this way; whatever is out of the ordinary, mistakes included, is the engine's.
//!
//! Calls that change something are the engine's as well: there they run to their end though the client has left, here
//! they would end with its connection.

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

use super::{mcp_failure, observe::Notes};
use crate::{
    domain::{Caller, Scope},
    mcp::{Revision, Server, Watch, response_in},
    tools::{Choice, Person, Response},
};

/// Room for what stands around an answer, in bytes.
const AROUND: usize = 256;
const REVISION: &str = "mcp-protocol-version";

/// A call that is beyond doubt.
pub(super) struct PlainCall<'a> {
    revision: Revision,
    call: Call<'a>,
}

/// A message with all the members that it may have here.
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

/// Where a client would like to hear of progress: there is none on a request without a stream.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    #[serde(default, rename = "progressToken")]
    _progress_token: Option<RequestId>,
}

/// A JSON object. What serde derives for a struct also reads an array, as the members in their order.
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
    /// Returns the call that a request is, if that is beyond doubt. The method, `Accept` and `Content-Type` of the
    /// request were checked before.
    pub(super) fn of(request: &HttpRequest, body: &'a Bytes, server: &Server) -> Option<Self> {
        let revision = plain_revision(request.headers())?;
        let Object(call): Object<Call<'a>> = serde_json::from_slice(body).ok()?;
        let plain = call.jsonrpc == "2.0" && call.method == "tools/call";
        let Object(params) = &call.params;
        let changes = server.toolbox().is_beyond(&params.name, &params.arguments, Scope::Read);
        (plain && !changes).then_some(Self { revision, call })
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
        let Self { revision, call: Call { id, params: Object(Params { name, arguments, .. }), .. } } = self;
        // Nobody cancels it: where the client leaves, actix drops this future, and what waits ends with it.
        let cancel = CancellationToken::new();
        let person = Person::default();
        let called = server.call((caller, choice), &name, arguments, &person, &cancel, notes.as_deref()).await;
        let body = match called {
            Ok(Response::Answer(answer)) if answer.table.is_none() && revision.has_structured_content() => {
                whole(&id, &answer.json)
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

/// Returns the revision of a request, if it is one with `initialize` and no header says anything else about the protocol.
/// A request without the header is of 2025-03-26 (2025-06-18, Transports).
fn plain_revision(headers: &HeaderMap) -> Option<Revision> {
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
            let message = whole(&RequestId::Number(7), &answer.to_string()).unwrap();
            let message: Value = serde_json::from_slice(&message).unwrap();
            prop_assert_eq!(&message["id"], &json!(7));
            prop_assert_eq!(&message["result"]["structuredContent"], &answer);
            prop_assert_eq!(&message["result"]["content"], &json!([{"type": "text", "text": answer.to_string()}]));
            prop_assert_eq!(&message["result"]["isError"], &json!(false));
        }
    }
}
