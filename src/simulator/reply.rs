//! The simulator's responses before their conversion to HTTP: bodies and headers in OwnerRez's format.

use serde_json::{Map, Value, json};

/// The error codes that the simulator returns. `api.json` lists all known ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Code {
    ValidationFailed,
    AuthRequired,
    InvalidToken,
    InvalidRequest,
    UserAgentRequired,
    MessagingNotEnabled,
    Forbidden,
    NotFound,
    MethodNotAllowed,
}

impl Code {
    fn text(self) -> &'static str {
        match self {
            Code::ValidationFailed => "validation_failed",
            Code::AuthRequired => "auth_required",
            Code::InvalidToken => "invalid_token",
            Code::InvalidRequest => "invalid_request",
            Code::UserAgentRequired => "user_agent_required",
            Code::MessagingNotEnabled => "messaging_not_enabled",
            Code::Forbidden => "forbidden",
            Code::NotFound => "not_found",
            Code::MethodNotAllowed => "method_not_allowed",
        }
    }

    fn status(self) -> u16 {
        match self {
            Code::ValidationFailed => 400,
            Code::AuthRequired | Code::InvalidToken | Code::InvalidRequest | Code::UserAgentRequired => 401,
            Code::MessagingNotEnabled => 402,
            Code::Forbidden => 403,
            Code::NotFound => 404,
            Code::MethodNotAllowed => 405,
        }
    }
}

/// A complete response.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Reply {
            status,
            headers: vec![("content-type".into(), "application/json; charset=utf-8".into())],
            body: body.to_string().into_bytes(),
        }
    }

    pub(super) fn html(status: u16, page: String) -> Self {
        Reply {
            status,
            headers: vec![("content-type".into(), "text/html; charset=utf-8".into())],
            body: page.into_bytes(),
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Reply { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn redirect(location: &str) -> Self {
        Reply::empty(302).with("location", location)
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Returns the error body of API v2.
    pub(super) fn error(code: Code, messages: &[String]) -> Self {
        let mut body = error_body(code.status(), messages);
        let text = code.text();
        body.insert("code".into(), text.into());
        let doc_url = format!("https://www.ownerrez.com/support/articles/api-errors#{text}");
        body.insert("doc_url".into(), doc_url.into());
        Reply::json(code.status(), &body.into())
    }

    /// Returns the same without a code, for statuses whose code is not known: recorded bodies lack it too.
    pub(super) fn error_without_code(status: u16, message: &str) -> Self {
        Reply::json(status, &error_body(status, &[message.to_owned()]).into())
    }

    pub(super) fn invalid(messages: &[String]) -> Self {
        Reply::error(Code::ValidationFailed, messages)
    }

    pub(super) fn missing(entity: &str, id: i64) -> Self {
        Reply::error(Code::NotFound, &[format!("Expected entity {entity}:Id:{id} not found.")])
    }

    /// Returns the response to requests over the rate limit. A component in front of the API sends it, so its body
    /// differs, and it has no `Retry-After`.
    pub(super) fn over_the_limit() -> Self {
        Reply::json(429, &json!({"code": 429, "error": "Rate limit exceeded."}))
    }
}

fn error_body(status: u16, messages: &[String]) -> Map<String, Value> {
    let word = match status {
        400 => "bad_request",
        401 => "unauthorized",
        402 => "payment_required",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        _ => "error",
    };
    let members = [("messages", json!(messages)), ("status", word.into()), ("status_code", status.into())];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::description::Description;

    #[test]
    fn the_codes_are_those_of_the_description() {
        let known = Description::load().expect("the description").errors;
        for code in [
            Code::ValidationFailed,
            Code::AuthRequired,
            Code::InvalidToken,
            Code::InvalidRequest,
            Code::UserAgentRequired,
            Code::MessagingNotEnabled,
            Code::Forbidden,
            Code::NotFound,
            Code::MethodNotAllowed,
        ] {
            let described = known.iter().find(|known| known.code == code.text()).map(|known| known.status);
            assert_eq!(described, Some(code.status()), "{code:?}");
        }
    }
}
