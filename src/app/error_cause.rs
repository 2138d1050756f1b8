//! The cause of an error of the database, for its message.

use std::error::Error;

use crate::store::StoreError;

/// Returns the text of the error that caused this one.
pub(super) fn cause(error: &StoreError) -> String {
    Error::source(error).map(ToString::to_string).unwrap_or_default()
}
