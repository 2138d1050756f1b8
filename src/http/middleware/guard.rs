//! Checks Host and Origin of every request before any handler: the defence against DNS rebinding, with which a web page
//! reaches a server on the visitor's machine.

use std::sync::Arc;

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
};
use url::Url;

use super::{authority::Authority, cors::Cors};
use crate::{
    http::{error::ApiError, oauth},
    tools::LINK_PATH,
};

/// Hosts that the gateway accepts: `name` for any port, or `name:port`. Compared case-insensitively.
#[derive(Clone, Debug)]
pub struct AllowedHosts(Vec<Url>);

/// Origins whose pages may call the gateway, as `scheme://host[:port]`.
#[derive(Clone, Debug)]
pub struct AllowedOrigins(pub Vec<Url>);

impl AllowedHosts {
    /// Creates the list from the settings. Invalid hosts are left out.
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        Self(hosts.into_iter().filter_map(|host| as_url(&host)).collect())
    }

    fn allow(&self, host: &str) -> bool {
        Authority::parse(host).is_some() && self.allow_authority(host)
    }

    fn allow_authority(&self, host: &str) -> bool {
        self.0.iter().any(|allowed| matches_verbatim(allowed, host)) || self.matches_normalized(host)
    }

    /// Compares parsed hosts, for those that are not written exactly as in the settings.
    fn matches_normalized(&self, host: &str) -> bool {
        let Some(asked) = as_url(host) else { return false };
        self.0.iter().any(|allowed| {
            allowed.host() == asked.host() && (allowed.port().is_none() || allowed.port() == asked.port())
        })
    }
}

/// Returns whether a host is written like the allowed one. This saves parsing a URL for most requests.
fn matches_verbatim(allowed: &Url, host: &str) -> bool {
    let port = allowed.port();
    let name = match host.rsplit_once(':') {
        Some((name, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let fits = digits.parse::<u16>().is_ok_and(|said| port.is_none_or(|port| port == said));
            if !fits {
                return false;
            }
            name
        }
        _ if port.is_none() => host,
        _ => return false,
    };
    allowed.host_str().is_some_and(|allowed| allowed == name)
}

/// Parses a host as a URL, which handles ports and the brackets of IPv6.
fn as_url(host: &str) -> Option<Url> {
    Url::parse(&format!("http://{host}/")).ok()
}

impl AllowedOrigins {
    fn allow(&self, origin: &str) -> bool {
        // A URL with more than scheme, host and port is not an origin (RFC 6454 section 6.2).
        let bare = |asked: &Url| asked.as_str().trim_end_matches('/') == asked.origin().ascii_serialization();
        Url::parse(origin)
            .is_ok_and(|asked| bare(&asked) && self.0.iter().any(|allowed| allowed.origin() == asked.origin()))
    }
}

/// The allowed hosts and origins.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Checked against the `Host` header, except for `/health`, `/ready` and `/metrics`: platforms request these by
    /// address, and their content is either public or protected by a token.
    pub hosts: Arc<AllowedHosts>,
    /// Checked against the `Origin` header, if there is one.
    pub origins: Arc<AllowedOrigins>,
}

impl Guard {
    /// Forwards allowed requests and rejects others.
    pub async fn check<B: MessageBody + 'static>(
        self,
        request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<EitherBody<B>>, Error> {
        let origin = request.headers().get(header::ORIGIN);
        let cors =
            Cors::of(&request, origin.filter(|origin| origin.to_str().is_ok_and(|origin| self.origins.allow(origin))));
        let mut response = match self.check_request(&request).map(|()| cors.preflight(&request)) {
            // A browser treats any status but success as a refusal of the whole origin.
            Ok(Some(preflight)) => request.into_response(preflight).map_into_right_body(),
            Ok(None) => next.call(request).await?.map_into_left_body(),
            Err(refusal) => request.error_response(refusal).map_into_right_body(),
        };
        cors.apply(response.headers_mut());
        Ok(response)
    }

    fn check_request(&self, request: &ServiceRequest) -> Result<(), ApiError> {
        if is_probe(request) {
            return Ok(());
        }
        let header = |name| request.headers().get(name).map(|value: &header::HeaderValue| value.to_str().unwrap_or(""));
        if !self.allows_host(request) {
            return Err(ApiError::HostNotAllowed);
        }
        self.check_origin(request, header(header::ORIGIN))
    }

    /// Returns whether every host that the request names is allowed: that of at most one `Host` header (RFC 9112
    /// section 3.2), and that of an absolute target, which takes precedence (section 3.2.2). A request that names no
    /// host is rejected.
    fn allows_host(&self, request: &ServiceRequest) -> bool {
        let headers = request.headers().get_all(header::HOST);
        let target = request.uri().authority().map(|authority| authority.as_str());
        let mut named = headers.map(|host| host.to_str().unwrap_or_default()).chain(target).peekable();
        request.headers().get_all(header::HOST).count() <= 1
            && named.peek().is_some()
            && named.all(|host| self.hosts.allow(host))
    }

    fn check_origin(&self, request: &ServiceRequest, origin: Option<&str>) -> Result<(), ApiError> {
        match origin {
            None => Ok(()),
            Some(origin) if self.origins.allow(origin) => Ok(()),
            // For clients that run in browsers. These endpoints use no cookies.
            Some(_) if oauth::allows_any_origin(request.path()) => Ok(()),
            // The gateway's own form: under `Referrer-Policy: no-referrer`, browsers send `Origin: null` even to the
            // page's own origin (Fetch, "append a request Origin header"). They send the real relation in
            // `Sec-Fetch-Site`, which pages cannot set. The form's CSRF token is checked as well.
            Some("null")
                if request.method() == Method::POST
                    && (request.path() == LINK_PATH || oauth::PAGES.contains(&request.path()))
                    && request.headers().get("sec-fetch-site").is_some_and(|site| site == "same-origin") =>
            {
                Ok(())
            }
            Some(_) => Err(ApiError::OriginNotAllowed),
        }
    }
}

fn is_probe(request: &ServiceRequest) -> bool {
    matches!(request.path(), "/health" | "/ready" | "/metrics")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_match_by_name_and_by_port_where_one_is_given() {
        let hosts = AllowedHosts::new(["gateway.example", "127.0.0.1:8080", "[::1]"].map(str::to_owned));
        for good in ["gateway.example", "GATEWAY.example:443", "127.0.0.1:8080", "[::1]:99"] {
            assert!(hosts.allow(good), "{good}");
        }
        for bad in [
            "evil.example",
            "127.0.0.1:8081",
            "gateway.example.evil.example",
            "",
            "gateway.example@evil.example",
            "a/b",
            "gateway.example/x",
            "gateway.example#evil",
            "gateway.example?evil",
            "user@gateway.example",
            "gateway.example ",
            "127.0.0.1:8080#evil",
            "[::1]:99?evil",
        ] {
            assert!(!hosts.allow(bad), "{bad}");
        }
    }

    #[test]
    fn origins_match_scheme_host_and_port() {
        let origins = AllowedOrigins(vec![Url::parse("https://gateway.example").unwrap()]);
        assert!(origins.allow("https://gateway.example") && origins.allow("https://gateway.example:443"));
        for bad in ["http://gateway.example", "https://gateway.example:444", "null", "", "https://evil.example"] {
            assert!(!origins.allow(bad), "{bad}");
        }
        for bad in [
            "https://user@gateway.example",
            "https://gateway.example/x",
            "https://gateway.example?x",
            "https://gateway.example#x",
        ] {
            assert!(!origins.allow(bad), "{bad}");
        }
    }
}
