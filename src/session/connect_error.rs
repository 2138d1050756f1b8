//! Errors of attempts to connect an account, as facts.

use crate::{
    allowance::AllowanceError, crypto::CryptoError, domain::AccountId, store::StoreError, upstream::TokenError,
};

/// Reasons for which an authorization did not become a connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A working connection exists; nothing was exchanged.
    #[error("an OwnerRez account is already connected")]
    AlreadyConnected,
    /// Too many connection attempts, or the allowance is spent.
    #[error("the rate limiter rejected the attempt: {0:?}")]
    Allowance(AllowanceError),
    /// The code was not redeemed.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// The database is unavailable or damaged.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The tokens could not be encrypted.
    #[error("{0}")]
    Crypto(#[from] CryptoError),
    /// OwnerRez did not name the account, so no user can be signed in.
    #[error("OwnerRez did not return an account id")]
    Unnamed,
    /// An operator has disabled the user that would be signed in.
    #[error("the user is disabled")]
    Disabled,
    /// The account has no user yet, and registration is closed.
    #[error("registration is not open, and OwnerRez account {0} has not signed in before")]
    NewUser(AccountId),
    /// The session ended, or the gateway is shutting down.
    #[error("the attempt was interrupted")]
    Interrupted,
}
