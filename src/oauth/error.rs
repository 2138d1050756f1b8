//! What an authorization server refuses, in the words of RFC 6749 (4.1.2.1 and 5.2), RFC 7591 and RFC 8707.

use chrono::TimeDelta;
use url::Url;

use super::{
    clients::{ClientError, ClientErrorCode},
    flow::ServerError,
};
use crate::domain::RedirectPlace;

/// The answer of an authorization endpoint, on its way to the client by way of the browser.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirection {
    /// Where the client waits.
    pub redirect_uri: String,
    /// What it sent to recognise the answer by.
    pub state: Option<String>,
}

impl Redirection {
    /// Where the browser goes: the redirect URI with these parameters, the client's state and our name (RFC 9207).
    pub fn url(&self, parameters: &[(&str, &str)], issuer: &str) -> Option<String> {
        let mut url = Url::parse(&self.redirect_uri).ok()?;
        url.query_pairs_mut()
            .extend_pairs(parameters)
            .extend_pairs(self.state.as_deref().map(|state| ("state", state)))
            .append_pair("iss", issuer);
        Some(url.into())
    }
}

/// An authorization request that cannot be shown to anybody for their consent.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// Who asks, or where the answer would go, is not known for sure: only the person at the browser is told.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// The client did not register this redirect URI.
    #[error("{0}")]
    RedirectUri(String),
    /// The client gets the answer.
    #[error("{error}")]
    Refused {
        /// The way of the answer.
        to: Redirection,
        /// Who gets it, for people.
        place: RedirectPlace,
        /// Whether the browser goes there without being asked. Only for clients that the operator has named: everyone can
        /// register a client and send people a link with an error in it, and would have an open redirector
        /// (RFC 9700 section 4.11.2).
        goes_back_by_itself: bool,
        /// Why.
        error: OAuthError,
    },
}

/// A refusal that goes to the client.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// Something is missing, repeated or malformed.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// Who asks is not known, or did not prove it.
    #[error("{0}")]
    InvalidClient(String),
    /// The code or refresh token is not good, or not this client's.
    #[error("{0}")]
    InvalidGrant(&'static str),
    /// No scope that exists, or more than was granted.
    #[error("the scopes here are ownerrez:read, ownerrez:full and offline_access, and no more than was granted")]
    InvalidScope,
    /// A resource that is not ours, or another one than was granted.
    #[error("the resource must be /mcp of this gateway or a path below it, and within what was granted")]
    InvalidTarget,
    /// Another way to a token than those two.
    #[error("the grant type must be authorization_code or refresh_token")]
    UnsupportedGrantType,
    /// Another kind of answer than a code.
    #[error("the response type must be code")]
    UnsupportedResponseType,
    /// The person said no, or may not sign in.
    #[error("{0}")]
    AccessDenied(String),
    /// Not now.
    #[error("{message}")]
    Unavailable {
        /// What is away.
        message: String,
        /// When to ask again.
        retry_after: TimeDelta,
        /// For the log, if it is our doing.
        cause: Option<String>,
    },
    /// A fault of ours.
    #[error("the gateway failed on this request")]
    Server {
        /// For the log.
        cause: String,
    },
}

impl OAuthError {
    /// The code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient(_) => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::AccessDenied(_) => "access_denied",
            Self::Unavailable { .. } => "temporarily_unavailable",
            Self::Server { .. } => "server_error",
        }
    }

    /// Words for `error_description`, which takes printable ASCII but `"` and `\` (RFC 6749, 5.2).
    pub fn description(&self) -> String {
        let fits = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
        self.to_string().chars().map(|c| if fits(c) { c } else { '?' }).collect()
    }

    /// Why, if it is not the client's doing.
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
        let cause = crate::domain::chain(&error);
        if error.is_database_away() {
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
            ClientErrorCode::ServerError => Self::Server { cause: crate::domain::chain(&error) },
        }
    }
}
