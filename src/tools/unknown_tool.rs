//! The error for an unknown tool.

use std::fmt;

/// There is no tool of that name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownTool {
    /// The requested name, safe to be shown.
    pub requested: String,
    /// The tool with the same act that may have been meant.
    pub suggestion: Option<String>,
    /// A message that OwnerRez does not support this, if that is certain.
    pub impossible: Option<String>,
}

impl fmt::Display for UnknownTool {
    /// Writes a hint for the next step, if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.impossible, &self.suggestion) {
            (Some(impossible), _) => write!(f, " {impossible}"),
            (None, Some(suggestion)) => write!(f, " Did you mean `{suggestion}`?"),
            (None, None) => Ok(()),
        }
    }
}
