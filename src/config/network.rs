//! Networks in the notation of operators: `172.16.0.0/12`, `fdaa::/16`, or a single address.

use std::net::IpAddr;

use super::errors::Problem;

/// Addresses with a common prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    /// IPv4-mapped addresses (`::ffff:…`) are stored as IPv4 addresses.
    address: IpAddr,
    /// The length of the prefix.
    bits: u32,
}

impl Network {
    /// Returns whether the network contains the address. An IPv4-mapped address is treated as its IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Parses an entry of the trusted proxies.
pub(super) fn network(text: &str) -> Result<Network, Problem> {
    let remedy = "write each like 172.18.0.2, 172.16.0.0/12 or fdaa::/16; host names are not allowed";
    let problem = || Problem::new("an entry is neither an IP address nor a network", remedy);
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| problem())?)),
        None => (text, None),
    };
    let given: IpAddr = address.parse().map_err(|_| problem())?;
    let width = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(width(given));
    let address = given.to_canonical();
    // `::ffff:10.0.0.0/104` is 10.0.0.0/8; a wider one would contain addresses of both families.
    let bits = bits.checked_sub(width(given) - width(address)).ok_or_else(problem)?;
    if bits > width(address) {
        return Err(problem());
    }
    if bits == 0 {
        // Such a network would let every client choose its own source address.
        return Err(Problem::new("an entry contains every address", remedy));
    }
    Ok(Network { address, bits })
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
