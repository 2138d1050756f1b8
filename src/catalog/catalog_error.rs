//! The error of an invalid table.

/// The table is invalid. Lists every mistake found, so that all can be corrected at once.
#[derive(Debug, thiserror::Error)]
#[error("the table of operations has {} mistake(s):\n- {}", .errors.len(), .errors.join("\n- "))]
pub struct CatalogError {
    /// One sentence per mistake, beginning with the operation's name where it is known.
    pub errors: Vec<String>,
}
