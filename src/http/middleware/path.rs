//! Normalises the path of a request for routing, authorization, limits and logs.
//!
//! The router decodes percent-encoded characters, but other code that reads the path does not. If both read a path
//! differently, they may disagree on whether a request may write. So the path is normalised once, before it is read.

use actix_web::{
    dev::ServiceRequest,
    http::{Uri, uri::PathAndQuery},
};
use bytes::Bytes;

/// Replaces the path of a request by its normal form: unreserved characters decoded (RFC 3986 section 6.2.2.2),
/// repeated slashes merged, and no slash at the end. A client whose configured URL has an additional slash reaches the
/// same resource without a redirect, on which many clients drop their `Authorization`.
pub(in crate::http) fn normalise(mut request: ServiceRequest) -> ServiceRequest {
    if let Some(uri) = normal_form(request.uri()) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
    request
}

/// Returns the normal form of a URI; `None` if the URI is already in normal form.
fn normal_form(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let ends_in_slash = path.len() > 1 && path.ends_with('/');
    if !ends_in_slash && !path.contains('%') && !path.contains("//") {
        return None;
    }
    let mut normal = decode_unreserved(path);
    while normal.contains("//") {
        normal = normal.replace("//", "/");
    }
    let end = normal.trim_end_matches('/').len().max(1);
    normal.truncate(end);
    if normal == path {
        return None;
    }
    if let Some(query) = uri.query() {
        normal.push('?');
        normal.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from(normal)).ok()?);
    Uri::from_parts(parts).ok()
}

/// Decodes letters, digits, `-`, `.`, `_` and `~`. No route contains a character that stays encoded.
fn decode_unreserved(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte)) {
            Some(byte) => {
                decoded.push(char::from(byte));
                rest = &after[2..];
            }
            None => {
                decoded.push('%');
                rest = after;
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    use super::*;

    fn normal(uri: &str) -> String {
        let request = normalise(TestRequest::with_uri(uri).to_srv_request());
        assert!(normal_form(request.uri()).is_none(), "{uri} is normal afterwards");
        request.uri().to_string()
    }

    #[test]
    fn unreserved_characters_are_decoded_and_slashes_at_the_end_cut() {
        for (given, expected) in [
            ("/mcp", "/mcp"),
            ("/mcp/", "/mcp"),
            ("/mcp//?a=/b/", "/mcp?a=/b/"),
            ("/", "/"),
            ("//", "/"),
            ("//mcp", "/mcp"),
            ("///mcp////readonly//?a=//", "/mcp/readonly?a=//"),
            ("/%2F/mcp", "/%2F/mcp"),
            ("http://gateway.example//mcp", "http://gateway.example/mcp"),
            ("/mcp/readonl%79", "/mcp/readonly"),
            ("/mc%70/%72eadonly%2F", "/mcp/readonly%2F"),
            ("/mcp/readonl%2579", "/mcp/readonl%2579"),
            ("/%zz/%4", "/%zz/%4"),
            ("/a%C3%A4?x=%79", "/a%C3%A4?x=%79"),
            ("http://gateway.example/mcp/?x", "http://gateway.example/mcp?x"),
            ("*", "*"),
        ] {
            assert_eq!(normal(given), expected, "{given}");
        }
    }

    proptest! {
        #[test]
        fn the_router_and_everything_else_read_the_same_routes(path in "(/([a-z]|%[0-9a-fA-F]{2}|[.~_-]|%){0,6}){1,4}") {
            let request = normalise(TestRequest::with_uri(&path).to_srv_request());
            // If the router decodes more, the decoded characters occur in no route.
            let routed = request.match_info().as_str();
            let unreserved = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-._~/".contains(c));
            prop_assert!(!unreserved(routed) || routed == request.path(), "{} is routed as {}", request.path(), routed);
        }
    }
}
