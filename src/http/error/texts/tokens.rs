//! The texts of errors of OwnerRez's token endpoint.

use actix_web::http::StatusCode;
use chrono::TimeDelta;

use super::{allowance, reconnect::RECONNECT};
use crate::{allowance::AllowanceError, http::error::body::ErrorBody, upstream::TokenError};

/// Returns the text of a token request that failed.
pub(super) fn failed(error: &TokenError) -> ErrorBody {
    match error {
        TokenError::InvalidGrant => ErrorBody::new(
            StatusCode::BAD_GATEWAY,
            error.code(),
            "OwnerRez did not accept the authorization: it was used before, or it is older than 10 minutes.",
            RECONNECT,
        ),
        TokenError::InvalidPersonalToken(refused) => ErrorBody::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            error.code(),
            match refused.message() {
                None => format!("OwnerRez rejected this e-mail address and token with status {}.", refused.status),
                Some(said) => format!("OwnerRez rejected the request with status {}: {said}", refused.status),
            },
            if refused.kind.may_concern_token() {
                "Nothing was stored. `email` must be your OwnerRez sign-in address, `token` a personal access token of \
                 that account (pt_…). OwnerRez accepts such tokens for two accounts in 24 hours from one address."
            } else {
                "Nothing was stored. OwnerRez accepts personal access tokens for two accounts in 24 hours from one \
                 address; to connect more, use OAuth: GET /api/connect/ownerrez/start."
            },
        ),
        TokenError::NoClient | TokenError::InvalidClient => ErrorBody::new(
            StatusCode::SERVICE_UNAVAILABLE,
            error.code(),
            "OwnerRez does not accept this gateway's OAuth app.",
            "Operators: check OWNERREZ_CLIENT_ID, OWNERREZ_CLIENT_SECRET and the app's redirect URI in OwnerRez.",
        ),
        TokenError::Throttled(wait) => {
            allowance::refusal(AllowanceError::Throttled(wait.unwrap_or_else(|| TimeDelta::seconds(60))))
        }
        TokenError::Unexpected(_) | TokenError::Unreadable | TokenError::ForeignAccount | TokenError::Transport(_) => {
            ErrorBody::new(
                StatusCode::BAD_GATEWAY,
                error.code(),
                "OwnerRez did not return a valid response to the token request.",
                "Try again in a minute.",
            )
        }
    }
}
