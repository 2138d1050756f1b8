//! Arguments that any write takes in addition to those of its operation. To save tokens `tools/list` shows only those
//! that a tool requires; responses mention the others when they matter.

use serde_json::{Map, Value};

use super::{
    argument_names::{AGAIN, CONFIRM, DRAFT_ID, IDEMPOTENCY_KEY},
    problem::{ArgumentProblem, show},
};

/// The maximum lengths in characters of a key, and of a token of this gateway.
const KEY_CHARS: usize = 200;
const TOKEN_CHARS: usize = 200_000;

/// How a write is made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WriteOptions {
    /// Whether to send the write even if an identical one was made just now.
    pub again: bool,
    /// The caller's name for the write.
    pub idempotency_key: Option<String>,
    /// A confirmation from an earlier response.
    pub confirm: Option<String>,
    /// A draft from an earlier response.
    pub draft_id: Option<String>,
}

impl WriteOptions {
    /// Returns whether an option of this name has a value. Clients that have to give every listed argument write null
    /// or empty text for `confirm` and `draft_id`. An idempotency key is never listed, so an empty one is a mistake.
    pub fn is_given(name: &str, value: &Value) -> bool {
        let is_blank = value.as_str().is_some_and(|text| text.trim().is_empty());
        !value.is_null() && (!is_blank || name == IDEMPOTENCY_KEY)
    }

    /// The names of the options, which no operation may use for its own arguments.
    pub const NAMES: [&str; 4] = [AGAIN, IDEMPOTENCY_KEY, CONFIRM, DRAFT_ID];

    /// Removes the options from the arguments, or returns the problems with them. `confirms` is whether the operation
    /// may ever need consent.
    pub(super) fn take(
        arguments: &mut Map<String, Value>,
        drafts: bool,
        confirms: bool,
    ) -> Result<WriteOptions, Vec<ArgumentProblem>> {
        let mut problems = Vec::new();
        let again = match arguments.remove(AGAIN) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(again)) => again,
            Some(Value::String(word)) if word.trim().is_empty() => false,
            Some(Value::String(word)) if word.eq_ignore_ascii_case("true") => true,
            Some(Value::String(word)) if word.eq_ignore_ascii_case("false") => false,
            Some(other) => {
                problems.push(ArgumentProblem::new(
                    AGAIN,
                    format!("`{AGAIN}` is {}: give true or leave it out", show(&other)),
                ));
                false
            }
        };
        let mut text = |name: &str, longest: usize| match arguments.remove(name) {
            None | Some(Value::Null) => None,
            given if given.as_ref().is_some_and(|given| !Self::is_given(name, given)) => None,
            Some(Value::String(text)) if (1..=longest).contains(&text.chars().count()) => Some(text),
            Some(other) => {
                let message =
                    format!("`{name}` is {}: give a text of 1 to {longest} characters or leave it out", show(&other));
                problems.push(ArgumentProblem::new(name, message));
                None
            }
        };
        let idempotency_key = text(IDEMPOTENCY_KEY, KEY_CHARS);
        let confirm = text(CONFIRM, TOKEN_CHARS);
        let draft_id = if drafts { text(DRAFT_ID, TOKEN_CHARS) } else { None };
        if confirm.is_some() && !confirms {
            let message =
                format!("unknown argument `{CONFIRM}`: this operation is executed at once and needs no confirmation");
            problems.push(ArgumentProblem::new(CONFIRM, message));
        }
        if problems.is_empty() { Ok(WriteOptions { again, idempotency_key, confirm, draft_id }) } else { Err(problems) }
    }
}
