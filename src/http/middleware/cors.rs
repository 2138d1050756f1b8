//! The CORS protocol (Fetch standard, section 3.3) for the origins that the operator allows. Their scripts may call
//! `/mcp` and the REST endpoints with a key, and read the answers. They cannot read pages. None of these endpoints uses
//! cookies, so there is no `Access-Control-Allow-Credentials`.
//!
//! The endpoints that scripts of every origin may call set their own headers (`http::oauth`).

use actix_web::{
    HttpResponse,
    dev::ServiceRequest,
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};

/// The REST endpoints. Pages are not listed, and a new endpoint is not readable until it is listed here.
const REST: [&str; 8] = [
    "/api/users/register",
    "/api/users/me",
    "/api/keys",
    "/api/connect/ownerrez",
    "/api/connect/ownerrez/token",
    "/api/connect/ownerrez/start",
    "/api/connect/ownerrez/status",
    "/api/connect/ownerrez/test",
];
const METHODS: &str = "GET, POST, DELETE";
/// The headers that MCP clients send. `*` would not cover `Authorization`.
const HEADERS: &str = "Accept, Authorization, Content-Type, Last-Event-ID, MCP-Protocol-Version, Mcp-Method, Mcp-Name, \
                       Mcp-Session-Id, X-Request-Id";
/// Prefixes of further allowed headers: arguments that 2026-07-28 repeats, and the tool selection.
const HEADER_PREFIXES: [&str; 2] = ["mcp-param-", "x-mcp-"];
/// Limits the list of requested headers that is read, in bytes.
const MAX_REQUESTED_HEADERS: usize = 2048;
/// The response headers that scripts may read.
pub(in crate::http) const EXPOSED: &str = "WWW-Authenticate, X-Request-Id, Retry-After";
const MAX_AGE: &str = "86400";
const ASKS_FOR_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOWS_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The CORS headers of a response.
pub(in crate::http) struct Cors {
    /// Whether the response depends on the origin.
    varies: bool,
    /// The origin that may read the response.
    origin: Option<HeaderValue>,
    is_preflight: bool,
}

impl Cors {
    /// Decides for a request. `origin` is its `Origin`, if that is allowed.
    pub(in crate::http) fn of(request: &ServiceRequest, origin: Option<&HeaderValue>) -> Self {
        let varies = is_readable(request.path());
        let origin = origin.filter(|_| varies).cloned();
        let is_preflight = origin.is_some()
            && request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        Self { varies, origin, is_preflight }
    }

    /// Returns the response to a preflight; `None` for any other request.
    pub(in crate::http) fn preflight(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        if !self.is_preflight {
            return None;
        }
        let mut answer = HttpResponse::NoContent();
        answer
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers(request.headers())))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE))
            .append_header((header::VARY, "Access-Control-Request-Headers"));
        // Browsers send this header before a public page may call a gateway in a private network.
        if request.headers().get(ASKS_FOR_PRIVATE_NETWORK).is_some_and(|asked| asked == "true") {
            answer.insert_header((ALLOWS_PRIVATE_NETWORK, "true"));
        }
        Some(answer.finish())
    }

    /// Adds the headers that every response needs, including errors.
    pub(in crate::http) fn apply(self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = self.origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

/// Returns whether scripts of allowed origins may read the responses of a path.
fn is_readable(path: &str) -> bool {
    path == "/mcp" || path.starts_with("/mcp/") || path.starts_with("/api/keys/") || REST.contains(&path)
}

fn allowed_headers(headers: &HeaderMap) -> String {
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|asked| asked.to_str().ok());
    let mut allowed = HEADERS.to_owned();
    for name in asked.filter(|asked| asked.len() <= MAX_REQUESTED_HEADERS).unwrap_or_default().split(',').map(str::trim)
    {
        let has_prefix = HEADER_PREFIXES
            .iter()
            .any(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)));
        if has_prefix && HeaderName::from_bytes(name.as_bytes()).is_ok() {
            allowed.push_str(", ");
            allowed.push_str(name);
        }
    }
    allowed
}
