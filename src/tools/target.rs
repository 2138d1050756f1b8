//! What a tool call runs.

use super::{composite::CompositeTool, tool_selection::ToolInfo};
use crate::catalog::Operation;

/// The implementation that a tool's name leads to.
pub(super) enum Target<'a> {
    /// An operation of OwnerRez.
    Operation(&'a Operation),
    /// A draft of an operation, which sends nothing.
    Draft(&'a Operation),
    /// A composite tool.
    Composite(CompositeTool<'a>),
    /// The search for operations.
    FindOperation,
}

impl<'a> Target<'a> {
    /// Returns the operation whose effect the tool has.
    pub(super) fn operation(&self) -> Option<&'a Operation> {
        match self {
            Self::Operation(operation) | Self::Draft(operation) => Some(operation),
            Self::Composite(_) | Self::FindOperation => None,
        }
    }

    /// Returns the attributes by which a tool selection includes the tool of this name.
    pub(super) fn tool_info<'b>(&self, name: &'b str) -> ToolInfo<'b>
    where
        'a: 'b,
    {
        match self {
            // A draft tool has the attributes of its operation: without write access it is of no use.
            Self::Operation(operation) | Self::Draft(operation) => ToolInfo { name, ..ToolInfo::from(*operation) },
            Self::Composite(tool) => tool.tool_info(),
            Self::FindOperation => ToolInfo::of_tool_search(name),
        }
    }
}
