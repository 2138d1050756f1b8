//! The JSON responses of the endpoints that clients call without a browser.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{StatusCode, header},
};
use chrono::TimeDelta;
use serde_json::json;

use crate::{domain::ErrorCode, http::error::ErrorLogInfo, oauth::OAuthError};

/// Returns an error as JSON (RFC 6749 section 5.2).
pub(super) fn oauth_error(error: &OAuthError) -> HttpResponse {
    let (status, retry_after) = match error {
        OAuthError::InvalidClient(_) => (StatusCode::UNAUTHORIZED, None),
        OAuthError::Unavailable { retry_after, .. } => (StatusCode::SERVICE_UNAVAILABLE, Some(*retry_after)),
        OAuthError::Server { .. } => (StatusCode::INTERNAL_SERVER_ERROR, None),
        _ => (StatusCode::BAD_REQUEST, None),
    };
    json_error(status, error.code(), &error.description(), retry_after, error.cause())
}

pub(super) fn json_error(
    status: StatusCode,
    code: ErrorCode,
    description: &str,
    retry_after: Option<TimeDelta>,
    cause: Option<String>,
) -> HttpResponse {
    let mut response = no_store(status);
    if let Some(wait) = retry_after {
        response.insert_header((header::RETRY_AFTER, wait.num_seconds().max(1).to_string()));
    }
    response.extensions_mut().insert(ErrorLogInfo { code, cause });
    response.json(json!({"error": code, "error_description": description}))
}

pub(super) fn no_store(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache"));
    response
}
