//! The caller without a key in single-user mode.

use crate::domain::Principal;

/// The single user.
#[derive(Clone, Debug)]
pub struct SingleUser {
    /// The caller of every request.
    pub caller: Principal,
    /// The SHA-256 of `SINGLE_USER_TOKEN` in hexadecimal; `None` if it is not set.
    pub token_digest: Option<String>,
}
