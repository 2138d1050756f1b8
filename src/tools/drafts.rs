//! Messages to guests in two steps: a draft, which sends nothing, and sending that draft. The draft's id is the draft
//! itself, encrypted for its user; nothing of it is stored.

use serde_json::{Value, json};

use super::{
    Parts,
    confirm::{self, ConfirmationKind, Consent, Refusal},
    write_messages as messages,
    writes::digests,
};
use crate::{
    catalog::{Operation, WriteOptions},
    crypto::CryptoError,
    domain::{Principal, UpstreamRequest},
};

/// Returns what a request would send, and the id that sends it.
pub(super) fn draft(
    parts: &Parts,
    caller: &Principal,
    operation: &Operation,
    request: &UpstreamRequest,
    by_call_operation: bool,
) -> Result<Value, CryptoError> {
    let arguments = operation.arguments_of(request);
    let request = digests(parts, caller.user, request).into_iter().next().unwrap_or_default();
    let now = parts.links.clock.now();
    let (id, until) =
        confirm::seal(&parts.ring, caller.user, ConfirmationKind::Draft, &request, Some(arguments.clone()), now)?;
    Ok(json!({
        "sent": false,
        "draft": arguments,
        "draft_id": id,
        "expires_at": until,
        "next": messages::how_to_send(operation.name(), by_call_operation),
    }))
}

/// Returns the draft that a call names, if any.
pub(super) fn open_draft(
    parts: &Parts,
    caller: &Principal,
    options: &WriteOptions,
) -> Result<Option<Consent>, Refusal> {
    let id = options.draft_id.as_deref();
    id.map(|id| confirm::open(&parts.ring, caller.user, ConfirmationKind::Draft, id, parts.links.clock.now()))
        .transpose()
}
