//! The text of internal errors.

use actix_web::http::StatusCode;

use crate::{domain::ErrorCode, http::error::body::ErrorBody};

/// Returns the same text for every internal error. The cause is in the log.
pub(super) fn internal() -> ErrorBody {
    ErrorBody::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::InternalError,
        "The gateway failed to process this request.",
        "Try again. If the problem persists, contact the operator of this gateway and quote the X-Request-Id of this \
         response.",
    )
}
