//! Single-user mode: HTTP without an API key. Active only if configured, and only for programs that reach this process
//! directly. Requests from a proxy or a web page are rejected, since their sender is unknown.
//!
//! A proxy that adds nothing to a request looks like a program on this machine. If such a proxy may run, a token closes
//! this gap (`SINGLE_USER_TOKEN`).

use actix_web::{
    HttpRequest,
    http::{
        StatusCode, Version,
        header::{self, HeaderName},
    },
};

use super::{
    authority::Authority,
    bearer::bearer,
    error::{ApiError, ErrorBody},
    state::HttpState,
};
use crate::domain::ErrorCode;
use crate::{crypto, domain::Principal};

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

impl Indirect {
    /// Returns the error as the client receives it.
    pub(super) fn error_body(&self) -> ErrorBody {
        let why = match self {
            Self::Peer => "This request comes from another machine.".to_owned(),
            Self::Header(name) => format!("This request has the header `{name}`, which proxies or browsers add."),
            Self::Host => "The `Host` of this request is not a name of this machine.".to_owned(),
            Self::Version => "This request is HTTP/1.0, which proxies use and MCP clients do not.".to_owned(),
        };
        ErrorBody::new(
            StatusCode::FORBIDDEN,
            ErrorCode::NotDirect,
            format!(
                "Without an API key, this gateway accepts only direct requests from programs on its own machine. {why}"
            ),
            "Use http://127.0.0.1 with its port, without a proxy. To serve other users, unset SINGLE_USER and create \
             keys for them.",
        )
    }
}

/// Returns the single user, unless the mode is off or the request has an API key instead.
pub(super) fn caller(state: &HttpState, request: &HttpRequest) -> Option<Result<Principal, ApiError>> {
    let single_user = state.single_user.as_ref()?;
    let Some(expected) = &single_user.token_digest else {
        let brings_key = request.headers().contains_key(header::AUTHORIZATION);
        return (!brings_key).then(|| check_direct(request).map(|()| single_user.caller.clone()));
    };
    Some(
        check_direct(request).and_then(|()| check_token(state, request, expected)).map(|()| single_user.caller.clone()),
    )
}

fn check_token(state: &HttpState, request: &HttpRequest, expected: &str) -> Result<(), ApiError> {
    let offered = bearer(request).map_err(|_| ApiError::SingleUserTokenRequired)?;
    let (failures, source, now) = (state.keys.failed_keys(), state.settings.source_of(request), state.clock.now());
    failures.admit(source, None, now)?;
    // Compares digests, so that the timing does not even depend on the token's length.
    if crypto::constant_time_eq(&crypto::sha256_hex(offered), expected) {
        return Ok(());
    }
    failures.record_failure(source, None, now);
    Err(ApiError::SingleUserTokenRequired)
}

fn check_direct(request: &HttpRequest) -> Result<(), ApiError> {
    let here = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let indirect = if here { indirect(request) } else { Some(Indirect::Peer) };
    indirect.map_or(Ok(()), |why| Err(ApiError::NotDirect(why)))
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
