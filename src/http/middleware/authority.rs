//! The host and port of a `Host` header or of an absolute request target.

use std::net::IpAddr;

/// An authority as RFC 9110 section 7.2 and RFC 3986 section 3.2 allow it in a request: a host, an optional port, and
/// nothing else. User information is not allowed there. It is rejected, and so is every character outside of host names
/// and addresses: URL parsers read `127.0.0.1#x` and `127.0.0.1?x` as the host in front.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::http) struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Parses an authority; returns `None` if the text is not one.
    pub(in crate::http) fn parse(text: &'a str) -> Option<Self> {
        let end = match text.strip_prefix('[') {
            Some(rest) => rest.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at(end);
        let port = match rest.strip_prefix(':') {
            // RFC 3986 section 3.2.3 allows an empty port.
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
            None if rest.is_empty() => None,
            None => return None,
        };
        let is_name = |host: &str| {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        };
        let authority = Self { host, port };
        let good = if host.starts_with('[') { authority.address().is_some() } else { is_name(host) };
        good.then_some(authority)
    }

    /// Returns whether the host is `localhost` or a loopback address.
    pub(in crate::http) fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.address().is_some_and(|address| address.to_canonical().is_loopback())
    }

    fn address(&self) -> Option<IpAddr> {
        match self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => inner.parse().ok().map(IpAddr::V6),
            None => self.host.parse().ok().map(IpAddr::V4),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_and_perhaps_a_port_and_nothing_else() {
        for good in
            ["a", "a.example:443", "127.0.0.1", "127.0.0.1:", "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]:0", "a_b"]
        {
            assert!(Authority::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            ":80",
            "127.0.0.1#evil",
            "127.0.0.1#@evil.example",
            "127.0.0.1?evil",
            "127.0.0.1/evil",
            "127.0.0.1\\evil",
            "user@127.0.0.1",
            "user:word@127.0.0.1",
            "@127.0.0.1",
            " 127.0.0.1",
            "127.0.0.1 ",
            "127.0.0.1 evil",
            "127.0.0.1\tevil",
            "127.0.0.1,evil",
            "127.0.0.1%23evil",
            "127.0.0.1:80:80",
            "127.0.0.1:+80",
            "127.0.0.1:65536",
            "::1",
            "[::1",
            "[::1]evil",
            "[127.0.0.1]",
            "[v1.x]",
            "ünicode.example",
        ] {
            assert!(Authority::parse(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        /// Any inserted or appended character that is not allowed in a host name makes the text invalid.
        #[test]
        fn nothing_hides_behind_a_good_host(at in 0usize..10, sign in "[^A-Za-z0-9.:_-]", rest in "[a-z.]{0,9}") {
            let mut text = "127.0.0.1".to_owned();
            text.insert_str(at.min(text.len()), &format!("{sign}{rest}"));
            prop_assert_eq!(Authority::parse(&text), None);
        }

        #[test]
        fn what_is_parsed_is_the_whole_text(text in "\\PC{0,20}") {
            if let Some(Authority { host, port }) = Authority::parse(&text) {
                let port = port.map_or(String::new(), |port| port.to_string());
                let digits = text[host.len()..].trim_start_matches(':');
                prop_assert!(text.starts_with(host));
                prop_assert_eq!(digits.trim_start_matches('0'), port.trim_start_matches('0'));
            }
        }
    }
}
