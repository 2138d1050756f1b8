//! Identifies callers: API keys, limits on callers that prove nothing, and the rules for keys. Names no type of
//! actix-web; `http` reads the credentials from requests, and turns `AuthError` into responses.
//!
//! Access tokens are validated in `oauth`, which also issues them.

mod api_key_authenticator;
mod bcrypt_queue;
mod bcrypt_runner;
mod error;
mod key_caller;
mod key_issuing;
mod key_locks;
mod key_rules;
mod key_settings;
mod limits;
mod lookup_id;
mod mutex;
mod predecessors;
mod presented;
mod round_robin;
mod single_user;
mod source_address;

pub use self::{
    api_key_authenticator::ApiKeyAuthenticator,
    key_settings::KeySettings,
    limits::{LargeBodyLimiter, OAuthLimits, RegistrationLimiter, WrongTokenLimiter},
    single_user::SingleUser,
};
pub(crate) use self::{
    error::AuthError,
    key_caller::KeyCaller,
    key_issuing::NewKeyRequest,
    key_rules::{KEYS_PER_USER, KeyRuleError, validate_expiry, validate_name},
    limits::TooMany,
    source_address::{Network48, SourceAddress},
};
