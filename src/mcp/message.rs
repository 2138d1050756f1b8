//! Checks JSON-RPC messages of clients before rmcp reads them. rmcp answers a message that it cannot read with plain
//! text over HTTP, and not at all over standard input.

use bytes::Bytes;
use rmcp::model::ErrorCode;
use serde_json::{Map, Value, json};

use super::params;
use crate::domain::RawJson;

/// The content of a body or a line.
#[derive(Clone, PartialEq, Debug)]
pub enum Incoming {
    /// One message.
    Message(Message),
    /// A JSON array: the messages of a batch, not checked yet.
    Batch(Vec<Value>),
}

/// A JSON-RPC 2.0 message: a request, a notification, or an answer to a request of the server.
///
/// Its members have the types that JSON-RPC and MCP define. `params`, if present, is an object.
#[derive(Clone, PartialEq, Debug)]
pub struct Message(Map<String, Value>);

/// The refusal of an invalid message, or of a request with invalid parameters.
#[derive(Clone, PartialEq, Debug)]
pub struct Malformed {
    code: ErrorCode,
    /// The id of the request; `null` if it could not be read (JSON-RPC 2.0 section 5).
    id: Value,
    reason: String,
}

impl Malformed {
    fn parse_error(reason: impl Into<String>) -> Self {
        Self { code: ErrorCode::PARSE_ERROR, id: Value::Null, reason: reason.into() }
    }

    fn invalid_params(id: Value, mistake: &str) -> Self {
        Self { code: ErrorCode::INVALID_PARAMS, id, reason: format!("Invalid params: {mistake}.") }
    }

    /// Returns a refusal with the code -32600.
    pub fn invalid_request(id: Value, reason: impl Into<String>) -> Self {
        Self { code: ErrorCode::INVALID_REQUEST, id, reason: reason.into() }
    }

    /// Returns the JSON-RPC error.
    pub fn to_json(&self) -> Value {
        json!({"jsonrpc": "2.0", "id": self.id, "error": {"code": self.code.0, "message": self.reason}})
    }
}

impl Incoming {
    /// Reads a body or a line.
    ///
    /// # Errors
    /// -32700 if it is not JSON, -32600 if it is not a message.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        if text.starts_with(b"\xEF\xBB\xBF") {
            let reason = "Parse error: the message starts with a byte order mark, which JSON does not allow (RFC 8259 \
                          section 8.1).";
            return Err(Malformed::parse_error(reason));
        }
        match serde_json::from_slice(text).or_else(|error| parse_replacing_lone_surrogates(text).ok_or(error)) {
            Ok(Value::Array(messages)) => Ok(Self::Batch(messages)),
            Ok(value) => Message::check(value).map(Self::Message),
            Err(error) => Err(Malformed::parse_error(format!("Parse error: the message is not valid JSON: {error}."))),
        }
    }
}

/// Parses a text with U+FFFD in place of each lone surrogate. Returns `None` if the text has another error. A model
/// whose output was cut in the middle of an emoji writes a lone surrogate, and the rest of its message is valid.
fn parse_replacing_lone_surrogates(text: &[u8]) -> Option<Value> {
    let repaired = RawJson::new(Bytes::copy_from_slice(text))?.without_lone_surrogates()?;
    serde_json::from_str(repaired.text()).ok()
}

impl Message {
    /// Checks the members that every message has.
    ///
    /// # Errors
    /// -32600 with the member that is wrong.
    pub fn check(value: Value) -> Result<Self, Malformed> {
        let Value::Object(mut members) = value else {
            let reason =
                format!("Invalid request: a message must be a JSON object, and this is {}.", params::kind_of(&value));
            return Err(Malformed::invalid_request(Value::Null, reason));
        };
        let id = members.get("id").filter(|id| id.is_string() || id.is_i64()).cloned();
        let answerable = id.clone().unwrap_or_default();
        let refused =
            |reason: String| Err(Malformed::invalid_request(answerable, format!("Invalid request: {reason}.")));
        if members.get("jsonrpc").is_none_or(|version| version != "2.0") {
            return refused("`jsonrpc` must be \"2.0\"".to_owned());
        }
        if let Some(found) = members.get("id")
            && id.is_none()
        {
            return refused(format!("`id` must be a string or an integer, and is {}", params::kind_of(found)));
        }
        match members.get("method") {
            Some(Value::String(_)) => {}
            Some(other) => return refused(format!("`method` must be a string, and is {}", params::kind_of(other))),
            None if members.contains_key("result") || members.contains_key("error") => return Ok(Self(members)),
            None => return refused("`method` is missing".to_owned()),
        }
        match members.get_mut("params") {
            None | Some(Value::Object(_)) => {}
            // Some serializers write absent members as null.
            Some(Value::Null) => {
                members.remove("params");
            }
            Some(other) => return refused(format!("`params` must be an object, and is {}", params::kind_of(other))),
        }
        let mut message = Self(members);
        message.read_arguments();
        Ok(message)
    }

    /// Normalizes the arguments of a call. Models without a schema for "no arguments" send an empty array, an empty
    /// string or the string `{}`, and some clients send all arguments as a string of JSON.
    fn read_arguments(&mut self) {
        if !matches!(self.method(), Some("tools/call" | "prompts/get")) {
            return;
        }
        let Some(params) = self.0.get_mut("params").and_then(Value::as_object_mut) else { return };
        let read = match params.get("arguments") {
            Some(Value::Null) => Some(Map::new()),
            Some(Value::Array(items)) if items.is_empty() => Some(Map::new()),
            Some(Value::String(text)) if text.trim().is_empty() => Some(Map::new()),
            Some(Value::String(text)) => serde_json::from_str(text).ok(),
            _ => None,
        };
        if let Some(read) = read {
            params.insert("arguments".to_owned(), Value::Object(read));
        }
    }

    /// Returns the method of a request or a notification.
    pub fn method(&self) -> Option<&str> {
        self.0.get("method").and_then(Value::as_str)
    }

    /// Returns the id of a request or an answer.
    pub fn id(&self) -> Option<&Value> {
        self.0.get("id")
    }

    /// Returns whether the message expects an answer.
    pub fn is_request(&self) -> bool {
        self.0.contains_key("id") && self.0.contains_key("method")
    }

    /// Returns the parameters.
    pub fn params(&self) -> Option<&Map<String, Value>> {
        self.0.get("params").and_then(Value::as_object)
    }

    /// Returns the version that a request of 2026-07-28 or later contains in its `_meta`.
    pub fn meta_version(&self) -> Option<&str> {
        self.params()?.get("_meta")?.get("io.modelcontextprotocol/protocolVersion")?.as_str()
    }

    /// Checks the parameters of the methods that the gateway serves.
    ///
    /// # Errors
    /// -32602 with the member that is wrong.
    pub fn check_params(&self) -> Result<(), Malformed> {
        let (Some(method), Some(id)) = (self.method(), self.id()) else { return Ok(()) };
        // A complete 2026-07-28 request for `initialize` names a method that this revision removed, whatever its
        // parameters.
        if method == "initialize" && self.meta_version().is_some() {
            return Ok(());
        }
        self.check_meta()?;
        params::check(method, self.params()).map_err(|mistake| Malformed::invalid_params(id.clone(), &mistake))
    }

    /// Checks what a request says about its client in its `_meta`.
    ///
    /// # Errors
    /// -32602 with the member that is wrong.
    pub fn check_meta(&self) -> Result<(), Malformed> {
        let Some(id) = self.id().filter(|_| self.is_request()) else { return Ok(()) };
        params::check_meta(self.params()).map_err(|mistake| Malformed::invalid_params(id.clone(), &mistake))
    }

    /// Returns the message as JSON.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// Writes the message as rmcp will read it, so that both agree on it even if the original repeated members.
    pub fn to_text(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> Value {
        match Incoming::parse(text.as_bytes()) {
            Err(malformed) => malformed.to_json(),
            Ok(Incoming::Message(message)) => message.check_params().expect_err("an error").to_json(),
            Ok(Incoming::Batch(_)) => panic!("{text} is a batch"),
        }
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_id_where_it_has_one() {
        for (text, code, id) in [
            ("{", -32700, Value::Null),
            ("", -32700, Value::Null),
            ("\u{feff}{}", -32700, Value::Null),
            ("{}", -32600, Value::Null),
            ("null", -32600, Value::Null),
            (r#"{"hello":1}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600, json!(1)),
            (r#"{"jsonrpc":"2.0","id":1}"#, -32600, json!(1)),
            (r#"{"jsonrpc":"2.0","id":"a","method":7}"#, -32600, json!("a")),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, -32600, json!(1)),
            (r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":"x"}"#, -32600, Value::Null),
        ] {
            let refused = refusal(text);
            assert_eq!((&refused["error"]["code"], &refused["id"]), (&json!(code), &id), "{text}: {refused}");
        }
        assert!(Incoming::parse(b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}").is_err());
    }

    #[test]
    fn empty_arguments_of_any_form_are_no_arguments() {
        for empty in [json!([]), json!("{}"), json!(" { } "), json!(""), json!(null), json!({})] {
            let call =
                json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": empty}});
            let message = Message::check(call).unwrap();
            assert_eq!(message.check_params(), Ok(()), "{empty}");
            let given = message.params().unwrap().get("arguments");
            assert!(given.is_none_or(|given| *given == json!({})), "{given:?}");
        }
    }

    #[test]
    fn arguments_as_a_text_of_json_are_read() {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": "{\"limit\":1}"}});
        let message = Message::check(call).unwrap();
        assert_eq!(message.params().unwrap()["arguments"], json!({"limit": 1}));
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"q":"a\ud83d b\ud83d\ude00"}}}"#;
        let Ok(Incoming::Message(message)) = Incoming::parse(text.as_bytes()) else { panic!("{text} is a message") };
        assert_eq!(message.params().unwrap()["arguments"]["q"], json!("a\u{fffd} b\u{1f600}"));
        assert_eq!(refusal(r#"{"id": "\ud83d""#)["error"]["code"], json!(-32700));
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        let hello = |change: fn(&mut Value)| {
            let mut params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
            change(&mut params);
            params
        };
        for (method, params, named) in [
            ("tools/call", json!({"name": "x", "arguments": 5}), "`params.arguments` must be an object"),
            ("tools/call", json!({"name": "x", "arguments": [1]}), "`params.arguments` must be an object"),
            ("tools/call", json!({"name": "x", "arguments": "[1]"}), "`params.arguments` must be an object"),
            ("tools/call", json!({}), "`params.name` is missing"),
            ("tools/call", json!({"name": 7}), "`params.name` must be a string"),
            ("tools/call", json!({"name": "x", "_meta": []}), "`params._meta` must be an object"),
            ("prompts/get", json!({"name": "x", "arguments": true}), "`params.arguments` must be an object"),
            ("resources/read", json!({}), "`params.uri` is missing"),
            ("tools/list", json!({"cursor": 1}), "`params.cursor` must be a string"),
            ("completion/complete", json!({"ref": {"type": "ref/prompt"}}), "`params.argument` is missing"),
            (
                "initialize",
                hello(|p| p["capabilities"]["experimental"] = json!({"x": true})),
                "`params.capabilities.experimental.x` must be an object",
            ),
            (
                "initialize",
                hello(|p| p["capabilities"]["sampling"] = json!(true)),
                "`params.capabilities.sampling` must be an object",
            ),
            ("initialize", hello(|p| p["clientInfo"] = json!({"name": "x"})), "`params.clientInfo.version` is missing"),
            ("initialize", hello(|p| p["clientInfo"] = json!(["x", "1"])), "`params.clientInfo` must be an object"),
            (
                "initialize",
                hello(|p| {
                    p.as_object_mut().unwrap().remove("clientInfo");
                }),
                "`params.clientInfo` is missing",
            ),
            ("initialize", hello(|p| p["protocolVersion"] = json!(1)), "`params.protocolVersion` must be a string"),
            (
                "initialize",
                hello(|p| p["capabilities"]["roots"] = json!({"listChanged": "yes"})),
                "`params.capabilities.roots.listChanged` must be true or false, and is a string",
            ),
            (
                "initialize",
                hello(|p| p["capabilities"]["elicitation"] = json!({"form": []})),
                "`params.capabilities.elicitation.form` must be an object",
            ),
            (
                "initialize",
                hello(|p| p["clientInfo"]["icons"] = json!(5)),
                "`params.clientInfo.icons` must be an array",
            ),
            (
                "initialize",
                hello(|p| p["clientInfo"]["icons"] = json!([{"src": "x"}, {"src": "x", "sizes": "48x48"}])),
                "`params.clientInfo.icons[1].sizes` must be an array",
            ),
            (
                "tools/list",
                json!({"_meta": {"io.modelcontextprotocol/clientCapabilities": {"roots": true}}}),
                "`params._meta.io.modelcontextprotocol/clientCapabilities.roots` must be an object",
            ),
            (
                "tools/list",
                json!({"_meta": {"io.modelcontextprotocol/clientInfo": {"name": "x"}}}),
                "`params._meta.io.modelcontextprotocol/clientInfo.version` is missing",
            ),
        ] {
            let text = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
            let refused = refusal(&text);
            assert_eq!(refused["error"]["code"], json!(-32602), "{text}: {refused}");
            assert!(refused["error"]["message"].as_str().unwrap().contains(named), "{text}: {refused}");
        }
        assert_eq!(refusal(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#)["error"]["code"], json!(-32602));
    }

    proptest! {
        #[test]
        fn any_text_is_a_message_or_refused(text in any::<Vec<u8>>()) {
            if let Err(malformed) = Incoming::parse(&text) {
                prop_assert!(malformed.to_json()["error"]["code"].is_i64());
            }
        }
    }
}
