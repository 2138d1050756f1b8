//! The texts of refused credentials and scopes.

use actix_web::http::StatusCode;

use super::database;
use crate::{domain::ErrorCode, http::error::body::ErrorBody, oauth::AccessError};

pub(super) fn missing_key() -> ErrorBody {
    ErrorBody::new(
        StatusCode::UNAUTHORIZED,
        ErrorCode::MissingApiKey,
        "This endpoint needs an API key.",
        "Send the header `Authorization: Bearer ownerrez_sk_…`. POST /api/users/register creates a key.",
    )
}

pub(super) fn bad_key() -> ErrorBody {
    ErrorBody::new(
        StatusCode::UNAUTHORIZED,
        ErrorCode::InvalidApiKey,
        "This API key is not valid.",
        "Check that the whole key was copied (62 characters, or 60 for an old key, starting with \
         ownerrez_sk_). POST /api/users/register creates a new one.",
    )
}

pub(super) fn expired_key() -> ErrorBody {
    ErrorBody::new(
        StatusCode::UNAUTHORIZED,
        ErrorCode::ExpiredApiKey,
        "This API key has expired.",
        "Use another key. A full key of the same user can create a new one: POST /api/keys.",
    )
}

pub(super) fn disabled() -> ErrorBody {
    ErrorBody::new(
        StatusCode::FORBIDDEN,
        ErrorCode::AccountDisabled,
        "The operator of this gateway has disabled this user.",
        "Only the operator can enable the user again; nothing was deleted.",
    )
}

pub(super) fn access_token(error: &AccessError) -> ErrorBody {
    match error {
        AccessError::Expired => ErrorBody::new(
            StatusCode::UNAUTHORIZED,
            ErrorCode::ExpiredAccessToken,
            "This access token has expired.",
            "Get a new one with the refresh token, or let the user sign in again.",
        ),
        AccessError::Invalid | AccessError::WrongAudience => ErrorBody::new(
            StatusCode::UNAUTHORIZED,
            ErrorCode::InvalidAccessToken,
            "This access token is not valid: it was revoked, or it was issued for another resource.",
            "The user has to sign in to this client again.",
        ),
        AccessError::Disabled => disabled(),
        AccessError::Store(error) => database::store(error),
    }
}

pub(super) fn access_token_not_here() -> ErrorBody {
    ErrorBody::new(
        StatusCode::UNAUTHORIZED,
        ErrorCode::AccessTokenNotAccepted,
        "Access tokens of MCP clients are valid only for /mcp.",
        "Send an API key instead: POST /api/users/register creates one.",
    )
}

pub(super) fn grant_too_small() -> ErrorBody {
    ErrorBody::new(
        StatusCode::FORBIDDEN,
        ErrorCode::InsufficientScope,
        "This tool changes the OwnerRez account, and this client has read-only access.",
        "Sign in again with the scope ownerrez:full and allow it to make changes.",
    )
}

pub(super) fn insufficient_scope() -> ErrorBody {
    ErrorBody::new(
        StatusCode::FORBIDDEN,
        ErrorCode::InsufficientScope,
        "This is a read-only API key.",
        "Managing keys and the OwnerRez connection requires a key with the scope `full`.",
    )
}

pub(super) fn single_user_token_required() -> ErrorBody {
    ErrorBody::new(
        StatusCode::UNAUTHORIZED,
        ErrorCode::SingleUserTokenRequired,
        "This gateway has a single user and requires a token.",
        "Send the header `Authorization: Bearer …` with the value of SINGLE_USER_TOKEN.",
    )
}

pub(super) fn bad_metrics_token() -> ErrorBody {
    ErrorBody::new(
        StatusCode::UNAUTHORIZED,
        ErrorCode::InvalidMetricsToken,
        "A metrics token is required.",
        "Send the header `Authorization: Bearer …` with the value of METRICS_TOKEN.",
    )
}
