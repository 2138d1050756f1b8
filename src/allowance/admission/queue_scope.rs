//! The groups of connectors that share a limit on their places.

use super::{attempt_origin::AttemptOrigin, party::Party};

/// The maximum number of places in total, per network and per source.
const MAX_PLACES: u32 = 1_000;
const MAX_PER_NETWORK: u32 = 40;
const MAX_PER_SOURCE: u32 = 20;

/// A group of connectors with a limit on its places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueScope {
    /// An IPv4 address, or a /64 of IPv6.
    Source,
    /// A /48 of IPv6.
    Network,
    /// All connectors.
    Everyone,
}

impl QueueScope {
    /// Returns the group's maximum number of places.
    pub fn capacity(self) -> u32 {
        match self {
            Self::Source => MAX_PER_SOURCE,
            Self::Network => MAX_PER_NETWORK,
            Self::Everyone => MAX_PLACES,
        }
    }

    pub(super) fn includes(self, origin: &AttemptOrigin, other: &AttemptOrigin) -> bool {
        match self {
            Self::Source => origin.source == other.source,
            Self::Network => origin.network() == other.network(),
            Self::Everyone => true,
        }
    }

    /// Returns the part of the group that this connector belongs to. All users that are not known yet form one part.
    pub(super) fn member(self, origin: &AttemptOrigin) -> Option<Party> {
        match self {
            Self::Source => origin.user.map(Party::User),
            Self::Network => Some(Party::Source(origin.source)),
            Self::Everyone => Some(origin.network()),
        }
    }
}
