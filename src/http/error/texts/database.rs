//! The texts of errors of the database.

use actix_web::http::StatusCode;
use chrono::TimeDelta;

use super::internal::internal;
use crate::{domain::ErrorCode, http::error::body::ErrorBody, store::StoreError};

pub(super) fn store(error: &StoreError) -> ErrorBody {
    match error {
        StoreError::Unavailable(_) => unavailable(),
        StoreError::Damaged(_) => damaged(),
        _ => internal(),
    }
}

pub(super) fn unavailable() -> ErrorBody {
    ErrorBody::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::DatabaseUnavailable,
        "The gateway cannot reach its database.",
        "Your key was not refused. Try again in a moment.",
    )
    .with_retry_after(TimeDelta::seconds(5))
}

fn damaged() -> ErrorBody {
    ErrorBody::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::DatabaseDamaged,
        "The gateway's database is damaged.",
        "Operators: stop the gateway, run `ownerrez-gateway check`, and restore the database from a backup.",
    )
    .with_retry_after(TimeDelta::seconds(60))
}
