//! Rate limits per source, for requests that cost resources and prove nothing: invalid keys, registrations, tokens.
//!
//! All counts are in memory, bounded, and per process: with several processes each allows as much.

mod failed_key_limiter;
mod fixed_window_counter;
mod large_body_limiter;
mod oauth_limits;
mod registration_limiter;
mod too_many;
mod wrong_token_limiter;

pub(crate) use self::{failed_key_limiter::FailedKeyLimiter, too_many::TooMany};
pub use self::{
    large_body_limiter::LargeBodyLimiter, oauth_limits::OAuthLimits, registration_limiter::RegistrationLimiter,
    wrong_token_limiter::WrongTokenLimiter,
};
