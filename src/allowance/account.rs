//! The account that a request is counted for.

use crate::domain::{AccountId, UserId};

/// The account that a request is counted for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Account {
    /// An OwnerRez account. Several users of the gateway may share it.
    OwnerRez(AccountId),
    /// A user whose OwnerRez account is unknown.
    User(UserId),
    /// All attempts to connect an account. The admission in front of the budget divides this part between them.
    Connecting,
}
