//! Records in the request's log line which message failed: its method and the error code. Ids, names and error texts
//! may come from the client, a guest or OwnerRez, and are not logged.

use std::fmt;

use actix_web::HttpRequest;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor},
};

use crate::http::middleware::request_logger::RequestContext;

/// The methods that a log line may name; a client can send any other name.
const METHODS: [&str; 14] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    "notifications/initialized",
];

/// Records that the answer to a message is an error, if it is one, and returns its code.
pub(in crate::http) fn note_failure(request: &HttpRequest, method: Option<&str>, answer: &[u8]) -> Option<i64> {
    let code = error_code(answer)?;
    note_code(request, method, code);
    Some(code)
}

/// Records that a message failed with this code.
pub(in crate::http) fn note_code(request: &HttpRequest, method: Option<&str>, code: i64) {
    if let Some(context) = RequestContext::of(request) {
        let known = METHODS.into_iter().find(|known| method == Some(known));
        context.message_failed(known.unwrap_or("other"), code);
    }
}

/// Returns the code of a JSON-RPC error, or `None` for any other answer, which is read only up to its result.
fn error_code(answer: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Code {
        code: i64,
    }

    struct FirstError<'a>(&'a mut Option<i64>);

    impl<'de> DeserializeSeed<'de> for FirstError<'_> {
        type Value = ();

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_map(self)
        }
    }

    impl<'de> Visitor<'de> for FirstError<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON-RPC answer")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
            while let Some(name) = members.next_key::<&str>()? {
                match name {
                    "error" => *self.0 = Some(members.next_value::<Code>()?.code),
                    "result" => return Err(A::Error::custom("no error")),
                    _ => {
                        members.next_value::<IgnoredAny>()?;
                    }
                }
            }
            Ok(())
        }
    }

    let mut found = None;
    // An answer that cannot be parsed completely is not recorded as an error.
    let _ = FirstError(&mut found).deserialize(&mut serde_json::Deserializer::from_slice(answer));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_have_a_code() {
        for (answer, code) in [
            (r#"{"jsonrpc":"2.0","id":"x\n","error":{"code":-32602,"message":"text"}}"#, Some(-32602)),
            (r#"{"error":{"message":"text","code":-32000}}"#, Some(-32000)),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"error":{"code":1}}}"#, None),
            (r#"{"jsonrpc":"2.0","id":1,"result":"#, None),
            (r#"{"error":{"code":"text"}}"#, None),
            (r#"{"error":"invalid_request"}"#, None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(error_code(answer.as_bytes()), code, "{answer}");
        }
    }
}
