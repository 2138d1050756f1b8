//! The texts of requests about keys.

use actix_web::http::StatusCode;
use chrono::TimeDelta;

use super::too_many::whole_seconds;
use crate::{domain::ErrorCode, http::error::body::ErrorBody};

/// Limits the `Retry-After` for the bcrypt queue: the requests in it give up by themselves.
const MAX_RETRY_AFTER: TimeDelta = TimeDelta::seconds(120);

pub(super) fn last_key() -> ErrorBody {
    ErrorBody::new(
        StatusCode::CONFLICT,
        ErrorCode::LastKey,
        "This is the last full key, and without one this user could not be managed. Nothing was deleted.",
        "Create another full key first (POST /api/keys), or add ?confirm=true to delete everything: this key, \
         the other keys, the OwnerRez connection and the user.",
    )
}

pub(super) fn too_many_keys(most: u64) -> ErrorBody {
    ErrorBody::new(
        StatusCode::CONFLICT,
        ErrorCode::TooManyKeys,
        format!("You already have {most} keys, the maximum."),
        "Delete one that is no longer used: GET /api/keys shows when each was last used.",
    )
}

pub(super) fn no_such_key() -> ErrorBody {
    ErrorBody::new(
        StatusCode::NOT_FOUND,
        ErrorCode::NotFound,
        "You have no key with this id.",
        "GET /api/keys lists your keys with their ids.",
    )
}

pub(super) fn check_busy(wait: TimeDelta) -> ErrorBody {
    let seconds = whole_seconds(wait).clamp(TimeDelta::seconds(1), MAX_RETRY_AFTER);
    ErrorBody::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::KeyCheckBusy,
        "More keys are being checked or created than this gateway can process in half a minute.",
        format!("Your key was not refused. Try again in {} seconds.", seconds.num_seconds()),
    )
    .with_retry_after(seconds)
}
