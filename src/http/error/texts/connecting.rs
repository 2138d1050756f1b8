//! The texts of attempts to connect an account.

use actix_web::http::StatusCode;

use super::{allowance, credentials, database, internal, reconnect::RECONNECT, tokens};
use crate::{
    allowance::AllowanceError,
    domain::ErrorCode,
    http::{connecting::wait_reason, error::body::ErrorBody},
    session::{ASK_AGAIN_AFTER, ConnectError, QueueWait},
    upstream::TokenError,
};

pub(super) fn personal_tokens_off() -> ErrorBody {
    ErrorBody::new(
        StatusCode::FORBIDDEN,
        ErrorCode::PersonalTokensNotAllowed,
        "This gateway does not accept personal access tokens.",
        "GET /api/connect/ownerrez/start returns a link that connects your account through OwnerRez. \
         Operators: ALLOW_PERSONAL_TOKENS=true allows them; OwnerRez accepts them for two accounts a day from \
         one address.",
    )
}

pub(super) fn already_connected() -> ErrorBody {
    ErrorBody::new(
        StatusCode::CONFLICT,
        ErrorCode::AlreadyConnected,
        "An OwnerRez account is already connected, and its connection works.",
        "To connect another account, end this connection first: DELETE /api/connect/ownerrez.",
    )
}

pub(super) fn waits(waits: QueueWait) -> ErrorBody {
    ErrorBody::new(
        StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::ConnectingWaits,
        wait_reason::reason_text(waits.reason),
        format!(
            "Repeat the same request every {} seconds; its place in the queue, if it has one, is kept. {}",
            ASK_AGAIN_AFTER.num_seconds(),
            wait_reason::outlook_text(waits)
        ),
    )
    .with_retry_after(ASK_AGAIN_AFTER)
}

pub(super) fn not_configured() -> ErrorBody {
    ErrorBody::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::OwnerRezNotConfigured,
        "This gateway has no OwnerRez OAuth app yet, so accounts cannot be connected.",
        "Operators: create an OAuth app in OwnerRez and set OWNERREZ_CLIENT_ID and OWNERREZ_CLIENT_SECRET.",
    )
}

/// Returns the text of an attempt to connect that failed.
pub(super) fn failed(error: &ConnectError) -> ErrorBody {
    match error {
        ConnectError::Disabled => credentials::disabled(),
        ConnectError::AlreadyConnected => already_connected(),
        ConnectError::Token(TokenError::NoClient) => not_configured(),
        ConnectError::Allowance(AllowanceError::Spent { wait, .. }) => ErrorBody::new(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::AllowanceSpent,
            "Too many accounts are being connected at the moment: OwnerRez limits the requests of one gateway.",
            format!("Get a new connect link and try again in {} seconds.", wait.num_seconds().max(1)),
        )
        .with_retry_after(*wait),
        ConnectError::Allowance(refusal) => allowance::refusal(*refusal),
        ConnectError::Token(error) => tokens::failed(error),
        ConnectError::Unnamed => ErrorBody::new(
            StatusCode::BAD_GATEWAY,
            ErrorCode::OwnerRezUnavailable,
            "Sign-in failed: OwnerRez did not return an account id.",
            "Try again in a minute.",
        ),
        ConnectError::NewUser(account) => ErrorBody::new(
            StatusCode::FORBIDDEN,
            ErrorCode::RegistrationClosed,
            format!(
                "This gateway does not accept new users, and OwnerRez account {account} has not signed in here \
                 before."
            ),
            "Ask the operator to allow this account. Operators: REGISTRATION_MODE controls registration.",
        ),
        ConnectError::Interrupted => ErrorBody::new(
            StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Interrupted,
            "The connection was interrupted before it was complete.",
            RECONNECT,
        ),
        ConnectError::Store(error) => database::store(error),
        ConnectError::Crypto(_) => internal::internal(),
    }
}
