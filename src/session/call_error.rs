//! Errors of calls, as facts. `tools` writes the texts for models, `http` those for users.

use chrono::TimeDelta;

use crate::{
    allowance::AllowanceError,
    catalog::UnreadableResponse,
    crypto::CryptoError,
    domain::ErrorCode,
    store::StoreError,
    upstream::{TokenError, TransportError, UpstreamError, UpstreamErrorClass},
};

/// Reasons for which a call has no successful response.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The user has no OwnerRez connection.
    #[error("no OwnerRez account is connected")]
    NotConnected,
    /// OwnerRez ended the grant; the user must connect again.
    #[error("OwnerRez ended the connection")]
    NeedsReconnect,
    /// Too many calls of this user are waiting.
    #[error("too many calls are waiting")]
    Busy,
    /// No response within the call's deadline.
    #[error("the call exceeded its deadline")]
    Deadline {
        /// Whether it was a write that had been sent.
        write_may_have_happened: bool,
    },
    /// The caller went away.
    #[error("the caller cancelled the call or disconnected")]
    Cancelled,
    /// The shared allowance refused the call.
    #[error("the rate limiter rejected the call: {0:?}")]
    Allowance(AllowanceError),
    /// OwnerRez gave no usable response.
    #[error("{error}")]
    Transport {
        /// The transport error.
        error: TransportError,
        /// Whether it was a write that had been sent.
        write_may_have_happened: bool,
    },
    /// OwnerRez rejected the request.
    #[error("OwnerRez rejected the request with status {}", .0.status)]
    Upstream(UpstreamError),
    /// The tokens could not be refreshed for now.
    #[error("cannot refresh the tokens: {0}")]
    Refresh(TokenError),
    /// A refresh failed a moment ago, and the next attempt is made after this time. Nothing was sent.
    #[error("cannot refresh the tokens; next attempt in {} s", .0.num_seconds().max(1))]
    RefreshPaused(TimeDelta),
    /// Another process is refreshing the tokens.
    #[error("another process is refreshing the tokens")]
    RefreshElsewhere,
    /// The database is unavailable or damaged.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The stored tokens cannot be decrypted.
    #[error("{0}")]
    Crypto(#[from] CryptoError),
    /// The user's session ended during this call.
    #[error("the user's session ended unexpectedly")]
    SessionLost {
        /// Whether it was a write that had been sent.
        write_may_have_happened: bool,
    },
    /// The gateway is shutting down.
    #[error("the gateway is stopping")]
    ShuttingDown,
}

impl From<UnreadableResponse> for CallError {
    /// For reads only.
    fn from(UnreadableResponse { status }: UnreadableResponse) -> Self {
        Self::Transport { error: TransportError::NotJson { status }, write_may_have_happened: false }
    }
}

impl CallError {
    /// Returns the stable error code for the wire, logs and metrics.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotConnected => ErrorCode::NotConnected,
            Self::NeedsReconnect => ErrorCode::NeedsReconnect,
            Self::Busy => ErrorCode::Busy,
            Self::Allowance(refusal) => refusal.code(),
            Self::Upstream(error) => match error.kind.class() {
                UpstreamErrorClass::Throttled => ErrorCode::OwnerRezThrottled,
                UpstreamErrorClass::Unavailable => ErrorCode::OwnerRezUnavailable,
                UpstreamErrorClass::TokenRefused | UpstreamErrorClass::RequestRefused => ErrorCode::OwnerRezRefused,
            },
            Self::Deadline { .. } | Self::Transport { .. } | Self::RefreshPaused(_) => ErrorCode::OwnerRezUnavailable,
            Self::Refresh(error) => error.code(),
            Self::RefreshElsewhere | Self::ShuttingDown | Self::Cancelled => ErrorCode::TryAgain,
            Self::Store(StoreError::Unavailable(_)) => ErrorCode::DatabaseUnavailable,
            Self::Store(StoreError::Damaged(_)) => ErrorCode::DatabaseDamaged,
            Self::Store(_) | Self::Crypto(_) | Self::SessionLost { .. } => ErrorCode::InternalError,
        }
    }

    /// Returns whether a write may have been carried out despite the error.
    pub fn write_may_have_happened(&self) -> bool {
        match self {
            Self::Deadline { write_may_have_happened }
            | Self::Transport { write_may_have_happened, .. }
            | Self::SessionLost { write_may_have_happened } => *write_may_have_happened,
            Self::Upstream(error) => error.kind.class() == UpstreamErrorClass::Unavailable,
            Self::NotConnected
            | Self::NeedsReconnect
            | Self::Busy
            | Self::Allowance(_)
            | Self::RefreshPaused(_)
            | Self::Refresh(_)
            | Self::RefreshElsewhere
            | Self::ShuttingDown
            | Self::Cancelled
            | Self::Store(_)
            | Self::Crypto(_) => false,
        }
    }

    /// Returns whether it is an internal error, whose cause must be logged.
    pub fn is_our_fault(&self) -> bool {
        self.code() == ErrorCode::InternalError
    }

    /// Returns the same error, with the knowledge of whether a write may have been carried out.
    pub(super) fn with_outcome(self, may_have_happened: bool) -> Self {
        match self {
            Self::SessionLost { .. } => Self::SessionLost { write_may_have_happened: may_have_happened },
            other => other,
        }
    }
}
