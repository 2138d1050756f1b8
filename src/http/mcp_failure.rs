//! Which message failed, for the request's line in the log: its method and the code of the error. Ids, names and the text
//! of the error are the client's, a guest's or OwnerRez's, and stay out of it.

use std::fmt;

use actix_web::HttpRequest;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor},
};

use super::observe::Notes;

/// The methods that a line names; a client can invent others.
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

/// Notes that the answer to a message is an error, if it is one; returns its code.
pub(super) fn note_failure(request: &HttpRequest, method: Option<&str>, answer: &[u8]) -> Option<i64> {
    let code = error_code(answer)?;
    note_code(request, method, code);
    Some(code)
}

/// Notes that a message failed with this code.
pub(super) fn note_code(request: &HttpRequest, method: Option<&str>, code: i64) {
    if let Some(notes) = Notes::of(request) {
        let known = METHODS.into_iter().find(|known| method == Some(known));
        notes.message_failed(known.unwrap_or("other"), code);
    }
}

/// The code of a JSON-RPC error; `None` for any other answer, of which no more is read than up to its result.
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
    // What cannot be read to its end is no error that has to be noted.
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
