//! The errors of the REST endpoints, and the single place that converts them to responses: `{"error": stable code,
//! "message": what happened, "hint": what to do next}`.

use std::time::Duration;

use actix_web::{
    HttpResponse, ResponseError,
    error::{JsonPayloadError, PayloadError, QueryPayloadError, UrlencodedError},
    http::{StatusCode, header},
};
use chrono::TimeDelta;
use serde_json::{error::Category, json};

mod body;
mod log_info;

pub(crate) use self::{body::ErrorBody, log_info::ErrorLogInfo};

use super::{body_encoding::UnsupportedEncoding, single_user::Indirect};
use crate::{
    auth::{AuthError, KeyRuleError, TooMany},
    crypto::CryptoError,
    domain::error_chain,
    oauth::{AccessError, ServerError},
    session::{CallError, ConnectError, QueueWait},
    store::{KEY_NAME_LIMIT, StoreError},
    tools::{LinkError, UnknownName},
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

/// Endpoints that were elsewhere in the TypeScript server that this gateway replaces.
#[derive(Debug)]
pub(crate) enum Moved {
    /// The old OAuth callback; contains the current redirect URI.
    Callback(String),
    /// The old SSE transport; contains the current MCP endpoint.
    Transport(String),
}

impl ApiError {
    /// Returns what the request's log line records. The cause of a 5xx is logged only there, once.
    pub(crate) fn log_info(&self, body: &ErrorBody) -> ErrorLogInfo {
        ErrorLogInfo { code: body.code, cause: body.status.is_server_error().then(|| error_chain(self)) }
    }

    /// Returns the `WWW-Authenticate` challenge of the response (RFC 6750 section 3).
    fn challenge(&self) -> Option<&'static str> {
        match self {
            // Without credentials the challenge names no error.
            Self::NoKey | Self::SingleUserTokenRequired => Some(r#"Bearer realm="ownerrez-gateway""#),
            Self::InsufficientScope => Some(r#"Bearer realm="ownerrez-gateway", error="insufficient_scope""#),
            Self::BadKey
            | Self::KeyExpired
            | Self::AccessTokenNotHere
            | Self::AccessToken(AccessError::Invalid | AccessError::Expired | AccessError::WrongAudience) => {
                Some(r#"Bearer realm="ownerrez-gateway", error="invalid_token""#)
            }
            Self::BadMetricsToken => Some(r#"Bearer realm="metrics""#),
            Self::RegistrationTokenRequired => Some(r#"Bearer realm="registration""#),
            _ => None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.error_body().status
    }

    fn error_response(&self) -> HttpResponse {
        let body = self.error_body();
        let mut response = HttpResponse::build(body.status);
        response.extensions_mut().insert(self.log_info(&body));
        if let Some(wait) = body.retry_after {
            response.insert_header((header::RETRY_AFTER, wait.num_seconds().max(1).to_string()));
        }
        if let Some(challenge) = self.challenge() {
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        response
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(json!({"error": body.code, "message": body.message, "hint": body.hint}))
    }
}

impl From<JsonPayloadError> for ApiError {
    fn from(error: JsonPayloadError) -> Self {
        match error {
            JsonPayloadError::ContentType => Self::WrongContentType,
            JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => Self::TooLarge,
            JsonPayloadError::Payload(error) => error.into(),
            JsonPayloadError::Deserialize(error) => Self::BadRequest(describe_json_error(&error)),
            _ => Self::BadRequest("The body could not be read.".to_owned()),
        }
    }
}

/// Describes why a body is not the JSON that was expected. The messages about members come from [`domain::member`].
///
/// [`domain::member`]: crate::domain::member
fn describe_json_error(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => "The JSON in the body is incomplete.".to_owned(),
        Category::Syntax | Category::Io => {
            format!(
                "The body is not valid JSON: the first error is in line {}, column {}.",
                error.line(),
                error.column()
            )
        }
        Category::Data => {
            let (text, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
            let words = text.strip_suffix(&place).unwrap_or(&text);
            format!("The body is not valid for this endpoint: {words}.")
        }
    }
}

impl From<PayloadError> for ApiError {
    fn from(error: PayloadError) -> Self {
        match error {
            PayloadError::Overflow => Self::TooLarge,
            _ => Self::BadRequest("The body could not be read.".to_owned()),
        }
    }
}

impl From<UrlencodedError> for ApiError {
    fn from(error: UrlencodedError) -> Self {
        match error {
            UrlencodedError::Overflow { .. } => Self::TooLarge,
            UrlencodedError::ContentType => Self::WrongContentType,
            _ => Self::BadRequest("The form could not be read.".to_owned()),
        }
    }
}

impl From<QueryPayloadError> for ApiError {
    fn from(_: QueryPayloadError) -> Self {
        Self::BadRequest("The query of this URL is not valid.".to_owned())
    }
}
