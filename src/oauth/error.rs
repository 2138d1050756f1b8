//! The errors of the authorization server, with the codes of RFC 6749 (4.1.2.1 and 5.2), RFC 7591 and RFC 8707.

use chrono::TimeDelta;
use url::Url;

use super::{
    clients::{ClientError, ClientErrorCode},
    server_error::ServerError,
};
use crate::domain::{ErrorCode, RedirectDestination};

/// The redirect of an authorization response to the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirection {
    /// The client's redirect URI.
    pub redirect_uri: String,
    /// The `state` parameter of the request.
    pub state: Option<String>,
}

impl Redirection {
    /// Returns the URL of the redirect: the redirect URI with these parameters, the client's state and the issuer (RFC
    /// 9207).
    pub fn url(&self, parameters: &[(&str, &str)], issuer: &str) -> Option<String> {
        let mut url = Url::parse(&self.redirect_uri).ok()?;
        url.query_pairs_mut()
            .extend_pairs(parameters)
            .extend_pairs(self.state.as_deref().map(|state| ("state", state)))
            .append_pair("iss", issuer);
        Some(url.into())
    }
}

/// An authorization request that is rejected before consent.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// The client, and so the recipient of a response, is not verified. Only the user at the browser sees the error.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// The client did not register this redirect URI.
    #[error("{0}")]
    RedirectUri(String),
    /// The error is sent to the client.
    #[error("{error}")]
    Refused {
        /// The redirect with the error.
        to: Redirection,
        /// The recipient, as shown to the user.
        place: RedirectDestination,
        /// Whether the browser is redirected without confirmation. Only for clients that the operator has configured.
        /// Other clients can be registered by anyone, and a link with an error in it would be an open redirector (RFC
        /// 9700 section 4.11.2).
        redirects_automatically: bool,
        /// The error.
        error: OAuthError,
    },
}

/// An error that is sent to the client.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// A parameter is missing, repeated or malformed.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The client is unknown, or its authentication failed.
    #[error("{0}")]
    InvalidClient(String),
    /// The code or refresh token is invalid, or was issued to another client.
    #[error("{0}")]
    InvalidGrant(&'static str),
    /// No known scope, or more than was granted.
    #[error(
        "invalid scope: supported scopes are ownerrez:read, ownerrez:full and offline_access, and a refresh cannot \
         exceed the original grant"
    )]
    InvalidScope,
    /// The resource is not one of the gateway's, or not within the one that was granted.
    #[error(
        "invalid resource: it must be /mcp of this gateway or a path below it, and within the resource that was granted"
    )]
    InvalidTarget,
    /// A grant type other than the two supported ones.
    #[error("the grant type must be authorization_code or refresh_token")]
    UnsupportedGrantType,
    /// A response type other than `code`.
    #[error("the response type must be code")]
    UnsupportedResponseType,
    /// The user refused, or may not sign in.
    #[error("{0}")]
    AccessDenied(String),
    /// A temporary failure.
    #[error("{message}")]
    Unavailable {
        /// The failure, in words for the client.
        message: String,
        /// How long the client should wait.
        retry_after: TimeDelta,
        /// The cause for the log, if the gateway failed.
        cause: Option<String>,
    },
    /// An internal error.
    #[error("the gateway failed to process this request")]
    Server {
        /// The cause for the log.
        cause: String,
    },
}

impl OAuthError {
    /// Returns the error code on the wire.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidRequest(_) => ErrorCode::InvalidRequest,
            Self::InvalidClient(_) => ErrorCode::InvalidClient,
            Self::InvalidGrant(_) => ErrorCode::InvalidGrant,
            Self::InvalidScope => ErrorCode::InvalidScope,
            Self::InvalidTarget => ErrorCode::InvalidTarget,
            Self::UnsupportedGrantType => ErrorCode::UnsupportedGrantType,
            Self::UnsupportedResponseType => ErrorCode::UnsupportedResponseType,
            Self::AccessDenied(_) => ErrorCode::AccessDenied,
            Self::Unavailable { .. } => ErrorCode::TemporarilyUnavailable,
            Self::Server { .. } => ErrorCode::ServerError,
        }
    }

    /// Returns the text of `error_description`, which may contain printable ASCII except `"` and `\` (RFC 6749, 5.2).
    pub fn description(&self) -> String {
        let fits = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
        self.to_string().chars().map(|c| if fits(c) { c } else { '?' }).collect()
    }

    /// Returns the cause for the log, if the gateway failed.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Unavailable { cause, .. } => cause.clone(),
            Self::Server { cause } => Some(cause.clone()),
            _ => None,
        }
    }
}

impl From<ServerError> for OAuthError {
    fn from(error: ServerError) -> Self {
        let cause = crate::domain::error_chain(&error);
        if error.is_database_unavailable() {
            return Self::Unavailable {
                message: "the gateway cannot reach its database; try again in a moment".to_owned(),
                retry_after: TimeDelta::seconds(5),
                cause: Some(cause),
            };
        }
        Self::Server { cause }
    }
}

impl From<ClientError> for OAuthError {
    fn from(error: ClientError) -> Self {
        let words = format!("{error}. {}", error.hint());
        match error.code() {
            ClientErrorCode::InvalidClient => Self::InvalidClient(words),
            ClientErrorCode::InvalidRequest => Self::InvalidRequest("the client_id is malformed"),
            ClientErrorCode::TemporarilyUnavailable => {
                Self::Unavailable { message: words, retry_after: TimeDelta::seconds(60), cause: None }
            }
            ClientErrorCode::ServerError => Self::Server { cause: crate::domain::error_chain(&error) },
        }
    }
}
