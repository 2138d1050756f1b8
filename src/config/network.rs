//! Networks in the notation of operators: `172.16.0.0/12`, `fdaa::/16`, or a single address.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::errors::Problem;

/// The bits of an IPv6 address before its IPv4-mapped part (`::ffff:0:0/96`, RFC 4291 section 2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

/// Addresses with a common prefix. IPv4-mapped networks (`::ffff:…`) are stored as IPv4 networks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network(IpNet);

impl Network {
    /// Returns whether the network contains the address. An IPv4-mapped address is treated as its IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// Parses an entry of the trusted proxies.
pub(super) fn network(text: &str) -> Result<Network, Problem> {
    let remedy = "write each like 172.18.0.2, 172.16.0.0/12 or fdaa::/16; host names are not allowed";
    let problem = || Problem::new("an entry is neither an IP address nor a network", remedy);
    let given = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().map_err(|_| problem())?,
    };
    let network = match (given, given.addr().to_canonical()) {
        // `::ffff:10.0.0.0/104` is 10.0.0.0/8; a wider one would contain addresses of both families.
        (IpNet::V6(mapped), IpAddr::V4(address)) => {
            let bits = mapped.prefix_len().checked_sub(MAPPED_PREFIX).ok_or_else(problem)?;
            Ipv4Net::new(address, bits).map_err(|_| problem())?.into()
        }
        _ => given,
    };
    if network.prefix_len() == 0 {
        // Such a network would let every client choose its own source address.
        return Err(Problem::new("an entry contains every address", remedy));
    }
    Ok(Network(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_begins_alike() {
        for (text, within, beyond) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1", "::ffff:127.0.0.1", "::1"),
            ("172.16.0.0/12", "172.31.255.255", "172.32.0.0"),
            ("172.20.1.1/12", "172.16.0.0", "172.15.255.255"),
            ("10.0.0.0/31", "10.0.0.1", "10.0.0.2"),
            ("::1", "::1", "::2"),
            ("fdaa::/16", "fdaa:ffff::1", "fdab::"),
            ("2001:db8::/127", "2001:db8::1", "2001:db8::2"),
            ("::ffff:10.0.0.0/104", "10.255.0.1", "11.0.0.0"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("128.0.0.0/1", "255.0.0.1", "127.255.255.255"),
        ] {
            let network = network(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
            assert!(network.contains(within.parse().expect("an address")), "{within} in {text}");
            assert!(!network.contains(beyond.parse().expect("an address")), "{beyond} not in {text}");
        }
        assert!(!network("0.0.0.0/1").expect("a network").contains("::1".parse().expect("an address")));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "proxy",
            "10.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "/8",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "0.0.0.0/0",
            "::/0",
            "::ffff:0.0.0.0/96",
            "::ffff:0.0.0.0/95",
            "10.0.0.1:80",
            "[::1]",
            "fe80::1%eth0",
            "*",
        ] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
