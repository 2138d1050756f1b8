//! The error of an endpoint.

use std::time::Duration;

use chrono::TimeDelta;

use super::moved::Moved;
use crate::{
    auth::TooMany,
    crypto::CryptoError,
    http::{extract::indirect::Indirect, middleware::body_encoding::UnsupportedEncoding},
    oauth::AccessError,
    session::{CallError, ConnectError, QueueWait},
    store::StoreError,
    tools::UnknownName,
};

/// The error of an endpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("no API key")]
    NoKey,
    #[error("bad API key")]
    BadKey,
    #[error("API key expired")]
    KeyExpired,
    #[error("user disabled")]
    Disabled,
    #[error("{0}")]
    AccessToken(#[from] AccessError),
    #[error("an access token where an API key is required")]
    AccessTokenNotHere,
    #[error("insufficient scope")]
    InsufficientScope,
    #[error("insufficient scope of the grant")]
    GrantTooSmall,
    #[error("the user's last full key")]
    LastKey,
    #[error("too many keys")]
    TooManyKeys(u64),
    #[error("unknown key id")]
    NoSuchKey,
    #[error("personal tokens not allowed")]
    PersonalTokensOff,
    #[error("too many new keys at once")]
    KeyCheckBusy(TimeDelta),
    #[error("{0}")]
    TooMany(#[from] TooMany),
    #[error("registration is closed")]
    RegistrationClosed,
    #[error("missing or wrong registration token")]
    RegistrationTokenRequired,
    #[error("unknown path")]
    NotFound,
    #[error("method not allowed")]
    MethodNotAllowed(&'static str),
    #[error("bad request: {0}")]
    BadRequest(String),
    #[error("{0}")]
    UnknownName(UnknownName),
    #[error("wrong content type")]
    WrongContentType,
    #[error("unsupported form of the body: {0:?}")]
    UnsupportedEncoding(UnsupportedEncoding),
    #[error("no acceptable media type for the response")]
    NotAcceptable,
    #[error("body too large")]
    TooLarge,
    #[error("the body took too long")]
    BodyTimedOut(Duration),
    #[error("too many unfinished requests")]
    TooManyUnfinished(Duration),
    #[error("too many bytes of bodies in progress")]
    TooManyBytes,
    #[error("stopping")]
    Stopping,
    #[error("host not allowed")]
    HostNotAllowed,
    #[error("origin not allowed")]
    OriginNotAllowed,
    #[error("not directly from this machine: {0:?}")]
    NotDirect(Indirect),
    #[error("missing or wrong single-user token")]
    SingleUserTokenRequired,
    #[error("bad metrics token")]
    BadMetricsToken,
    #[error("the gateway is starting")]
    Starting,
    #[error("moved")]
    Moved(Moved),
    #[error("already connected")]
    AlreadyConnected,
    #[error("the attempt to connect is queued")]
    WaitsToConnect(QueueWait),
    #[error("no OwnerRez app configured")]
    NotConfigured,
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Crypto(#[from] CryptoError),
}
