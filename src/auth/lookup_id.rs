//! The lookup id of a key, as limits and queues know it.

/// The digest of a key's lookup id.
pub(crate) type LookupId = [u8; 32];
