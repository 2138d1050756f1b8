//! The addresses of the public Internet. Any other address may belong to a service that trusts this process because of
//! its network: the cloud's metadata service, a database, the gateway itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// The IPv4 ranges that are not public: IANA's special-purpose registry (RFC 6890 and its successors), and multicast.
const NOT_PUBLIC_V4: &[Ipv4Net] = &[
    v4(Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
    v4(Ipv4Addr::new(10, 0, 0, 0), 8),      // private use
    v4(Ipv4Addr::new(100, 64, 0, 0), 10),   // carrier-grade NAT, also the metadata service of one cloud
    v4(Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    v4(Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, the metadata service of most clouds
    v4(Ipv4Addr::new(172, 16, 0, 0), 12),   // private use
    v4(Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    v4(Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    v4(Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    v4(Ipv4Addr::new(192, 168, 0, 0), 16),  // private use
    v4(Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    v4(Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    v4(Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    v4(Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    v4(Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, and broadcast
];

/// The public IPv6 range is global unicast. Loopback, mapped and compatible IPv4 addresses, both NAT64 prefixes, unique
/// local, link-local and multicast addresses are outside of it.
const GLOBAL_UNICAST: Ipv6Net = v6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The ranges within it that are not public.
const NOT_PUBLIC_V6: &[Ipv6Net] = &[
    v6(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo and benchmarks among them
    v6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    v6(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4, which holds an IPv4 address
    v6(Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16), // the former 6bone
    v6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Returns whether an untrusted party may make this process connect to the address.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_UNICAST.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address))
        }
    }
}

const fn v4(address: Ipv4Addr, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(address, bits)
}

const fn v6(address: Ipv6Addr, bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(address, bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("1.1.1.1", true),
            ("8.8.8.8", true),
            ("9.255.255.255", true),
            ("11.0.0.0", true),
            ("100.63.255.255", true),
            ("100.128.0.0", true),
            ("172.15.255.255", true),
            ("172.32.0.0", true),
            ("223.255.255.255", true),
            ("2606:4700:4700::1111", true),
            ("2001:4860:4860::8888", true),
            ("0.0.0.0", false),
            ("10.0.0.1", false),
            ("100.64.0.1", false),
            ("100.100.100.200", false),
            ("127.0.0.1", false),
            ("127.255.255.254", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.0.0.170", false),
            ("192.0.2.1", false),
            ("192.88.99.1", false),
            ("192.168.1.1", false),
            ("198.19.255.255", false),
            ("198.51.100.1", false),
            ("203.0.113.9", false),
            ("224.0.0.1", false),
            ("239.255.255.255", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", false),
            ("::127.0.0.1", false),
            ("64:ff9b::a00:1", false),
            ("64:ff9b::808:808", false),
            ("64:ff9b:1::1", false),
            ("100::1", false),
            ("2001::1", false),
            ("2001:2::1", false),
            ("2001:20::1", false),
            ("2001:db8::1", false),
            ("2002:7f00:1::1", false),
            ("2002:a00:1::1", false),
            ("3fff::1", false),
            ("5f00::1", false),
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("fdaa::3", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_public(text.parse().unwrap()), expected, "{text}");
        }
    }

    proptest! {
        /// The standard library classifies some of the special ranges; none of those is ever public.
        #[test]
        fn what_the_standard_library_calls_special_is_not_public(bits in any::<u32>(), wide in any::<u128>()) {
            let four = Ipv4Addr::from_bits(bits);
            if four.is_private() || four.is_loopback() || four.is_link_local() || four.is_broadcast()
                || four.is_documentation() || four.is_multicast() || four.is_unspecified()
            {
                prop_assert!(!is_public(four.into()), "{}", four);
            }
            prop_assert!(!is_public(four.to_ipv6_mapped().into()));
            prop_assert!(!is_public(four.to_ipv6_compatible().into()));
            let six = Ipv6Addr::from_bits(wide);
            if six.is_unique_local() || six.is_unicast_link_local() || six.is_multicast() {
                prop_assert!(!is_public(six.into()), "{}", six);
            }
        }
    }
}
