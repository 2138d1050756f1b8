//! Requests that do not come directly from a program on this machine.

use actix_web::{
    HttpRequest,
    http::{
        Version,
        header::{self, HeaderName},
    },
};

use crate::http::middleware::authority::Authority;

/// Headers that proxies and content delivery networks add: RFC 9110 (Via), RFC 7239 (Forwarded), RFC 8586 (CDN-Loop),
/// and the names under which nginx, Cloudflare, Akamai, Fastly, Fly.io and others send the address of their client.
const PROXY_HEADERS: [&str; 16] = [
    "via",
    "forwarded",
    "cdn-loop",
    "client-ip",
    "true-client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "proxy-connection",
    "x-amzn-trace-id",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-scheme",
    "x-url-scheme",
];
/// Prefixes of such headers: de facto standard (two), Cloudflare, Envoy, CloudFront, Azure, Google, Tailscale.
const PROXY_HEADER_PREFIXES: [&str; 8] =
    ["x-forwarded", "x-original-", "cf-", "x-envoy-", "x-amz-cf-", "x-azure-", "x-appengine-", "tailscale-"];

/// The reasons why a request is considered indirect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Indirect {
    /// The peer is another machine.
    Peer,
    /// The request has a header that proxies or browsers add.
    Header(HeaderName),
    /// The `Host` is not a name of this machine.
    Host,
    /// The request is HTTP/1.0.
    Version,
}

/// Checks that a request comes directly from a program on this machine.
pub(in crate::http) fn check_direct(request: &HttpRequest) -> Result<(), Indirect> {
    let here = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let indirect = if here { indirect(request) } else { Some(Indirect::Peer) };
    indirect.map_or(Ok(()), Err)
}

/// Returns the evidence of a proxy or browser, or of a host that is not this machine. Proxies such as nginx use
/// HTTP/1.0 by default, which no MCP client does.
fn indirect(request: &HttpRequest) -> Option<Indirect> {
    let headers = request.headers();
    let is_added = |name: &&HeaderName| {
        let text = name.as_str();
        **name == header::ORIGIN
            || PROXY_HEADERS.contains(&text)
            || PROXY_HEADER_PREFIXES.iter().any(|beginning| text.starts_with(beginning))
    };
    if let Some(added) = headers.keys().find(is_added) {
        return Some(Indirect::Header(added.clone()));
    }
    let mut hosts = headers.get_all(header::HOST);
    let host = hosts.next().and_then(|host| Authority::parse(host.to_str().ok()?));
    if hosts.next().is_some() || !host.is_some_and(|host| host.is_loopback()) {
        return Some(Indirect::Host);
    }
    (request.version() < Version::HTTP_11).then_some(Indirect::Version)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn with(headers: &[(&'static str, &'static str)]) -> Option<Indirect> {
        let request = headers.iter().fold(TestRequest::default(), |request, header| request.append_header(*header));
        indirect(&request.to_http_request())
    }

    #[test]
    fn only_what_comes_directly_is_direct() {
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "127.9.9.9"] {
            assert_eq!(with(&[("host", host)]), None, "{host}");
        }
        for host in [
            "gateway.example",
            "localhost.example",
            "10.0.0.1",
            "[2001:db8::1]",
            "",
            "127.0.0.1.nip.io",
            "127.0.0.1#evil",
            "[::1]evil",
            "user@localhost",
        ] {
            assert_eq!(with(&[("host", host)]), Some(Indirect::Host), "{host}");
        }
        for none in [&[][..], &[("host", "localhost"), ("host", "evil.example")]] {
            assert_eq!(with(none), Some(Indirect::Host));
        }
        let named = [
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded",
            "x-original-url",
            "x-original-host",
            "origin",
            "cf-connecting-ip",
            "cf-ray",
            "tailscale-user-login",
        ];
        for name in named.into_iter().chain(PROXY_HEADERS) {
            let named = Some(Indirect::Header(HeaderName::from_static(name)));
            assert_eq!(with(&[("host", "localhost"), (name, "")]), named, "{name}");
        }
        let old = TestRequest::default().version(Version::HTTP_10).append_header(("host", "localhost"));
        assert_eq!(indirect(&old.to_http_request()), Some(Indirect::Version));
    }
}
