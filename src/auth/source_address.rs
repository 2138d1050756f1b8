//! Where a request comes from, as far as limits distinguish sources.

use std::net::IpAddr;

use ipnet::Ipv6Net;

/// A client with one IPv6 address has all 2^64 of its /64.
const SOURCE_PREFIX: u8 = 64;
/// Providers assign a /48 to one customer (RFC 6177): 65,536 networks of the size above.
const SITE_PREFIX: u8 = 48;

/// A source: an IPv4 address, or an IPv6 /64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SourceAddress(IpAddr);

impl From<IpAddr> for SourceAddress {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Net::new_assert(address, SOURCE_PREFIX).network().into(),
        })
    }
}

/// The network of a source: an IPv4 address, or an IPv6 /48.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Network48(IpAddr);

impl SourceAddress {
    /// Returns the address; for an IPv6 network, its first address.
    pub(crate) fn address(self) -> IpAddr {
        self.0
    }

    /// Returns the network of the source.
    pub(crate) fn network(self) -> Network48 {
        Network48(match self.0 {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Net::new_assert(address, SITE_PREFIX).network().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SourceAddress {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn addresses_of_one_64_are_one_source() {
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:1.2.3.4"), at("1.2.3.4"));
        assert_ne!(at("1.2.3.4"), at("1.2.3.5"));
    }
}
