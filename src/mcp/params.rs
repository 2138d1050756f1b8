//! The parameters of the methods that the gateway serves: their members and types.
//!
//! rmcp treats a request whose parameters it cannot read as one for an unknown method, and reads a JSON array as an
//! object. So the types are checked first. The table follows the published schemas (`tests/gateway/schemas/`) and is as
//! lenient as they are: an unknown member is accepted, and so is `null` for an optional one.

use serde_json::{Map, Value};

/// The type of a member.
enum MemberType {
    Text,
    Flag,
    /// A list whose items all have the same type.
    List(&'static MemberType),
    Object(&'static [Member]),
    /// An object whose members all have the same type.
    Each(&'static MemberType),
}

struct Member {
    name: &'static str,
    required: bool,
    kind: MemberType,
}

const fn required(name: &'static str, kind: MemberType) -> Member {
    Member { name, required: true, kind }
}

const fn optional(name: &'static str, kind: MemberType) -> Member {
    Member { name, required: false, kind }
}

const ANY_OBJECT: MemberType = MemberType::Object(&[]);
const META: Member = optional("_meta", ANY_OBJECT);

/// The client's capabilities: sent in its handshake, and in each request of 2026-07-28.
const CAPABILITIES: MemberType = MemberType::Object(&[
    optional("experimental", MemberType::Each(&ANY_OBJECT)),
    optional("extensions", MemberType::Each(&ANY_OBJECT)),
    optional(
        "elicitation",
        MemberType::Object(&[
            optional("form", MemberType::Object(&[optional("schemaValidation", MemberType::Flag)])),
            optional("url", ANY_OBJECT),
        ]),
    ),
    optional("roots", MemberType::Object(&[optional("listChanged", MemberType::Flag)])),
    optional("sampling", MemberType::Object(&[optional("context", ANY_OBJECT), optional("tools", ANY_OBJECT)])),
    optional("tasks", ANY_OBJECT),
]);
/// The client's implementation info.
const CLIENT: MemberType = MemberType::Object(&[
    required("name", MemberType::Text),
    required("version", MemberType::Text),
    optional("title", MemberType::Text),
    optional("description", MemberType::Text),
    optional("websiteUrl", MemberType::Text),
    optional("icons", MemberType::List(&ICON)),
]);
const ICON: MemberType = MemberType::Object(&[
    required("src", MemberType::Text),
    optional("mimeType", MemberType::Text),
    optional("sizes", MemberType::List(&MemberType::Text)),
    optional("theme", MemberType::Text),
]);
/// The members of `_meta` in which a request of 2026-07-28 describes its client.
const REQUEST_META: MemberType = MemberType::Object(&[
    optional("io.modelcontextprotocol/protocolVersion", MemberType::Text),
    optional("io.modelcontextprotocol/clientCapabilities", CAPABILITIES),
    optional("io.modelcontextprotocol/clientInfo", CLIENT),
]);

const INITIALIZE: &[Member] = &[
    required("protocolVersion", MemberType::Text),
    required("capabilities", CAPABILITIES),
    required("clientInfo", CLIENT),
    META,
];
const CALL: &[Member] = &[
    required("name", MemberType::Text),
    optional("arguments", ANY_OBJECT),
    optional("inputResponses", ANY_OBJECT),
    optional("requestState", MemberType::Text),
    META,
];
const LIST: &[Member] = &[optional("cursor", MemberType::Text), META];
const READ: &[Member] = &[required("uri", MemberType::Text), META];
const PROMPT: &[Member] = &[required("name", MemberType::Text), optional("arguments", ANY_OBJECT), META];
const COMPLETE: &[Member] = &[
    required(
        "ref",
        MemberType::Object(&[
            required("type", MemberType::Text),
            optional("name", MemberType::Text),
            optional("uri", MemberType::Text),
        ]),
    ),
    required(
        "argument",
        MemberType::Object(&[required("name", MemberType::Text), required("value", MemberType::Text)]),
    ),
    optional("context", MemberType::Object(&[optional("arguments", MemberType::Each(&MemberType::Text))])),
    META,
];
const BARE: &[Member] = &[META];

/// The methods that the gateway serves.
const METHODS: [(&str, &[Member]); 11] = [
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
    METHODS.into_iter().find(|(served, _)| *served == method).map(|(_, members)| members)
}

/// Returns the names of the methods that the gateway serves.
pub(super) fn supported_methods() -> String {
    let of_a_revision = ["initialize", "ping", "server/discover"];
    let others = METHODS.into_iter().map(|(served, _)| served).filter(|served| !of_a_revision.contains(served));
    let others: Vec<&str> = others.collect();
    format!("initialize and ping (before 2026-07-28), server/discover (since then), {}", others.join(", "))
}

/// Returns whether the gateway serves a method.
pub(super) fn is_supported(method: &str) -> bool {
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
                Err(ParamError { path: String::new(), words: format!("is missing; it must be {}", kind.description()) })
            }
            None => Ok(()),
        };
        checked.map_err(|mistake| mistake.within(name))?;
    }
    Ok(())
}

fn check_kind(kind: &MemberType, value: &Value) -> Result<(), ParamError> {
    match (kind, value) {
        (MemberType::Text, Value::String(_)) | (MemberType::Flag, Value::Bool(_)) => Ok(()),
        (MemberType::List(kind), Value::Array(items)) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, item)| check_kind(kind, item).map_err(|mistake| mistake.at(index)))
        }
        (MemberType::Object(members), Value::Object(given)) => check_members(members, given),
        (MemberType::Each(kind), Value::Object(given)) => {
            given.iter().try_for_each(|(name, value)| check_kind(kind, value).map_err(|mistake| mistake.within(name)))
        }
        _ => {
            let words = format!("must be {}, and is {}", kind.description(), kind_of(value));
            Err(ParamError { path: String::new(), words })
        }
    }
}

impl MemberType {
    fn description(&self) -> &'static str {
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
