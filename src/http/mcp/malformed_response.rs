//! The responses to bodies that are no message, or a message with wrong parameters.

use actix_web::HttpResponse;

use crate::{domain::ErrorCode, http::error::ErrorLogInfo, mcp::Malformed};

/// The log's code for a body that is no message, or a message with wrong parameters.
const MALFORMED: ErrorCode = ErrorCode::MalformedMessage;

/// Answers a body that contains no message with 400, as the transport requires for input that cannot be accepted.
pub(in crate::http) fn malformed_response(malformed: &Malformed) -> HttpResponse {
    with_log_info(HttpResponse::BadRequest().json(malformed.to_json()))
}

pub(in crate::http) fn with_log_info(mut answer: HttpResponse) -> HttpResponse {
    answer.extensions_mut().insert(ErrorLogInfo { code: MALFORMED, cause: None });
    answer
}
