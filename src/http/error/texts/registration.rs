//! The texts of refused registrations.

use actix_web::http::StatusCode;

use crate::{domain::ErrorCode, http::error::body::ErrorBody};

pub(super) fn closed() -> ErrorBody {
    ErrorBody::new(
        StatusCode::FORBIDDEN,
        ErrorCode::RegistrationClosed,
        "This gateway does not accept new users.",
        "Ask the operator of the gateway. Operators: REGISTRATION_MODE controls registration.",
    )
}

pub(super) fn token_required() -> ErrorBody {
    ErrorBody::new(
        StatusCode::UNAUTHORIZED,
        ErrorCode::RegistrationTokenRequired,
        "Registration on this gateway requires a registration token.",
        "Ask the operator of the gateway for the token and send it as `Authorization: Bearer …`.",
    )
}
