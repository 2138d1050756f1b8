//! One person on one machine, over HTTP without a key: only behind a setting, and only for programs that reach this
//! process directly. Whatever a proxy or a web page sends is refused, since either could be anybody.

use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap},
    web,
};

use super::{HttpState, error::ApiError, key_check::AnyCaller, observe::Notes};
use crate::domain::Caller;

/// Whoever may speak the protocol: the holder of a key, or the one person.
pub(super) struct ProtocolCaller(pub(super) Caller);

impl FromRequest for ProtocolCaller {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<HttpState>>();
        let alone = state.and_then(|state| state.single_user.clone());
        if let Some(caller) = alone.filter(|_| !request.headers().contains_key(header::AUTHORIZATION)) {
            let direct = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback())
                && is_direct(request.headers());
            if let Some(notes) = Notes::of(request).filter(|_| direct) {
                notes.caller(&caller);
            }
            return Box::pin(
                async move { if direct { Ok(Self((*caller).clone())) } else { Err(ApiError::NotDirect) } },
            );
        }
        let caller = AnyCaller::from_request(request, payload);
        Box::pin(async move { Ok(Self(caller.await?.0)) })
    }
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
