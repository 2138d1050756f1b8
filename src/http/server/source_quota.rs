//! Quotas with a limit for the process, for each source, and for each network of sources.

use std::sync::Arc;

use super::quota::{Exhausted, Quota, Reservation};
use crate::auth::{Network48, SourceAddress};

/// The limit of an IPv6 /48, as a multiple of the limit of one source. One customer often has a whole /48.
const SOURCES_PER_NETWORK: usize = 2;

/// A limited amount, and how much of it sources and networks have. Cloning is cheap; clones share the counts.
#[derive(Clone, Debug)]
pub(super) struct SourceQuota {
    sources: Arc<Quota<SourceAddress>>,
    networks: Arc<Quota<Network48>>,
}

/// A part of [`SourceQuota`]. Dropping it returns the part.
#[derive(Debug)]
pub(super) struct SourceReservation {
    _source: Reservation<SourceAddress>,
    _network: Option<Reservation<Network48>>,
}

impl SourceQuota {
    /// Creates `total` units for all sources, at most `per_source` of them for one.
    pub(super) fn new(total: usize, per_source: usize) -> Self {
        Self {
            sources: Quota::new(total, per_source),
            networks: Quota::new(total, per_source.saturating_mul(SOURCES_PER_NETWORK)),
        }
    }

    /// Takes `amount` units for a source.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn take(&self, source: SourceAddress, amount: usize) -> Result<SourceReservation, Exhausted> {
        let network = self.networks.take(source.network(), amount)?;
        Ok(SourceReservation { _source: self.sources.take(source, amount)?, _network: Some(network) })
    }

    /// Takes `amount` units for a trusted proxy, which only the total limits.
    ///
    /// # Errors
    /// If too few units are free.
    pub(super) fn take_exempt(&self, amount: usize) -> Result<SourceReservation, Exhausted> {
        let source = self.sources.take_exempt(amount).ok_or(Exhausted::Process)?;
        Ok(SourceReservation { _source: source, _network: None })
    }

    /// Returns how many units a source and its network have.
    pub(super) fn held_by(&self, source: SourceAddress) -> (usize, usize) {
        (self.sources.held_by(&source), self.networks.held_by(&source.network()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::*;

    fn subnet(network: u16, subnet: u16) -> SourceAddress {
        IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, network, subnet, 0, 0, 0, 1)).into()
    }

    #[test]
    fn all_sources_of_one_network_have_twice_the_bound_of_one() {
        let shares = SourceQuota::new(1_000, 3);
        let mut held = Vec::new();
        for number in 0..4 {
            held.extend((0..5).filter_map(|_| shares.take(subnet(1, number), 1).ok()));
        }
        assert_eq!(held.len(), 6, "of four sources with three each");
        assert_eq!(shares.take(subnet(1, 9), 1).unwrap_err(), Exhausted::Holder);
        assert_eq!(shares.held_by(subnet(1, 0)), (3, 6));
        assert_eq!(shares.held_by(subnet(1, 9)), (0, 6), "a refusal leaves nothing behind");
        assert!(shares.take(subnet(2, 0), 1).is_ok(), "another network");
        held.pop();
        assert!(shares.take(subnet(1, 9), 1).is_ok());
    }

    #[test]
    fn a_network_never_holds_more_than_it_leaves_free() {
        let shares = SourceQuota::new(100, 100);
        let taken: Vec<_> = (0..100).filter_map(|number| shares.take(subnet(1, number), 1).ok()).collect();
        assert_eq!(taken.len(), 50);
        assert!(shares.take(subnet(2, 0), 1).is_ok());
    }

    #[test]
    fn an_address_of_ipv4_has_the_bound_of_one_source() {
        let shares = SourceQuota::new(1_000, 3);
        let address = SourceAddress::from(IpAddr::from([203, 0, 113, 1]));
        let _held: Vec<_> = (0..3).map(|_| shares.take(address, 1).unwrap()).collect();
        assert_eq!(shares.take(address, 1).unwrap_err(), Exhausted::Holder);
    }
}
