//! The texts of a spent or paused rate limit.

use actix_web::http::StatusCode;
use chrono::TimeDelta;

use super::database;
use crate::{allowance::AllowanceError, http::error::body::ErrorBody};

/// Returns the text of a refused request to OwnerRez.
pub(super) fn refusal(refusal: AllowanceError) -> ErrorBody {
    match refusal {
        AllowanceError::Spent { wait, limit } => ErrorBody::new(
            StatusCode::TOO_MANY_REQUESTS,
            refusal.code(),
            format!("This gateway has used up its {limit} requests to OwnerRez per 5 minutes."),
            format!("Try again in {} seconds.", wait.num_seconds().max(1)),
        )
        .with_retry_after(wait),
        AllowanceError::Throttled(wait) => ErrorBody::new(
            StatusCode::SERVICE_UNAVAILABLE,
            refusal.code(),
            "OwnerRez asked this gateway to send fewer requests.",
            format!("Try again in {} seconds.", wait.num_seconds().max(1)),
        )
        .with_retry_after(wait),
        AllowanceError::Standby => ErrorBody::new(
            StatusCode::SERVICE_UNAVAILABLE,
            refusal.code(),
            "This process is on standby; another instance is active.",
            "Try again in a moment. Operators: run one process per database, or set UPSTREAM_SHARED=true and give each \
             a share.",
        )
        .with_retry_after(TimeDelta::seconds(5)),
        AllowanceError::Storage => database::unavailable(),
    }
}
