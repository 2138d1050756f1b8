//! The source address of a request, for rate limits. A client may send any `X-Forwarded-For`, so only the entries that
//! the operator's proxies wrote are trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use actix_web::{HttpRequest, http::header::HeaderMap};

use crate::{auth::SourceAddress, config::Network};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Returns the source of a request.
pub(in crate::http) fn source_of(request: &HttpRequest, trusted: &[Network]) -> SourceAddress {
    // TCP always has a peer. Without one, all such requests would count as one source.
    let peer = request.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip());
    forwarded(peer, request.headers(), trusted).into()
}

/// Returns the source by `X-Forwarded-For`. Each proxy appends the address from which it received the request, so the
/// last entry is the nearest hop. The list is read backwards while the hops are trusted; the first hop that is not
/// trusted is the source. An unreadable entry also ends the search, at the last known proxy.
fn forwarded(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let lists: Vec<&[u8]> = headers.get_all(FORWARDED_FOR).map(|value| value.as_bytes()).collect();
    let entries = lists.iter().rev().flat_map(|list| list.rsplit(|byte| *byte == b','));
    let mut source = peer;
    for entry in entries {
        if !is_trusted(source) {
            break;
        }
        let Some(address) = std::str::from_utf8(entry).ok().and_then(address) else { break };
        source = address;
    }
    source
}

/// Parses an address as proxies write it: also with a port, or in brackets.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    entry.parse().ok().or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, Sources};

    fn networks(entries: &str) -> Vec<Network> {
        let environment = [("TRUSTED_PROXIES".to_owned(), entries.to_owned())].into();
        Config::load(Sources { file: None, environment }).unwrap().server.trusted_proxies
    }

    fn source(peer: &str, lists: &[&[u8]], trusted: &str) -> SourceAddress {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(HeaderName::from_static(FORWARDED_FOR), HeaderValue::from_bytes(list).unwrap());
        }
        forwarded(peer.parse().unwrap(), &headers, &networks(trusted)).into()
    }

    fn at(address: &str) -> SourceAddress {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn the_source_is_the_nearest_hop_that_is_not_trusted() {
        let proxies = "172.16.0.0/12,fdaa::/16,66.241.125.1";
        for (peer, lists, expected) in [
            // Not written by a trusted proxy.
            ("203.0.113.9", &[&b"198.51.100.1"[..]][..], "203.0.113.9"),
            ("::ffff:203.0.113.9", &[b"198.51.100.1"], "203.0.113.9"),
            ("172.18.0.2", &[], "172.18.0.2"),
            ("172.18.0.2", &[b"198.51.100.1"], "198.51.100.1"),
            ("::ffff:172.18.0.2", &[b"198.51.100.1"], "198.51.100.1"),
            // The client wrote the left part.
            ("172.18.0.2", &[b"9.9.9.9, 8.8.8.8 ,198.51.100.1"], "198.51.100.1"),
            ("172.18.0.2", &[b"9.9.9.9", b"8.8.8.8,198.51.100.1"], "198.51.100.1"),
            ("172.18.0.2", &[b"9.9.9.9", b"198.51.100.1", b"172.20.0.1"], "198.51.100.1"),
            // Fly.io appends the address that the client had called.
            ("fdaa:0:1::3", &[b"9.9.9.9, 198.51.100.1, 66.241.125.1"], "198.51.100.1"),
            // Ports, brackets, mapped addresses.
            ("172.18.0.2", &[b"1.2.3.4:567"], "1.2.3.4"),
            ("172.18.0.2", &[b"[2001:db8::1]:80"], "2001:db8::1"),
            ("172.18.0.2", &[b"[2001:db8::1]"], "2001:db8::1"),
            ("172.18.0.2", &[b"9.9.9.9, ::ffff:1.2.3.4, ::ffff:172.18.0.3"], "1.2.3.4"),
            // An unreadable entry ends the search.
            ("172.18.0.2", &[b"9.9.9.9, unknown"], "172.18.0.2"),
            ("172.18.0.2", &[b"9.9.9.9, , 172.18.0.3"], "172.18.0.3"),
            ("172.18.0.2", &[b""], "172.18.0.2"),
            ("172.18.0.2", &[b"\xff\xfe, 198.51.100.1"], "198.51.100.1"),
            ("172.18.0.2", &[b"198.51.100.1, 1.2.3.4:99999"], "172.18.0.2"),
            // All are trusted: the farthest one is the source.
            ("172.18.0.2", &[b"172.18.0.9, 172.18.0.3"], "172.18.0.9"),
        ] {
            assert_eq!(source(peer, lists, proxies), at(expected), "{peer} {lists:?}");
        }
    }

    #[test]
    fn without_trusted_proxies_the_header_changes_nothing() {
        assert_eq!(source("127.0.0.1", &[b"198.51.100.1"], ""), at("127.0.0.1"));
    }

    proptest! {
        /// Whatever a client sends, its proxy appends the client's address, and that address is the source.
        #[test]
        fn a_forged_header_changes_nothing(
            forged in prop::collection::vec(prop::collection::vec(0x20u8..=0xff, 0..40), 0..4),
            client in any::<[u8; 4]>(),
            on_the_same_line in any::<bool>(),
        ) {
            let client = IpAddr::from(client);
            prop_assume!(!networks("172.16.0.0/12").iter().any(|network| network.contains(client)));
            let mut lists: Vec<Vec<u8>> =
                forged.into_iter().map(|list| list.into_iter().filter(|byte| *byte != 0x7f).collect()).collect();
            match lists.last_mut().filter(|_| on_the_same_line) {
                Some(last) => last.extend(format!(", {client}").bytes()),
                None => lists.push(client.to_string().into_bytes()),
            }
            let sent: Vec<&[u8]> = lists.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(source("172.18.0.2", &sent, "172.16.0.0/12"), client.into());
            prop_assert_eq!(source("203.0.113.7", &sent, "172.16.0.0/12"), at("203.0.113.7"));
        }
    }
}
