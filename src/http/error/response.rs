//! The HTTP response to an error, and what the log records about it.

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde_json::json;

use super::{api_error::ApiError, body::ErrorBody, log_info::ErrorLogInfo};
use crate::{domain::error_chain, oauth::AccessError};

impl ApiError {
    /// Returns what the request's log line records. The cause of a 5xx is logged only there, once.
    pub(crate) fn log_info(&self, body: &ErrorBody) -> ErrorLogInfo {
        ErrorLogInfo { code: body.code, cause: body.status.is_server_error().then(|| error_chain(self)) }
    }

    /// Returns the `WWW-Authenticate` challenge of the response (RFC 6750 section 3).
    fn challenge(&self) -> Option<&'static str> {
        match self {
            // Without credentials the challenge names no error.
            Self::NoKey | Self::SingleUserTokenRequired => Some(r#"Bearer realm="ownerrez-gateway""#),
            Self::InsufficientScope => Some(r#"Bearer realm="ownerrez-gateway", error="insufficient_scope""#),
            Self::BadKey
            | Self::KeyExpired
            | Self::AccessTokenNotHere
            | Self::AccessToken(AccessError::Invalid | AccessError::Expired | AccessError::WrongAudience) => {
                Some(r#"Bearer realm="ownerrez-gateway", error="invalid_token""#)
            }
            Self::BadMetricsToken => Some(r#"Bearer realm="metrics""#),
            Self::RegistrationTokenRequired => Some(r#"Bearer realm="registration""#),
            _ => None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.error_body().status
    }

    fn error_response(&self) -> HttpResponse {
        let body = self.error_body();
        let mut response = HttpResponse::build(body.status);
        response.extensions_mut().insert(self.log_info(&body));
        if let Some(wait) = body.retry_after {
            response.insert_header((header::RETRY_AFTER, wait.num_seconds().max(1).to_string()));
        }
        if let Some(challenge) = self.challenge() {
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        response
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(json!({"error": body.code, "message": body.message, "hint": body.hint}))
    }
}
