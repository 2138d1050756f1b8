//! Checks that a body is uncompressed, and that JSON is in UTF-8. Other bodies are not read.

use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// The reasons why a body is rejected without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UnsupportedEncoding {
    /// The body is compressed.
    Compressed,
    /// The body is JSON in an encoding other than UTF-8.
    Charset,
}

impl UnsupportedEncoding {
    /// Returns why the body of this request is rejected, or `None`.
    pub(in crate::http) fn of(headers: &HeaderMap) -> Option<Self> {
        let codings =
            headers.get_all(header::CONTENT_ENCODING).flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
        if codings.map(<[u8]>::trim_ascii).any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
        {
            return Some(Self::Compressed);
        }
        let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let (essence, parameters) = kind.split_once(';')?;
        let is_other_charset = |parameter: &str| {
            let Some((name, value)) = parameter.split_once('=') else { return false };
            let value = value.trim().trim_matches('"');
            // US-ASCII is a subset of UTF-8.
            name.trim().eq_ignore_ascii_case("charset")
                && !["utf-8", "utf8", "us-ascii"].iter().any(|read| value.eq_ignore_ascii_case(read))
        };
        let is_json = essence.trim().eq_ignore_ascii_case("application/json");
        (is_json && parameters.split(';').any(is_other_charset)).then_some(Self::Charset)
    }

    /// Adds the accepted content codings to the response (RFC 9110 section 15.5.16).
    pub(in crate::http) fn add_to(self, headers: &mut HeaderMap) {
        if self == Self::Compressed {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Option<UnsupportedEncoding> {
        let request = headers.iter().fold(TestRequest::default(), |request, header| request.append_header(*header));
        UnsupportedEncoding::of(request.to_http_request().headers())
    }

    #[test]
    fn only_plain_utf_8_is_read() {
        for coding in ["gzip", "br", "identity, gzip", "GZIP", "x"] {
            assert_eq!(of(&[("content-encoding", coding)]), Some(UnsupportedEncoding::Compressed), "{coding}");
        }
        for coding in ["", "identity", "Identity", "identity, identity"] {
            assert_eq!(of(&[("content-encoding", coding)]), None, "{coding}");
        }
        for kind in [
            "application/json; charset=utf-16",
            "application/json;charset=\"iso-8859-1\"",
            "Application/JSON; x=y; Charset=latin1",
        ] {
            assert_eq!(of(&[("content-type", kind)]), Some(UnsupportedEncoding::Charset), "{kind}");
        }
        for kind in [
            "application/json",
            "application/json; charset=utf-8",
            "application/json; charset=\"UTF-8\"",
            "application/json; charset=us-ascii; x",
            "application/x-www-form-urlencoded; charset=latin1",
            "nonsense",
        ] {
            assert_eq!(of(&[("content-type", kind)]), None, "{kind}");
        }
        assert_eq!(of(&[]), None);
    }
}
