//! Decides whether a caller may call a tool on this connection. Every call is checked here, once, before its arguments
//! are read. Whether the connected account itself accepts writes is checked by `writes`, because that can change while
//! a call waits.

use super::{
    error_messages,
    outcome::{LoggedOutcome, rejected},
    tool_call::CallContext,
    tool_selection::ToolInfo,
};
use crate::{catalog::Operation, domain::ErrorCode};

/// Returns why a call of this tool is not allowed; `None` if it is. `operation` is the operation of OwnerRez whose
/// effect the tool has.
///
/// The checks in this order: the tool selection of the connection, the scope of the caller's key or grant, and whether
/// the connection is read-only.
pub(super) fn check_access(
    context: &CallContext<'_>,
    tool: ToolInfo<'_>,
    operation: Option<&Operation>,
) -> Option<LoggedOutcome> {
    let CallContext { caller, selection, .. } = context;
    if !selection.contains(tool) {
        return Some(rejected(ErrorCode::ToolNotChosen, error_messages::not_selected(tool.name)));
    }
    if let Some(operation) = operation.filter(|operation| !operation.is_allowed_for(caller.scope)) {
        return Some(rejected(ErrorCode::InsufficientScope, error_messages::insufficient_scope(operation.name())));
    }
    (!selection.can_call(tool)).then(|| rejected(ErrorCode::ToolNotChosen, error_messages::reads_only(tool.name)))
}
