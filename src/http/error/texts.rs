//! The response to each error: status, stable code, message, and a hint what to do next. `http::api::ready`,
//! `http::api::webhook` and `http::oauth` have their own form.

mod allowance;
mod bodies;
mod calls;
mod connecting;
mod credentials;
mod database;
mod internal;
mod keys;
mod origins;
mod reconnect;
mod registration;
mod requests;
mod tokens;
mod too_many;

use super::{api_error::ApiError, body::ErrorBody};

impl ApiError {
    /// Maps every error to its response, in one exhaustive match.
    pub(crate) fn error_body(&self) -> ErrorBody {
        match self {
            Self::NoKey => credentials::missing_key(),
            Self::BadKey => credentials::bad_key(),
            Self::KeyExpired => credentials::expired_key(),
            Self::Disabled => credentials::disabled(),
            Self::AccessToken(error) => credentials::access_token(error),
            Self::AccessTokenNotHere => credentials::access_token_not_here(),
            Self::GrantTooSmall => credentials::grant_too_small(),
            Self::InsufficientScope => credentials::insufficient_scope(),
            Self::SingleUserTokenRequired => credentials::single_user_token_required(),
            Self::BadMetricsToken => credentials::bad_metrics_token(),
            Self::LastKey => keys::last_key(),
            Self::TooManyKeys(most) => keys::too_many_keys(*most),
            Self::NoSuchKey => keys::no_such_key(),
            Self::KeyCheckBusy(wait) => keys::check_busy(*wait),
            Self::RegistrationClosed => registration::closed(),
            Self::RegistrationTokenRequired => registration::token_required(),
            Self::TooMany(refusal) => too_many::limit(refusal),
            Self::NotFound => requests::not_found(),
            Self::MethodNotAllowed(allow) => requests::method_not_allowed(allow),
            Self::BadRequest(what) => requests::bad_request(what),
            Self::UnknownName(unknown) => requests::unknown_name(unknown),
            Self::NotAcceptable => requests::not_acceptable(),
            Self::WrongContentType => bodies::wrong_content_type(),
            Self::UnsupportedEncoding(form) => bodies::unsupported_encoding(*form),
            Self::TooLarge => bodies::too_large(),
            Self::BodyTimedOut(limit) => bodies::timed_out(*limit),
            Self::TooManyUnfinished(limit) => bodies::too_many_unfinished(*limit),
            Self::TooManyBytes => bodies::too_many_bytes(),
            Self::Stopping => bodies::stopping(),
            Self::HostNotAllowed => origins::host_not_allowed(),
            Self::OriginNotAllowed => origins::origin_not_allowed(),
            Self::NotDirect(why) => origins::not_direct(why),
            Self::Starting => requests::starting(),
            Self::Moved(moved) => requests::moved(moved),
            Self::PersonalTokensOff => connecting::personal_tokens_off(),
            Self::AlreadyConnected => connecting::already_connected(),
            Self::WaitsToConnect(waits) => connecting::waits(*waits),
            Self::NotConfigured => connecting::not_configured(),
            Self::Call(error) => calls::failed(error),
            Self::Connect(error) => connecting::failed(error),
            Self::Store(error) => database::store(error),
            Self::Crypto(_) => internal::internal(),
        }
    }
}
