//! The page for an error.

use actix_web::{HttpResponse, http::header};
use maud::html;

use super::parts::page;
use crate::http::error::{ApiError, ErrorBody};

/// Returns an error as a page, with the same texts as the JSON of the other endpoints.
pub(crate) fn error(error: &ApiError) -> HttpResponse {
    let body = error.error_body();
    let log_info = error.log_info(&body);
    let ErrorBody { status, message, hint, retry_after, .. } = body;
    let mut response = page(status, &[], "Something went wrong", &html! { p { (message) } p { (hint) } });
    if let Some(wait) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, wait.num_seconds().max(1).into());
    }
    response.extensions_mut().insert(log_info);
    response
}
