//! The parameters of the methods that the gateway serves: which members they have, and of what type.
//!
//! The engine takes a request whose parameters it cannot read for a method that it does not know, and reads a JSON array as
//! an object. So the types are checked first. The table follows the published schemas (`tests/gateway/schemas/`) and is as
//! lenient as they are: an unknown member passes, and so does `null` for an optional one.

use serde_json::{Map, Value};

/// What a member must be.
enum Kind {
    Text,
    Object(&'static [Member]),
    /// An object whose members are all of one kind.
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

const INITIALIZE: &[Member] = &[
    required("protocolVersion", Kind::Text),
    required(
        "capabilities",
        Kind::Object(&[
            optional("experimental", Kind::Each(&ANY_OBJECT)),
            optional("extensions", Kind::Each(&ANY_OBJECT)),
            optional("elicitation", ANY_OBJECT),
            optional("roots", ANY_OBJECT),
            optional("sampling", ANY_OBJECT),
            optional("tasks", ANY_OBJECT),
        ]),
    ),
    required("clientInfo", Kind::Object(&[required("name", Kind::Text), required("version", Kind::Text)])),
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

fn members(method: &str) -> Option<&'static [Member]> {
    Some(match method {
        "initialize" => INITIALIZE,
        "tools/call" => CALL,
        "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list" => LIST,
        "resources/read" => READ,
        "prompts/get" => PROMPT,
        "completion/complete" => COMPLETE,
        "ping" | "server/discover" => BARE,
        _ => return None,
    })
}

/// Whether the gateway serves a method.
pub(super) fn is_served(method: &str) -> bool {
    members(method).is_some()
}

/// Checks the parameters of a method; those of an unknown method pass.
///
/// # Errors
/// The first member that is missing or of another type, in words.
pub(super) fn check(method: &str, params: Option<&Map<String, Value>>) -> Result<(), String> {
    let Some(members) = members(method) else { return Ok(()) };
    check_members(members, params.unwrap_or(&Map::new()))
        .map_err(|Mistake { path, words }| format!("`params{path}` {words}"))
}

/// A member and what is wrong with it. Its path is put together on the way back, which costs a request without a mistake
/// nothing.
struct Mistake {
    path: String,
    words: String,
}

impl Mistake {
    fn within(self, name: &str) -> Self {
        // The client may have chosen the name.
        let name: String = name.chars().take(60).flat_map(char::escape_debug).collect();
        Self { path: format!(".{name}{}", self.path), words: self.words }
    }
}

fn check_members(members: &[Member], given: &Map<String, Value>) -> Result<(), Mistake> {
    for Member { name, required, kind } in members {
        let checked = match given.get(*name) {
            Some(Value::Null) if !required => Ok(()),
            Some(value) => check_kind(kind, value),
            None if *required => {
                Err(Mistake { path: String::new(), words: format!("is missing; it must be {}", kind.word()) })
            }
            None => Ok(()),
        };
        checked.map_err(|mistake| mistake.within(name))?;
    }
    Ok(())
}

fn check_kind(kind: &Kind, value: &Value) -> Result<(), Mistake> {
    match (kind, value) {
        (Kind::Text, Value::String(_)) => Ok(()),
        (Kind::Object(members), Value::Object(given)) => check_members(members, given),
        (Kind::Each(kind), Value::Object(given)) => {
            given.iter().try_for_each(|(name, value)| check_kind(kind, value).map_err(|mistake| mistake.within(name)))
        }
        _ => {
            let words = format!("must be {}, and is {}", kind.word(), kind_of(value));
            Err(Mistake { path: String::new(), words })
        }
    }
}

impl Kind {
    fn word(&self) -> &'static str {
        match self {
            Self::Text => "a string",
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
