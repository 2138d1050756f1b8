//! The texts of limits that were reached.

use actix_web::http::StatusCode;
use chrono::TimeDelta;

use crate::{auth::TooMany, domain::ErrorCode, http::error::body::ErrorBody};

/// Returns the text of a limiter's refusal.
pub(super) fn limit(refusal: &TooMany) -> ErrorBody {
    match refusal {
        TooMany::WrongTokens(wait) => too_many(
            ErrorCode::TooManyWrongTokens,
            "This token is wrong, and too many wrong ones came from your address.",
            "Correct the token: a valid one is accepted at once.",
            *wait,
        ),
        TooMany::FailedKeys(wait) => too_many(
            ErrorCode::TooManyFailedKeys,
            "Too many invalid keys came from your address, so this one was not checked.",
            "Check the key. Operators: if the gateway is behind a proxy, add the proxy to TRUSTED_PROXIES; \
             otherwise its clients share one limit.",
            *wait,
        ),
        TooMany::Registrations(wait) => too_many(
            ErrorCode::TooManyRegistrations,
            "Too many users have registered from your address.",
            "You can use one account for all your MCP clients. Operators: if the gateway is behind a proxy, add \
             the proxy to TRUSTED_PROXIES.",
            *wait,
        ),
        TooMany::LargeBodies(wait) => too_many(
            ErrorCode::TooManyLargeRequests,
            "You sent too many large messages within a minute, so this one was rejected.",
            "Send less in one message, or try again later.",
            *wait,
        ),
    }
}

/// Rounds up to whole seconds, so that a client that waits exactly that long does not have to wait again.
pub(super) fn whole_seconds(wait: TimeDelta) -> TimeDelta {
    TimeDelta::seconds(wait.num_seconds().saturating_add(i64::from(wait.subsec_nanos() > 0)))
}

/// Returns the text of a limit that was reached, with the time to wait.
pub(super) fn too_many(code: ErrorCode, message: &'static str, hint: &'static str, wait: TimeDelta) -> ErrorBody {
    let seconds = whole_seconds(wait);
    let hint = format!("{hint} Try again in {} seconds.", seconds.num_seconds());
    ErrorBody::new(StatusCode::TOO_MANY_REQUESTS, code, message, hint).with_retry_after(seconds)
}
