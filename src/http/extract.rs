//! What handlers take from a request: its caller, its credential, and its source.

pub(super) mod bearer;
pub(super) mod callers;
pub(super) mod indirect;
pub(super) mod single_user;
pub(super) mod source_address;
