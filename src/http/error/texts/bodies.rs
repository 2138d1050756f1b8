//! The texts of bodies that are not read.

use std::time::Duration;

use actix_web::http::StatusCode;
use chrono::TimeDelta;

use super::too_many::too_many;
use crate::{
    domain::ErrorCode,
    http::{error::body::ErrorBody, middleware::body_encoding::UnsupportedEncoding},
};

pub(super) fn wrong_content_type() -> ErrorBody {
    ErrorBody::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::UnsupportedMediaType,
        "This endpoint does not accept the Content-Type of the body.",
        "Send JSON with `Content-Type: application/json`.",
    )
}

pub(super) fn unsupported_encoding(form: UnsupportedEncoding) -> ErrorBody {
    let (message, hint) = match form {
        UnsupportedEncoding::Compressed => (
            "The body is compressed (`Content-Encoding`), and this gateway does not accept compressed bodies.",
            "Send the body uncompressed, without `Content-Encoding`.",
        ),
        UnsupportedEncoding::Charset => (
            "The body's charset is not UTF-8, the only one that this gateway accepts for JSON.",
            "Send the JSON in UTF-8, with `Content-Type: application/json`.",
        ),
    };
    ErrorBody::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::UnsupportedMediaType, message, hint)
}

pub(super) fn too_large() -> ErrorBody {
    ErrorBody::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::BodyTooLarge,
        "The request body is larger than this gateway accepts.",
        "Send less in one request.",
    )
}

pub(super) fn timed_out(limit: Duration) -> ErrorBody {
    ErrorBody::new(
        StatusCode::REQUEST_TIMEOUT,
        ErrorCode::RequestTimeout,
        format!("The body of the request did not arrive within {} seconds.", limit.as_secs()),
        "Send the request again.",
    )
}

pub(super) fn too_many_unfinished(limit: Duration) -> ErrorBody {
    too_many(
        ErrorCode::TooManyUnfinishedRequests,
        "Too many requests from your address are incomplete: their bodies have not arrived yet.",
        "Complete them, or try again later. Operators: if the gateway is behind a proxy, add the proxy to \
         TRUSTED_PROXIES.",
        TimeDelta::from_std(limit).unwrap_or(TimeDelta::MAX),
    )
}

pub(super) fn too_many_bytes() -> ErrorBody {
    ErrorBody::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::TooManyRequestsUnderWay,
        "The gateway is receiving too many bytes at once.",
        "Your request was not read. Try again in a few seconds.",
    )
    .with_retry_after(TimeDelta::seconds(5))
}

pub(super) fn stopping() -> ErrorBody {
    ErrorBody::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Stopping,
        "The gateway is stopping, and the body of this request had not arrived.",
        "The request was not processed. Send it again in a few seconds.",
    )
    .with_retry_after(TimeDelta::seconds(5))
}
