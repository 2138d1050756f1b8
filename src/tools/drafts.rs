//! Messages to guests in two steps: a draft, which sends nothing, and sending that draft. The draft's id is the draft
//! itself, encrypted for its user; nothing of it is stored.

use serde_json::json;

use super::{
    confirm::{self, ConfirmationKind, Consent, Refusal},
    request_digests::request_digests,
    tool_deps::ToolDeps,
    write_messages as messages,
};
use crate::{
    catalog::{Operation, RenderedResponse, WriteOptions},
    crypto::CryptoError,
    domain::{Principal, UpstreamRequest},
};

/// Returns what a request would send, and the id that sends it.
pub(super) fn draft(
    deps: &ToolDeps,
    caller: &Principal,
    operation: &Operation,
    request: &UpstreamRequest,
    by_call_operation: bool,
) -> Result<RenderedResponse, CryptoError> {
    let arguments = operation.arguments_of(request);
    let request = request_digests(deps, caller.user, request).into_iter().next().unwrap_or_default();
    let now = deps.clock.now();
    let (id, until) =
        confirm::seal(&deps.ring, caller.user, ConfirmationKind::Draft, &request, Some(arguments.clone()), now)?;
    Ok(RenderedResponse::unreduced(&json!({
        "sent": false,
        "draft": arguments,
        "draft_id": id,
        "expires_at": until,
        "next": messages::how_to_send(operation.name(), by_call_operation),
    })))
}

/// Returns the draft that a call names, if any.
pub(super) fn open_draft(
    deps: &ToolDeps,
    caller: &Principal,
    options: &WriteOptions,
) -> Result<Option<Consent>, Refusal> {
    let id = options.draft_id.as_deref();
    id.map(|id| confirm::open(&deps.ring, caller.user, ConfirmationKind::Draft, id, deps.clock.now())).transpose()
}
