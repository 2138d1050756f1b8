//! Messages to guests in two steps: a draft, which sends nothing, and sending that draft. The draft's id is the draft
//! itself, sealed for its user; nothing of it is stored.

use serde_json::{Map, Value, json};

use super::{
    Parts,
    confirm::{self, Consent, Refusal, Way},
    write_words as words,
    writes::digests,
};
use crate::{
    catalog::{Operation, WriteOptions},
    crypto::CryptoError,
    domain::{Caller, UpstreamRequest},
};

/// What a request would send, and the id that sends it.
pub(super) fn draft(
    parts: &Parts,
    caller: &Caller,
    operation: &Operation,
    request: &UpstreamRequest,
) -> Result<Value, CryptoError> {
    let said = operation.said(request);
    let request = digests(parts, caller.user, request).into_iter().next().unwrap_or_default();
    let now = parts.links.clock.now();
    let (id, until) = confirm::seal(&parts.ring, caller.user, Way::Draft, &request, Some(said.clone()), now)?;
    Ok(json!({
        "sent": false,
        "draft": said,
        "draft_id": id,
        "expires_at": until,
        "next": words::how_to_send(operation.name()),
    }))
}

/// The arguments of a call that names a draft, and the draft. What stands beside the id is kept, and compared later.
pub(super) fn opened(
    parts: &Parts,
    caller: &Caller,
    options: &WriteOptions,
    beside: Map<String, Value>,
) -> Result<(Map<String, Value>, Option<Consent>), Refusal> {
    let Some(id) = &options.draft_id else { return Ok((beside, None)) };
    let draft = confirm::open(&parts.ring, caller.user, Way::Draft, id, parts.links.clock.now())?;
    let arguments = if beside.is_empty() { draft.arguments.clone() } else { beside };
    Ok((arguments, Some(draft)))
}
