//! An admitted attempt, and OwnerRez's verdict on its code.

use super::attempt_origin::AttemptOrigin;

/// An admitted attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    pub(super) origin: AttemptOrigin,
    pub(super) suspect: bool,
}

/// OwnerRez's verdict on a code or personal token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeVerdict {
    /// The code is valid.
    Good,
    /// The code is invalid. An outage gives no verdict.
    Bad,
}
