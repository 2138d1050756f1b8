//! Why a call has no answer. The texts for people and models are made at the edge (`http`); here stand the facts.

use chrono::TimeDelta;

use super::budget::Refusal;
use crate::{
    catalog::Unreadable,
    crypto::CryptoError,
    domain::AccountId,
    store::StoreError,
    upstream::{Refused, RefusedKind, TokenError, TransportError},
};

/// A call that did not end in an answer of OwnerRez's.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The user has no OwnerRez connection.
    #[error("no OwnerRez account is connected")]
    NotConnected,
    /// OwnerRez ended the grant; the user must connect again.
    #[error("OwnerRez ended the connection")]
    NeedsReconnect,
    /// Too many calls of this user wait already.
    #[error("too many calls are waiting")]
    Busy,
    /// No answer within the call's deadline.
    #[error("the call was not answered within its deadline")]
    Deadline {
        /// It was a write and had been sent.
        write_may_have_happened: bool,
    },
    /// The caller went away.
    #[error("the caller went away")]
    Cancelled,
    /// The shared allowance did not let the call through.
    #[error("the OwnerRez allowance did not let the call through: {0:?}")]
    Allowance(Refusal),
    /// OwnerRez gave no usable answer.
    #[error("{error}")]
    Transport {
        /// What happened.
        error: TransportError,
        /// It was a write and had been sent.
        write_may_have_happened: bool,
    },
    /// OwnerRez refused.
    #[error("OwnerRez refused with status {}", .0.status)]
    Refused(Refused),
    /// The tokens could not be renewed for now.
    #[error("the tokens could not be renewed: {0}")]
    Refresh(TokenError),
    /// The tokens could not be renewed a moment ago, and the next attempt is made after this time. Nothing was sent.
    #[error("the tokens could not be renewed; the next attempt is made in {} s", .0.num_seconds().max(1))]
    RefreshPaused(TimeDelta),
    /// Another process is renewing the tokens.
    #[error("another process is renewing the tokens")]
    RefreshElsewhere,
    /// The database is away or broken.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The stored tokens do not open.
    #[error("{0}")]
    Crypto(#[from] CryptoError),
    /// The user's session ended over this call.
    #[error("the user's session ended unexpectedly")]
    SessionLost {
        /// It was a write and had been sent.
        write_may_have_happened: bool,
    },
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    ShuttingDown,
}

impl From<Unreadable> for CallError {
    /// For what only reads.
    fn from(Unreadable { status }: Unreadable) -> Self {
        Self::Transport { error: TransportError::NotJson { status }, write_may_have_happened: false }
    }
}

impl CallError {
    /// The stable code: on the wire, in logs and in counters.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::NeedsReconnect => "needs_reconnect",
            Self::Busy => "busy",
            Self::Allowance(refusal) => refusal.code(),
            Self::Refused(refused) => match refused.kind {
                RefusedKind::Throttled => "ownerrez_throttled",
                RefusedKind::Unavailable => "ownerrez_unavailable",
                _ => "ownerrez_refused",
            },
            Self::Deadline { .. } | Self::Transport { .. } | Self::RefreshPaused(_) => "ownerrez_unavailable",
            Self::Refresh(error) => error.code(),
            Self::RefreshElsewhere | Self::ShuttingDown | Self::Cancelled => "try_again",
            Self::Store(StoreError::Unavailable(_)) => "database_unavailable",
            Self::Store(StoreError::Damaged(_)) => "database_damaged",
            Self::Store(_) | Self::Crypto(_) | Self::SessionLost { .. } => "internal_error",
        }
    }

    /// Of a write: whether it may have been carried out all the same.
    pub fn write_may_have_happened(&self) -> bool {
        match self {
            Self::Deadline { write_may_have_happened }
            | Self::Transport { write_may_have_happened, .. }
            | Self::SessionLost { write_may_have_happened } => *write_may_have_happened,
            Self::Refused(refused) => refused.kind == RefusedKind::Unavailable,
            _ => false,
        }
    }

    /// Whether it is a fault of this gateway's own, whose cause belongs into the log.
    pub fn is_our_fault(&self) -> bool {
        self.code() == "internal_error"
    }

    /// The same error, knowing whether a write may have been carried out.
    pub(super) fn with_outcome(self, may_have_happened: bool) -> Self {
        match self {
            Self::SessionLost { .. } => Self::SessionLost { write_may_have_happened: may_have_happened },
            other => other,
        }
    }
}

/// An authorization that did not become a connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A working connection is there already; nothing was exchanged.
    #[error("an OwnerRez account is already connected")]
    AlreadyConnected,
    /// Too many connection attempts, or the allowance is spent.
    #[error("the OwnerRez allowance did not let the attempt through: {0:?}")]
    Allowance(Refusal),
    /// The code was not redeemed.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// The database is away or broken.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The tokens could not be sealed.
    #[error("{0}")]
    Crypto(#[from] CryptoError),
    /// OwnerRez did not say whose account it is, so nobody can be signed in by it.
    #[error("OwnerRez did not name the account")]
    Unnamed,
    /// An operator keeps the user out who would be signed in.
    #[error("the user is disabled")]
    Disabled,
    /// This account signs in no user yet, and new users are not taken.
    #[error("registration is closed, and OwnerRez account {0} has not signed in before")]
    NewUser(AccountId),
    /// The session ended, or the gateway stops.
    #[error("the attempt was interrupted")]
    Interrupted,
}
