//! One person on one machine, over HTTP without a key: only behind a setting, and only for programs that reach this
//! process directly. Whatever a proxy or a web page sends is refused, since either could be anybody.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderMap},
};

use super::{HttpState, error::ApiError};
use crate::domain::Caller;

/// The one person, where there is one and the request shows no credentials.
pub(super) fn caller(state: &HttpState, request: &HttpRequest) -> Option<Result<Caller, ApiError>> {
    let alone = state.single_user.as_ref().filter(|_| !request.headers().contains_key(header::AUTHORIZATION))?;
    let here = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let direct = here && is_direct(request.headers());
    Some(if direct { Ok(Caller::clone(alone)) } else { Err(ApiError::NotDirect) })
}

/// Nothing that a proxy or a browser adds (RFC 7239, and the names before it; RFC 6454), and this machine's own name.
fn is_direct(headers: &HeaderMap) -> bool {
    let passed_on = |name: &header::HeaderName| {
        *name == header::FORWARDED || *name == header::ORIGIN || name.as_str().starts_with("x-forwarded")
    };
    let mut hosts = headers.get_all(header::HOST);
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let own = hosts.next().is_none() && host.is_some_and(is_own_name);
    own && !headers.keys().any(passed_on)
}

fn is_own_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_what_comes_directly_is_direct() {
        let with = |headers: &[(&'static str, &'static str)]| {
            let mut request = TestRequest::default();
            for header in headers {
                request = request.append_header(*header);
            }
            is_direct(request.to_http_request().headers())
        };
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "127.9.9.9"] {
            assert!(with(&[("host", host)]), "{host}");
        }
        for host in ["gateway.example", "localhost.example", "10.0.0.1", "[2001:db8::1]", "", "127.0.0.1.nip.io"] {
            assert!(!with(&[("host", host)]), "{host}");
        }
        assert!(!with(&[]) && !with(&[("host", "localhost"), ("host", "evil.example")]));
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded", "origin"] {
            assert!(!with(&[("host", "localhost"), (name, "")]), "{name}");
        }
    }
}
