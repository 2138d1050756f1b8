//! Content negotiation between the two media types of MCP over HTTP, by the `Accept` header (RFC 9110 section 12.5.1).

use actix_web::{
    HttpResponse,
    body::to_bytes,
    http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue},
};

use crate::http::error::ApiError;

/// The media type of a message.
pub(in crate::http) const JSON: &str = "application/json";
/// The media type of a stream of messages.
pub(in crate::http) const EVENT_STREAM: &str = "text/event-stream";

/// The media types that a client accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::http) enum Accepted {
    /// One message as JSON.
    Json,
    /// One message as JSON, or an event stream if there are several.
    JsonOrStream,
    /// An event stream only.
    Stream,
}

impl Accepted {
    /// Reads the header. Without one, or without a valid media range in it, everything is acceptable.
    ///
    /// # Errors
    /// If neither type is acceptable (406).
    pub(in crate::http) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let (mut json, mut stream) = (Match::default(), Match::default());
        let mut is_restricted = false;
        for value in headers.get_all(ACCEPT) {
            for range in value.to_str().unwrap_or_default().split(',') {
                let Some(range) = Range::parse(range) else { continue };
                is_restricted = true;
                json.consider(&range, JSON);
                stream.consider(&range, EVENT_STREAM);
            }
        }
        if !is_restricted {
            return Ok(Self::Json);
        }
        match (json.is_acceptable, stream.is_acceptable) {
            // A client that accepts everything may be unable to read a stream.
            (true, true) if stream.specificity > ANYTHING => Ok(Self::JsonOrStream),
            (true, _) => Ok(Self::Json),
            (false, true) => Ok(Self::Stream),
            (false, false) => Err(ApiError::NotAcceptable),
        }
    }

    /// Converts an answer to the form that the client accepts. Errors stay JSON; clients recognise them by the status.
    pub(in crate::http) async fn shape(self, answer: HttpResponse) -> HttpResponse {
        let is_json =
            answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(JSON.as_bytes()));
        if self != Self::Stream || !answer.status().is_success() || !is_json {
            return answer;
        }
        let (mut head, body) = answer.into_parts();
        let Ok(message) = to_bytes(body).await else {
            return HttpResponse::InternalServerError().finish();
        };
        let mut event = Vec::with_capacity(message.len() + 32);
        event.extend_from_slice(b"event: message\ndata: ");
        // A line break would end the field. JSON has none within its strings, and between its tokens a space is
        // equivalent.
        event.extend(message.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        event.extend_from_slice(b"\n\n");
        head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        head.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        head.set_body(event).map_into_boxed_body()
    }
}

const ANYTHING: u8 = 1;
const ANY_SUBTYPE: u8 = 2;
const EXACT: u8 = 3;

/// The most specific range that matches a type decides whether it is acceptable.
#[derive(Clone, Copy, Default)]
struct Match {
    specificity: u8,
    is_acceptable: bool,
}

impl Match {
    fn consider(&mut self, range: &Range<'_>, media_type: &str) {
        let specificity = range.matches(media_type);
        if specificity > self.specificity {
            *self = Self { specificity, is_acceptable: range.is_acceptable };
        } else if specificity == self.specificity && specificity > 0 {
            self.is_acceptable |= range.is_acceptable;
        }
    }
}

struct Range<'a> {
    media_type: &'a str,
    subtype: &'a str,
    is_acceptable: bool,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';');
        let (media_type, subtype) = parts.next()?.trim().split_once('/')?;
        if media_type.is_empty() || subtype.is_empty() || (media_type == "*" && subtype != "*") {
            return None;
        }
        let mut parameters = parts.filter_map(|parameter| parameter.split_once('='));
        let weight = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        // A weight that cannot be read excludes nothing.
        let is_acceptable = weight.is_none_or(|(_, weight)| weight.trim().parse::<f32>() != Ok(0.0));
        Some(Self { media_type, subtype, is_acceptable })
    }

    /// Returns how specifically the range matches; 0 if it does not.
    fn matches(&self, media_type: &str) -> u8 {
        let (kind, subtype) = media_type.split_once('/').unwrap_or_default();
        if self.media_type == "*" {
            ANYTHING
        } else if !self.media_type.eq_ignore_ascii_case(kind) {
            0
        } else if self.subtype == "*" {
            ANY_SUBTYPE
        } else if self.subtype.eq_ignore_ascii_case(subtype) {
            EXACT
        } else {
            0
        }
    }
}

/// Returns whether a `Content-Type` is JSON, whatever its parameters.
pub(in crate::http) fn is_json(content_type: Option<&[u8]>) -> bool {
    let essence = content_type.and_then(|kind| kind.split(|&byte| byte == b';').next());
    essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(JSON.as_bytes()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    use super::*;

    fn accepted(values: &[&str]) -> Option<Accepted> {
        let request =
            values.iter().fold(TestRequest::default(), |request, value| request.append_header((ACCEPT, *value)));
        Accepted::of(request.to_http_request().headers()).ok()
    }

    #[test]
    fn the_most_specific_range_decides() {
        for (values, expected) in [
            (&[][..], Some(Accepted::Json)),
            (&[""], Some(Accepted::Json)),
            (&["*/*"], Some(Accepted::Json)),
            (&["application/json"], Some(Accepted::Json)),
            (&["Application/JSON; charset=utf-8"], Some(Accepted::Json)),
            (&["application/*"], Some(Accepted::Json)),
            (&["application/json, text/event-stream"], Some(Accepted::JsonOrStream)),
            (&["application/json", "text/event-stream"], Some(Accepted::JsonOrStream)),
            (&["application/*, text/*"], Some(Accepted::JsonOrStream)),
            (&["text/event-stream;q=0.9, application/json;q=0.1"], Some(Accepted::JsonOrStream)),
            (&["text/event-stream"], Some(Accepted::Stream)),
            (&["text/*"], Some(Accepted::Stream)),
            (&["text/event-stream, application/json;q=0"], Some(Accepted::Stream)),
            (&["*/*, application/json;q=0.000"], Some(Accepted::Stream)),
            (&["application/json;q=0, application/*"], None),
            (&["*/*;q=0"], None),
            (&["text/html"], None),
            (&["text/html, application/xhtml+xml, */*;q=0.8"], Some(Accepted::Json)),
            (&["no media range"], Some(Accepted::Json)),
        ] {
            assert_eq!(accepted(values), expected, "{values:?}");
        }
    }

    #[test]
    fn parameters_do_not_change_a_content_type() {
        for json in ["application/json", "Application/JSON; charset=utf-8", " application/json ;x=y"] {
            assert!(is_json(Some(json.as_bytes())), "{json}");
        }
        for other in ["text/plain", "application/jsonx", "application/json, text/plain", ""] {
            assert!(!is_json(Some(other.as_bytes())), "{other}");
        }
        assert!(!is_json(None));
    }

    proptest! {
        #[test]
        fn no_order_of_the_ranges_changes_what_is_accepted(
            ranges in prop::collection::vec(("(application|text|\\*)/(json|event-stream|\\*|html)", 0..=3u8), 1..5)
        ) {
            let written: Vec<String> = ranges.iter().map(|(range, q)| format!("{range};q=0.{q}")).collect();
            let mut turned = written.clone();
            turned.reverse();
            prop_assert_eq!(accepted(&[&written.join(",")]), accepted(&[&turned.join(" , ")]));
        }
    }
}
