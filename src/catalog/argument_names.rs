//! Names of arguments that the gateway adds to those of an operation.

/// The argument that lists members to clear, in operations that support it.
pub(super) const CLEAR: &str = "clear";
/// The arguments that select how a response is shown.
pub(super) const FIELDS: &str = "fields";
pub(super) const FORMAT: &str = "format";
/// Sends the write even if an identical one was made just now.
pub(super) const AGAIN: &str = "again";
/// A caller's name for the write: with the same name it is made once in 24 hours.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency_key";
/// The confirmation from an earlier response, for a write that takes two steps.
pub(super) const CONFIRM: &str = "confirm";
/// The draft id from the drafting tool.
pub(super) const DRAFT_ID: &str = "draft_id";
