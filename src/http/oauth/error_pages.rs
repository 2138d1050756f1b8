//! The pages for requests that fail before or during a sign-in.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use chrono::TimeDelta;

use crate::{
    domain::ErrorCode,
    http::{
        error::ErrorLogInfo,
        pages::{self, sign_in as sign_in_pages},
    },
    oauth::ServerError,
};

/// Returns a page that says what failed and what to do next.
pub(super) fn error_page(status: StatusCode, code: ErrorCode, what: &str, next: &str) -> HttpResponse {
    let mut response = sign_in_pages::refusal(status, what, next);
    response.extensions_mut().insert(ErrorLogInfo { code, cause: None });
    response
}

/// Returns the page for a source that started too many sign-ins.
pub(super) fn too_many_sign_ins(wait: TimeDelta) -> HttpResponse {
    let mut response = error_page(
        StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::TooManySignIns,
        sign_in_pages::TOO_MANY,
        sign_in_pages::LATER,
    );
    response.headers_mut().insert(header::RETRY_AFTER, wait.num_seconds().max(1).into());
    response
}

/// Returns the page for an internal error.
pub(super) fn internal_error(error: ServerError) -> HttpResponse {
    pages::error(&error.into())
}
