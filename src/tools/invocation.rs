//! A permitted call of an operation of OwnerRez.

use std::sync::Arc;

use super::{tool_call::CallContext, tool_deps::ToolDeps};
use crate::catalog::Operation;

/// A permitted call of an operation.
#[derive(Clone, Copy)]
pub(super) struct Invocation<'a> {
    pub(super) deps: &'a Arc<ToolDeps>,
    pub(super) context: CallContext<'a>,
    pub(super) operation: &'a Operation,
    /// Whether the client called the operation through `call_operation`.
    pub(super) by_call_operation: bool,
}
