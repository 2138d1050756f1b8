//! The HTML pages and their texts. Small, without scripts, readable on a phone.

pub(crate) mod account;
pub(crate) mod connect;
mod error;
mod notice;
mod parts;
mod security_headers;
pub(crate) mod sign_in;
pub(crate) mod waiting;

pub(crate) use self::{
    error::error,
    notice::notice,
    parts::operator,
    security_headers::{origin, response_with_security_headers},
};
