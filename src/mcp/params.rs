//! The parameters of the methods that the gateway serves: their members and types.
//!
//! rmcp treats a request whose parameters it cannot read as one for an unknown method, and reads a JSON array as an
//! object. So the types are checked first. The table follows the published schemas (`tests/gateway/schemas/`) and is as
//! lenient as they are: an unknown member is accepted, and so is `null` for an optional one.

use serde_json::{Map, Value};

/// The type of a member.
enum Kind {
    Text,
    Flag,
    /// A list whose items all have the same type.
    List(&'static Kind),
    Object(&'static [Member]),
    /// An object whose members all have the same type.
    Each(&'static Kind),
}

struct Member {
    name: &'static str,
    required: bool,
    kind: Kind,
}

const fn required(name: &'static str, kind: Kind) -> Member {
    Member { name, required: true, kind }
}

const fn optional(name: &'static str, kind: Kind) -> Member {
    Member { name, required: false, kind }
}

const ANY_OBJECT: Kind = Kind::Object(&[]);
const META: Member = optional("_meta", ANY_OBJECT);

/// The client's capabilities: sent in its handshake, and in each request of 2026-07-28.
const CAPABILITIES: Kind = Kind::Object(&[
    optional("experimental", Kind::Each(&ANY_OBJECT)),
    optional("extensions", Kind::Each(&ANY_OBJECT)),
    optional(
        "elicitation",
        Kind::Object(&[
            optional("form", Kind::Object(&[optional("schemaValidation", Kind::Flag)])),
            optional("url", ANY_OBJECT),
        ]),
    ),
    optional("roots", Kind::Object(&[optional("listChanged", Kind::Flag)])),
    optional("sampling", Kind::Object(&[optional("context", ANY_OBJECT), optional("tools", ANY_OBJECT)])),
    optional("tasks", ANY_OBJECT),
]);
/// The client's implementation info.
const CLIENT: Kind = Kind::Object(&[
    required("name", Kind::Text),
    required("version", Kind::Text),
    optional("title", Kind::Text),
    optional("description", Kind::Text),
    optional("websiteUrl", Kind::Text),
    optional("icons", Kind::List(&ICON)),
]);
const ICON: Kind = Kind::Object(&[
    required("src", Kind::Text),
    optional("mimeType", Kind::Text),
    optional("sizes", Kind::List(&Kind::Text)),
    optional("theme", Kind::Text),
]);
/// The members of `_meta` in which a request of 2026-07-28 describes its client.
const REQUEST_META: Kind = Kind::Object(&[
    optional("io.modelcontextprotocol/protocolVersion", Kind::Text),
    optional("io.modelcontextprotocol/clientCapabilities", CAPABILITIES),
    optional("io.modelcontextprotocol/clientInfo", CLIENT),
]);

const INITIALIZE: &[Member] = &[
    required("protocolVersion", Kind::Text),
    required("capabilities", CAPABILITIES),
    required("clientInfo", CLIENT),
    META,
];
const CALL: &[Member] = &[
    required("name", Kind::Text),
    optional("arguments", ANY_OBJECT),
    optional("inputResponses", ANY_OBJECT),
    optional("requestState", Kind::Text),
    META,
];
const LIST: &[Member] = &[optional("cursor", Kind::Text), META];
const READ: &[Member] = &[required("uri", Kind::Text), META];
const PROMPT: &[Member] = &[required("name", Kind::Text), optional("arguments", ANY_OBJECT), META];
const COMPLETE: &[Member] = &[
    required(
        "ref",
        Kind::Object(&[required("type", Kind::Text), optional("name", Kind::Text), optional("uri", Kind::Text)]),
    ),
    required("argument", Kind::Object(&[required("name", Kind::Text), required("value", Kind::Text)])),
    optional("context", Kind::Object(&[optional("arguments", Kind::Each(&Kind::Text))])),
    META,
];
const BARE: &[Member] = &[META];

/// The methods that the gateway serves.
const SERVED: [(&str, &[Member]); 11] = [
    ("initialize", INITIALIZE),
    ("ping", BARE),
    ("server/discover", BARE),
    ("tools/list", LIST),
    ("tools/call", CALL),
    ("resources/list", LIST),
    ("resources/templates/list", LIST),
    ("resources/read", READ),
    ("prompts/list", LIST),
    ("prompts/get", PROMPT),
    ("completion/complete", COMPLETE),
];

fn members(method: &str) -> Option<&'static [Member]> {
    SERVED.into_iter().find(|(served, _)| *served == method).map(|(_, members)| members)
}

/// Returns the names of the methods that the gateway serves.
pub(super) fn served() -> String {
    let of_a_revision = ["initialize", "ping", "server/discover"];
    let others = SERVED.into_iter().map(|(served, _)| served).filter(|served| !of_a_revision.contains(served));
    let others: Vec<&str> = others.collect();
    format!("initialize and ping (before 2026-07-28), server/discover (since then), {}", others.join(", "))
}

/// Returns whether the gateway serves a method.
pub(super) fn is_served(method: &str) -> bool {
    members(method).is_some()
}

/// Checks the parameters of a method. Those of an unknown method are accepted.
///
/// # Errors
/// The first member that is missing or has a wrong type, in words.
pub(super) fn check(method: &str, params: Option<&Map<String, Value>>) -> Result<(), String> {
    let Some(members) = members(method) else { return Ok(()) };
    check_members(members, params.unwrap_or(&Map::new()))
        .map_err(|ParamError { path, words }| format!("`params{path}` {words}"))
}

/// Checks how a request describes its client in its `_meta`.
///
/// # Errors
/// The first member that is missing or has a wrong type, in words.
pub(super) fn check_meta(params: Option<&Map<String, Value>>) -> Result<(), String> {
    let Some(meta) = params.and_then(|params| params.get("_meta")).filter(|meta| meta.is_object()) else {
        return Ok(());
    };
    check_kind(&REQUEST_META, meta).map_err(|ParamError { path, words }| format!("`params._meta{path}` {words}"))
}

/// A member and its error. The path is built while the error is returned, so a valid request costs nothing.
struct ParamError {
    path: String,
    words: String,
}

impl ParamError {
    fn within(self, name: &str) -> Self {
        // The client may have chosen the name.
        let name: String = name.chars().take(60).flat_map(char::escape_debug).collect();
        Self { path: format!(".{name}{}", self.path), words: self.words }
    }

    fn at(self, index: usize) -> Self {
        Self { path: format!("[{index}]{}", self.path), words: self.words }
    }
}

fn check_members(members: &[Member], given: &Map<String, Value>) -> Result<(), ParamError> {
    for Member { name, required, kind } in members {
        let checked = match given.get(*name) {
            Some(Value::Null) if !required => Ok(()),
            Some(value) => check_kind(kind, value),
            None if *required => {
                Err(ParamError { path: String::new(), words: format!("is missing; it must be {}", kind.word()) })
            }
            None => Ok(()),
        };
        checked.map_err(|mistake| mistake.within(name))?;
    }
    Ok(())
}

fn check_kind(kind: &Kind, value: &Value) -> Result<(), ParamError> {
    match (kind, value) {
        (Kind::Text, Value::String(_)) | (Kind::Flag, Value::Bool(_)) => Ok(()),
        (Kind::List(kind), Value::Array(items)) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, item)| check_kind(kind, item).map_err(|mistake| mistake.at(index)))
        }
        (Kind::Object(members), Value::Object(given)) => check_members(members, given),
        (Kind::Each(kind), Value::Object(given)) => {
            given.iter().try_for_each(|(name, value)| check_kind(kind, value).map_err(|mistake| mistake.within(name)))
        }
        _ => {
            let words = format!("must be {}, and is {}", kind.word(), kind_of(value));
            Err(ParamError { path: String::new(), words })
        }
    }
}

impl Kind {
    fn word(&self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Flag => "true or false",
            Self::List(_) => "an array",
            Self::Object(_) | Self::Each(_) => "an object",
        }
    }
}

/// Returns the JSON type of a value, in words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
