//! The parties of an attempt to connect.

use std::net::IpAddr;

use crate::domain::UserId;

/// A party that a history is kept for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Party {
    Network(IpAddr),
    Source(IpAddr),
    User(UserId),
}
