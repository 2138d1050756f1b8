//! The errors of other modules as errors of endpoints.

use super::api_error::ApiError;
use crate::{
    auth::{AuthError, KeyRuleError},
    oauth::ServerError,
    session::ConnectError,
    store::KEY_NAME_LIMIT,
    tools::LinkError,
};

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::BadKey => Self::BadKey,
            AuthError::KeyExpired => Self::KeyExpired,
            AuthError::Disabled => Self::Disabled,
            AuthError::UserGone => Self::Connect(ConnectError::Interrupted),
            AuthError::KeyCheckBusy(wait) => Self::KeyCheckBusy(wait),
            AuthError::TooManyKeys(most) => Self::TooManyKeys(most),
            AuthError::TooMany(refusal) => Self::TooMany(refusal),
            AuthError::Store(error) => Self::Store(error),
            AuthError::Crypto(error) => Self::Crypto(error),
        }
    }
}

impl From<KeyRuleError> for ApiError {
    fn from(error: KeyRuleError) -> Self {
        Self::BadRequest(match error {
            KeyRuleError::Name => {
                format!("`name` must be at most {KEY_NAME_LIMIT} characters, without control characters.")
            }
            KeyRuleError::ExpiryInThePast => "`expires_at` is in the past.".to_owned(),
            KeyRuleError::ExpiryAfterIssuer(own) => {
                format!("`expires_at` is later than {}, when the key that creates it expires.", own.to_rfc3339())
            }
        })
    }
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::NotConfigured | LinkError::SingleAccount => Self::NotConfigured,
            LinkError::KeyGone => Self::BadKey,
            LinkError::Store(error) => error.into(),
            LinkError::Crypto(error) => error.into(),
        }
    }
}

impl From<ServerError> for ApiError {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Store(error) => error.into(),
            ServerError::Crypto(error) => error.into(),
            ServerError::Call(error) => error.into(),
            ServerError::UserGone | ServerError::Unreadable => Self::Connect(ConnectError::Interrupted),
        }
    }
}
