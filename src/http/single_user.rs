//! One person on one machine, over HTTP without an API key: only where a setting says so, and only for programs that reach
//! this process directly. What a proxy or a web page sends is refused, since its sender is unknown.
//!
//! A proxy that adds nothing to a request looks like a program on this machine. Where one may run, a token closes
//! that gap (`SINGLE_USER_TOKEN`).

use actix_web::{
    HttpRequest,
    http::{
        Version,
        header::{self, HeaderName},
    },
};

use super::{HttpState, authority::Authority, error::ApiError, key_check::bearer};
use crate::{crypto, domain::Caller};

/// The one person.
#[derive(Clone, Debug)]
pub struct SingleUser {
    /// The caller of every request.
    pub caller: Caller,
    /// The SHA-256 of `SINGLE_USER_TOKEN` in hexadecimal; `None` where none is set.
    pub token_digest: Option<String>,
}

/// Headers that proxies and content delivery networks add: RFC 9110 (Via), RFC 7239 (Forwarded), RFC 8586 (CDN-Loop), and
/// the names that nginx, Cloudflare, Akamai, Fastly, Fly.io and others give to the address of their client.
const ADDED_BY_PROXIES: [&str; 13] = [
    "via",
    "forwarded",
    "cdn-loop",
    "client-ip",
    "true-client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-real-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-proxyuser-ip",
];
/// The same by how they begin: de facto standard, Cloudflare, Envoy, CloudFront, Azure, Google.
const ADDED_BEGINNINGS: [&str; 6] = ["x-forwarded", "cf-", "x-envoy-", "x-amz-cf-", "x-azure-", "x-appengine-"];

/// The one person, where there is one and the request does not bring an API key instead.
pub(super) fn caller(state: &HttpState, request: &HttpRequest) -> Option<Result<Caller, ApiError>> {
    let alone = state.single_user.as_ref()?;
    let Some(expected) = &alone.token_digest else {
        let brings_key = request.headers().contains_key(header::AUTHORIZATION);
        return (!brings_key).then(|| check_direct(request).map(|()| alone.caller.clone()));
    };
    Some(check_direct(request).and_then(|()| check_token(state, request, expected)).map(|()| alone.caller.clone()))
}

fn check_token(state: &HttpState, request: &HttpRequest, expected: &str) -> Result<(), ApiError> {
    let offered = bearer(request).map_err(|_| ApiError::SingleUserTokenRequired)?;
    let (failures, source, now) = (state.keys.failures(), state.settings.source_of(request), state.clock.now());
    failures.admit(source, None, now)?;
    // Digests are compared, so that not even the token's length shows in the time it takes.
    if crypto::same_secret(&crypto::digest_hex(offered), expected) {
        return Ok(());
    }
    failures.failed(source, None, now);
    Err(ApiError::SingleUserTokenRequired)
}

fn check_direct(request: &HttpRequest) -> Result<(), ApiError> {
    let here = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    if here && is_direct(request) { Ok(()) } else { Err(ApiError::NotDirect) }
}

/// Whether nothing was added that a proxy or a browser adds, and the host is this machine's own name. Proxies such as
/// nginx without further settings speak HTTP/1.0, which no MCP client does.
fn is_direct(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let passed_on = |name: &HeaderName| {
        let text = name.as_str();
        *name == header::ORIGIN
            || ADDED_BY_PROXIES.contains(&text)
            || ADDED_BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
    };
    let mut hosts = headers.get_all(header::HOST);
    let host = hosts.next().and_then(|host| Authority::parse(host.to_str().ok()?));
    let own = hosts.next().is_none() && host.is_some_and(|host| host.is_loopback());
    own && request.version() >= Version::HTTP_11 && !headers.keys().any(passed_on)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn with(headers: &[(&'static str, &'static str)]) -> bool {
        let request = headers.iter().fold(TestRequest::default(), |request, header| request.append_header(*header));
        is_direct(&request.to_http_request())
    }

    #[test]
    fn only_what_comes_directly_is_direct() {
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "127.9.9.9"] {
            assert!(with(&[("host", host)]), "{host}");
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
            assert!(!with(&[("host", host)]), "{host}");
        }
        assert!(!with(&[]) && !with(&[("host", "localhost"), ("host", "evil.example")]));
        for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded", "origin", "cf-connecting-ip", "cf-ray"] {
            assert!(!with(&[("host", "localhost"), (name, "")]), "{name}");
        }
        for name in ADDED_BY_PROXIES {
            assert!(!with(&[("host", "localhost"), (name, "")]), "{name}");
        }
        let old = TestRequest::default().version(Version::HTTP_10).append_header(("host", "localhost"));
        assert!(!is_direct(&old.to_http_request()));
    }
}
