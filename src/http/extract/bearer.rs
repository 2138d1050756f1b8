//! The credential in the `Authorization` header.

use actix_web::{HttpRequest, http::header};

use crate::http::error::ApiError;

/// Returns the key in `Authorization: Bearer …` (RFC 6750; the scheme is case-insensitive, RFC 9110 section 11.1).
pub(crate) fn bearer(request: &HttpRequest) -> Result<&str, ApiError> {
    let value = request.headers().get(header::AUTHORIZATION).ok_or(ApiError::NoKey)?;
    let (scheme, credentials) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(ApiError::BadKey)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(credentials.trim()) } else { Err(ApiError::BadKey) }
}
