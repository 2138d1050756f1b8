//! What runs around each request, before and after its handler.

pub(super) mod authority;
pub(super) mod body_encoding;
pub(super) mod cors;
pub(super) mod guard;
pub(super) mod path;
pub(super) mod request_logger;
