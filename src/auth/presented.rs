//! A key that is being checked.

use chrono::{DateTime, Utc};

use super::{lookup_id::LookupId, source_address::SourceAddress};
use crate::crypto::PresentedKey;

/// A key that is being checked.
pub(super) struct Presented<'a> {
    pub(super) key: &'a PresentedKey,
    /// The digest under which this process caches the key.
    pub(super) digest: [u8; 32],
    pub(super) lookup_id: LookupId,
    pub(super) source: SourceAddress,
    /// When the request stops waiting.
    pub(super) until: DateTime<Utc>,
}
