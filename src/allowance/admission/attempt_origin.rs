//! Where an attempt to connect comes from.

use std::net::IpAddr;

use ipnet::Ipv6Net;

use super::party::Party;
use crate::domain::UserId;

/// The origin of an attempt to connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttemptOrigin {
    /// An IPv4 address, or the first address of a /64 of IPv6.
    pub source: IpAddr,
    /// The user, if known before OwnerRez has responded.
    pub user: Option<UserId>,
}

impl AttemptOrigin {
    pub(super) fn network(&self) -> Party {
        Party::Network(match self.source {
            IpAddr::V4(_) => self.source,
            IpAddr::V6(address) => Ipv6Net::new_assert(address, 48).network().into(),
        })
    }

    pub(super) fn parties(&self) -> impl Iterator<Item = Party> + use<> {
        [Some(self.network()), Some(Party::Source(self.source)), self.user.map(Party::User)].into_iter().flatten()
    }
}
