//! OwnerRez's response to a successful call.

use crate::domain::RawJson;

/// OwnerRez's response to a successful call.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// HTTP status, 200 to 299.
    pub status: u16,
    /// The body; empty if there was none.
    pub body: RawJson,
    /// Whether this is a cached response; OwnerRez was not asked.
    pub from_cache: bool,
}
