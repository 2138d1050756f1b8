//! The texts of calls of OwnerRez that failed.

use actix_web::http::StatusCode;
use chrono::TimeDelta;

use super::{allowance, database, internal::internal, reconnect::RECONNECT, tokens};
use crate::{http::error::body::ErrorBody, session::CallError, upstream::UpstreamErrorClass};

/// Returns the text of a call that failed.
pub(super) fn failed(error: &CallError) -> ErrorBody {
    match error {
        CallError::NotConnected => ErrorBody::new(
            StatusCode::CONFLICT,
            error.code(),
            "No OwnerRez account is connected to this API key's user.",
            "GET /api/connect/ownerrez/start returns a link to open in a browser.",
        ),
        CallError::NeedsReconnect => ErrorBody::new(
            StatusCode::CONFLICT,
            error.code(),
            "OwnerRez ended the connection to your account.",
            RECONNECT,
        ),
        CallError::Busy => ErrorBody::new(
            StatusCode::TOO_MANY_REQUESTS,
            error.code(),
            "Too many of your calls are already waiting.",
            "Wait for their responses before you send more.",
        )
        .with_retry_after(TimeDelta::seconds(1)),
        CallError::Allowance(refusal) => allowance::refusal(*refusal),
        CallError::Upstream(refused) => {
            let status = match refused.kind.class() {
                UpstreamErrorClass::Throttled => StatusCode::SERVICE_UNAVAILABLE,
                UpstreamErrorClass::TokenRefused
                | UpstreamErrorClass::RequestRefused
                | UpstreamErrorClass::Unavailable => StatusCode::BAD_GATEWAY,
            };
            let body = ErrorBody::new(
                status,
                error.code(),
                format!("OwnerRez responded with status {}.", refused.status),
                "Try again later. The MCP tool for the same call returns the error text of OwnerRez.",
            );
            match refused.retry_after {
                Some(wait) => body.with_retry_after(wait),
                None => body,
            }
        }
        CallError::Deadline { .. } | CallError::Transport { .. } => ErrorBody::new(
            StatusCode::BAD_GATEWAY,
            error.code(),
            "OwnerRez did not return a valid response in time.",
            "Try again in a minute.",
        ),
        CallError::Refresh(error) => tokens::failed(error),
        CallError::RefreshPaused(left) => ErrorBody::new(
            StatusCode::SERVICE_UNAVAILABLE,
            error.code(),
            "Refreshing the access to OwnerRez failed a moment ago, and the gateway does not retry yet.",
            "The connection is kept. Try again after the time in Retry-After.",
        )
        .with_retry_after(*left),
        CallError::RefreshElsewhere | CallError::ShuttingDown | CallError::Cancelled => ErrorBody::new(
            StatusCode::SERVICE_UNAVAILABLE,
            error.code(),
            "The gateway could not process this call at the moment.",
            "Try again in a few seconds.",
        )
        .with_retry_after(TimeDelta::seconds(5)),
        CallError::Store(error) => database::store(error),
        CallError::Crypto(_) | CallError::SessionLost { .. } => internal(),
    }
}
