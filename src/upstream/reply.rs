//! A response of OwnerRez, and the classes of its error responses (article "API errors").

use chrono::TimeDelta;
use serde_json::Value;

use crate::domain::RawJson;

/// A response of OwnerRez with any status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body; empty if the response had none, or if an error response had no JSON body.
    pub body: RawJson,
    /// The wait from `Retry-After`, which OwnerRez rarely sends.
    pub retry_after: Option<TimeDelta>,
    /// Whether `WWW-Authenticate` names the token as the reason of the error.
    pub names_token: bool,
}

/// A classified error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError {
    /// The class of the error.
    pub kind: UpstreamErrorKind,
    /// HTTP status.
    pub status: u16,
    /// OwnerRez's error code, if any, for example `validation_failed`.
    pub code: Option<String>,
    /// OwnerRez's messages, truncated to a limited number and length.
    messages: Vec<String>,
    /// The wait that OwnerRez asks for.
    pub retry_after: Option<TimeDelta>,
}

impl UpstreamError {
    /// Returns OwnerRez's messages as complete sentences, so that more text can follow; `None` without messages.
    pub fn message(&self) -> Option<String> {
        let sentence = |message: &String| {
            let ended = message.ends_with(['.', '!', '?', '…']);
            format!("{message}{}", if ended { "" } else { "." })
        };
        let said: Vec<String> = self.messages.iter().map(sentence).collect();
        (!said.is_empty()).then(|| said.join(" "))
    }
}

/// The errors of OwnerRez that have different texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamErrorKind {
    /// 400, 422: the arguments are invalid.
    Invalid,
    /// 401 `invalid_token`, in the body or in `WWW-Authenticate`: the token has expired, or its grant was revoked.
    InvalidToken,
    /// 401 in OwnerRez's format that does not name the token. The token may be the reason.
    Unauthorized,
    /// 401 for another reason, such as `user_agent_required`, or from a proxy in front of OwnerRez.
    OtherUnauthorized,
    /// 402: a paid feature or a messaging agreement is missing.
    FeatureMissing,
    /// 403: the grant or the account does not allow the request.
    Forbidden,
    /// 403 that names the reason: the grant is read-only. Reads never get this error.
    ReadOnly,
    /// 404: this account has no such record.
    NotFound,
    /// 405 and other 4xx: OwnerRez does not accept this request.
    NotAccepted,
    /// 409, 412: the record has changed or conflicts.
    Conflict,
    /// 429: the rate limit of the gateway's address is exhausted.
    Throttled,
    /// 5xx, and 3xx, because redirects are never followed.
    Unavailable,
}

impl UpstreamErrorKind {
    /// Returns whether the request could succeed with another token.
    pub fn may_concern_token(self) -> bool {
        self.class() == UpstreamErrorClass::TokenRefused
    }

    /// Returns the class. Reactions that several errors share depend on it, so a new error is classified here only.
    pub fn class(self) -> UpstreamErrorClass {
        match self {
            Self::InvalidToken | Self::Unauthorized => UpstreamErrorClass::TokenRefused,
            Self::Invalid
            | Self::OtherUnauthorized
            | Self::FeatureMissing
            | Self::Forbidden
            | Self::ReadOnly
            | Self::NotFound
            | Self::NotAccepted
            | Self::Conflict => UpstreamErrorClass::RequestRefused,
            Self::Throttled => UpstreamErrorClass::Throttled,
            Self::Unavailable => UpstreamErrorClass::Unavailable,
        }
    }
}

/// The classes of errors that share a reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamErrorClass {
    /// The request could succeed with another token.
    TokenRefused,
    /// The request would be refused with any token.
    RequestRefused,
    /// The request may be sent later.
    Throttled,
    /// OwnerRez failed. A write may have been carried out.
    Unavailable,
}

const MESSAGES: usize = 10;
const MESSAGE_CHARS: usize = 500;

impl Reply {
    /// Returns the body of a success, or the error.
    pub fn into_result(self) -> Result<RawJson, UpstreamError> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        Err(self.error())
    }

    /// Classifies the response as an error. Call it only for responses without success status.
    pub fn error(&self) -> UpstreamError {
        let body = self.body.value();
        let payload = ErrorPayload(&body);
        let kind = match self.status {
            400 | 422 => UpstreamErrorKind::Invalid,
            401 => payload.unauthorized(self.names_token),
            402 => UpstreamErrorKind::FeatureMissing,
            403 if payload.read_only() => UpstreamErrorKind::ReadOnly,
            403 => UpstreamErrorKind::Forbidden,
            404 => UpstreamErrorKind::NotFound,
            409 | 412 => UpstreamErrorKind::Conflict,
            429 => UpstreamErrorKind::Throttled,
            400..=499 => UpstreamErrorKind::NotAccepted,
            _ => UpstreamErrorKind::Unavailable,
        };
        let code = payload.code().map(|code| cut(code, 64));
        let messages = payload.messages().map(|message| cut(message, MESSAGE_CHARS)).collect();
        UpstreamError { kind, status: self.status, code, messages, retry_after: self.retry_after }
    }
}

/// The body of an error response, in either of its two formats.
#[derive(Clone, Copy)]
struct ErrorPayload<'a>(&'a Value);

impl<'a> ErrorPayload<'a> {
    fn code(self) -> Option<&'a str> {
        self.0.get("code").and_then(Value::as_str)
    }

    fn messages(self) -> impl Iterator<Item = &'a str> {
        let listed = self.0.get("messages").and_then(Value::as_array).into_iter().flatten();
        let single = ["message", "error"].iter().filter_map(move |name| self.0.get(*name));
        listed.chain(single).filter_map(Value::as_str).map(str::trim).filter(|said| !said.is_empty()).take(MESSAGES)
    }

    /// Classifies a 401 by its code (article "API errors"), and by its header if no code names another reason. Older
    /// bodies have no code.
    fn unauthorized(self, header_names_token: bool) -> UpstreamErrorKind {
        let has_form = self.0.get("messages").is_some_and(Value::is_array) || self.0.get("status_code").is_some();
        match self.code() {
            Some("invalid_token") => UpstreamErrorKind::InvalidToken,
            None | Some("auth_required" | "invalid_request") if header_names_token => UpstreamErrorKind::InvalidToken,
            Some("auth_required" | "invalid_request") => UpstreamErrorKind::Unauthorized,
            None if has_form => UpstreamErrorKind::Unauthorized,
            _ => UpstreamErrorKind::OtherUnauthorized,
        }
    }

    /// Neither OwnerRez's code nor its message for this error is documented. Any text must mention "read only" in some
    /// spelling.
    fn read_only(self) -> bool {
        let names_it = |text: &str| text.to_ascii_lowercase().replace(['-', '_', ' '], "").contains("readonly");
        self.code().into_iter().chain(self.messages()).any(names_it)
    }
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(status: u16, body: Value) -> UpstreamError {
        Reply { status, body: body.into(), retry_after: None, names_token: false }.into_result().unwrap_err()
    }

    #[test]
    fn both_generations_of_error_bodies_are_read() {
        let new = refused(
            400,
            json!({"messages": ["property_ids is required."], "code": "validation_failed", "status": "bad_request", "status_code": 400}),
        );
        assert_eq!((new.kind, new.code.as_deref()), (UpstreamErrorKind::Invalid, Some("validation_failed")));
        let old = refused(
            404,
            json!({"messages": ["Expected entity Guest:Id:1 not found."], "status": "not_found", "status_code": 404}),
        );
        assert_eq!((old.kind, old.messages.len()), (UpstreamErrorKind::NotFound, 1));
    }

    #[test]
    fn a_403_that_names_the_reason_is_told_from_others() {
        for (body, kind) in [
            (
                json!({"messages": ["The application has read-only access."], "code": "forbidden"}),
                UpstreamErrorKind::ReadOnly,
            ),
            (json!({"messages": ["Not allowed."], "code": "read_only_scope"}), UpstreamErrorKind::ReadOnly),
            (json!({"message": "Token is Read Only"}), UpstreamErrorKind::ReadOnly),
            (json!({"messages": ["Blocked."], "code": "ip_blocked"}), UpstreamErrorKind::Forbidden),
            (Value::Null, UpstreamErrorKind::Forbidden),
        ] {
            assert_eq!(refused(403, body.clone()).kind, kind, "{body}");
        }
        assert_eq!(refused(400, json!({"messages": ["The field is read-only."]})).kind, UpstreamErrorKind::Invalid);
    }

    #[test]
    fn a_401_is_about_the_token_only_where_it_says_so() {
        let form =
            |code: &str| json!({"messages": ["No."], "code": code, "status": "unauthorized", "status_code": 401});
        for (body, kind) in [
            (form("invalid_token"), UpstreamErrorKind::InvalidToken),
            (json!({"code": "invalid_token"}), UpstreamErrorKind::InvalidToken),
            (form("auth_required"), UpstreamErrorKind::Unauthorized),
            (form("invalid_request"), UpstreamErrorKind::Unauthorized),
            (
                json!({"messages": ["No."], "status": "unauthorized", "status_code": 401}),
                UpstreamErrorKind::Unauthorized,
            ),
            (form("user_agent_required"), UpstreamErrorKind::OtherUnauthorized),
            (form("something_new"), UpstreamErrorKind::OtherUnauthorized),
            (json!({"error": "Access denied by policy"}), UpstreamErrorKind::OtherUnauthorized),
            (Value::Null, UpstreamErrorKind::OtherUnauthorized),
        ] {
            assert_eq!(refused(401, body.clone()).kind, kind, "{body}");
        }
    }

    #[test]
    fn a_header_names_the_token_where_the_body_has_no_other_reason() {
        let kind = |body: Value| {
            let reply = Reply { status: 401, body: body.into(), retry_after: None, names_token: true };
            reply.error().kind
        };
        for body in [Value::Null, json!({}), json!({"messages": ["No."], "code": "auth_required"})] {
            assert_eq!(kind(body.clone()), UpstreamErrorKind::InvalidToken, "{body}");
        }
        for code in ["user_agent_required", "something_new"] {
            assert_eq!(kind(json!({"code": code})), UpstreamErrorKind::OtherUnauthorized, "{code}");
        }
    }

    #[test]
    fn what_was_said_ends_with_a_full_stop() {
        for (messages, said) in [
            (json!(["Not found."]), Some("Not found.")),
            (json!(["Not found", " Really? ", "Yes!", ""]), Some("Not found. Really? Yes!")),
            (json!([" "]), None),
            (json!([]), None),
        ] {
            assert_eq!(refused(404, json!({"messages": messages})).message().as_deref(), said);
        }
        let long = refused(404, json!({"messages": ["a".repeat(600)]})).message().unwrap();
        assert!(long.ends_with("a…"), "{long}");
    }

    #[test]
    fn the_body_of_a_429_has_a_number_for_a_code() {
        let refused = refused(429, json!({"code": 429, "error": "Rate limit exceeded."}));
        assert_eq!((refused.kind, refused.code), (UpstreamErrorKind::Throttled, None));
        assert_eq!(refused.messages, ["Rate limit exceeded."]);
    }

    #[test]
    fn every_status_is_some_kind_and_no_body_is_a_trap() {
        for status in (300..600).filter(|status| *status != 200) {
            for body in [Value::Null, json!([]), json!("x"), json!({"messages": 7, "code": {}})] {
                let _ = refused(status, body);
            }
        }
    }
}
