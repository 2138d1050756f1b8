//! Texts about writes for a model or the user: what happened, which party has to act, and the next step.

use chrono::TimeDelta;
use serde_json::Value;

use super::confirm::Refusal;
use crate::{
    catalog::{Operation, VerificationRead},
    session::CallError,
    store::WriteRecord,
};

/// OwnerRez granted this connection read access only.
pub(super) fn read_only_connection(tool: &str) -> String {
    format!(
        "`{tool}` changes the OwnerRez account, and the access that OwnerRez granted may only read. Nothing was sent. Do \
         not retry: the user has to connect OwnerRez again through an app, or with a token, that may read and write."
    )
}

/// A write was sent and its outcome is unknown.
pub(super) fn unknown(error: &CallError, read: Option<&VerificationRead>) -> String {
    let what = match error {
        CallError::Upstream(refused) => {
            let message = refused.message().map_or(String::new(), |message| format!(" It said: {message}"));
            format!("OwnerRez answered with status {}.{message}", refused.status)
        }
        CallError::Transport { error, .. } => format!("{error}."),
        _ => "OwnerRez gave no usable answer.".to_owned(),
    };
    format!("{what} Whether the change was made is unknown. {}", verify_first(read))
}

/// The same write was sent just now and its outcome is unknown.
pub(super) fn repeats_unknown(record: &WriteRecord, ago: TimeDelta, read: Option<&VerificationRead>) -> String {
    format!(
        "The same `{}` was sent {} and its outcome is unknown; it may still be under way. It was not sent again. {}",
        record.tool,
        seconds(ago),
        verify_first(read)
    )
}

/// The same write was made just now.
pub(super) fn repeats_done(record: &WriteRecord, ago: TimeDelta, read: Option<&VerificationRead>) -> String {
    let read = read.map_or(String::new(), |read| format!(" {} shows the current state.", call(read)));
    format!(
        "The same `{}` was carried out {}, so it was not sent again.{read} If the user wants it done once more, call \
         again with `again`: true.",
        record.tool,
        seconds(ago)
    )
}

/// A draft or a confirmation was used a second time.
pub(super) fn permit_used(record: &WriteRecord, draft: bool, ago: TimeDelta) -> String {
    let (what, next) = if draft {
        ("This draft was sent", "A draft can be sent once. To send the message again, create a new draft")
    } else {
        ("This confirmation was used", "A confirmation can be used once. To repeat the action, call without `confirm`")
    };
    let known = if record.done { "" } else { ", with an unknown outcome" };
    format!("{what} {}{known}. Nothing was sent now. {next}.", seconds(ago))
}

/// An idempotency key was used with a different call.
pub(super) fn key_taken(record: &WriteRecord, ago: TimeDelta) -> String {
    format!(
        "This `idempotency_key` belongs to another `{}`, sent {}. Nothing was sent. Use a new key for each change.",
        record.tool,
        seconds(ago)
    )
}

/// A draft, a confirmation or a reply is not consent.
pub(super) fn refused(refusal: Refusal, operation: &Operation) -> String {
    let anew = match operation.draft() {
        Some(tool) => format!("Create a new draft with `{}` and show it to the user.", tool.name),
        None => "Call without `confirm` for a new one.".to_owned(),
    };
    match refusal {
        Refusal::Declined => format!(
            "The question was answered with no (`decline`), so nothing was changed. Do not try again unless the user asks \
             for it. {TWO_STEPS}"
        ),
        Refusal::Cancelled => format!(
            "The question was closed without an answer (`cancel`), so nothing was changed: only an accepted question is \
             consent. {TWO_STEPS}"
        ),
        Refusal::Expired => format!("The draft or confirmation has expired, so nothing was sent. {anew}"),
        Refusal::Invalid => {
            format!("The draft or confirmation is another user's, or was not copied exactly. Nothing was sent. {anew}")
        }
        Refusal::OtherCall => format!(
            "The user agreed to another call: tool and arguments have to be exactly the same. Nothing was sent. {anew}"
        ),
    }
}

/// How to configure the two-step confirmation for a client without a user to ask.
const TWO_STEPS: &str = "If this client answers automatically without asking a user, the connection can be set to two \
steps: `?two_steps=true` in its URL, the header `X-MCP-Two-Steps: true`, a key created with `two_steps`, or, if the \
client starts the gateway as a program (stdio), the environment variable `MCP_TWO_STEPS=true`.";

/// Returns the name of the call for the second step: if the first step was made by `call_operation`, the second is too.
fn call_again(operation: &Operation, by_call_operation: bool) -> String {
    let name = operation.name();
    if by_call_operation { format!("`call_operation` for `{name}`") } else { format!("`{name}`") }
}

/// Describes the second step after the first one.
pub(super) fn how_to_confirm(operation: &Operation, by_call_operation: bool) -> String {
    let effect = if operation.is_destructive() { "It cannot be undone" } else { "It reaches a guest at once" };
    format!(
        "Nothing was sent yet. {effect}: show the user what would happen, and only if they agree call {} with exactly \
         the arguments in `next_call`.",
        call_again(operation, by_call_operation)
    )
}

/// Describes how to send a draft.
pub(super) fn how_to_send(tool: &str, by_call_operation: bool) -> String {
    let call = if by_call_operation {
        format!("`call_operation` with `name`: \"{tool}\" and this `draft_id`")
    } else {
        format!("`{tool}` with this `draft_id`")
    };
    format!("Nothing was sent. Show the draft to the user unchanged, and only if they agree call {call}.")
}

/// The arguments of a tool that sends drafts are invalid.
pub(super) fn or_a_draft(tool: &str) -> String {
    format!("Usually its only argument is the `draft_id` from `{tool}`.")
}

fn verify_first(read: Option<&VerificationRead>) -> String {
    let first = read.map_or_else(|| "the record".to_owned(), call);
    format!(
        "Do not repeat it blindly, but read first: {first} shows whether it was made. Only if it was not, repeat the \
         change with `again`: true."
    )
}

fn call(read: &VerificationRead) -> String {
    format!("`{}` with {}", read.tool, Value::Object(read.arguments.clone()))
}

fn seconds(ago: TimeDelta) -> String {
    match ago.num_seconds() {
        ..=0 => "just now".to_owned(),
        1 => "a second ago".to_owned(),
        some => format!("{some} seconds ago"),
    }
}
