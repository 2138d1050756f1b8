//! A tool that there is not.

use std::fmt;

/// There is no tool of that name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownTool {
    /// The name that was asked for, fit to be shown.
    pub asked: String,
    /// One that may have been meant, which does the same.
    pub near: Option<String>,
    /// That OwnerRez has nothing of the kind, where that is certain.
    pub impossible: Option<String>,
}

impl fmt::Display for UnknownTool {
    /// Writes what helps to go on; nothing where nothing is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.impossible, &self.near) {
            (Some(impossible), _) => write!(f, " {impossible}"),
            (None, Some(near)) => write!(f, " Did you mean `{near}`?"),
            (None, None) => Ok(()),
        }
    }
}
