//! The reasons for which a key is not accepted or not created.

use chrono::TimeDelta;

use super::limits::TooMany;
use crate::{crypto::CryptoError, store::StoreError};

/// A key that is not accepted or not created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// No user has this key, or the key was deleted meanwhile.
    #[error("bad API key")]
    BadKey,
    /// The key has expired.
    #[error("API key expired")]
    KeyExpired,
    /// An operator has disabled the user.
    #[error("user disabled")]
    Disabled,
    /// The user was deleted meanwhile.
    #[error("user deleted")]
    UserGone,
    /// The queue for bcrypt is too long; contains its duration.
    #[error("too many new keys at once")]
    KeyCheckBusy(TimeDelta),
    /// The user has the maximum number of keys, which it contains.
    #[error("too many keys")]
    TooManyKeys(u64),
    /// The source has sent too many invalid keys.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A computation with a key failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}
