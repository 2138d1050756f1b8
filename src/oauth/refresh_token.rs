//! What a refresh token looks like.

use secrecy::{ExposeSecret, SecretString};

use crate::crypto::{self, CryptoError};

/// How every refresh token begins, so that leaks are recognised.
const REFRESH_PREFIX: &str = "ownerrez_rt_";

/// A refresh token: `ownerrez_rt_`, the part that all tokens of its grant share, a point, and a part of its own. The shared
/// part lets a token be recognised as replaced however many successors it has had, and needs one row for all of them.
pub(super) struct RefreshToken {
    pub(super) token: SecretString,
    family: SecretString,
}

impl RefreshToken {
    /// Makes a token of this family.
    pub(super) fn of(family: SecretString) -> Result<Self, CryptoError> {
        let own = crypto::random_token()?;
        let token = format!("{REFRESH_PREFIX}{}.{}", family.expose_secret(), own.expose_secret());
        Ok(Self { token: token.into(), family })
    }

    /// The shared part of a token. Tokens of older versions have none.
    pub(super) fn family_of(token: &str) -> Option<&str> {
        token.strip_prefix(REFRESH_PREFIX)?.split_once('.').map(|(family, _)| family)
    }

    /// SHA-256 of the token in hexadecimal.
    pub(super) fn hash(&self) -> String {
        crypto::digest_hex(self.token.expose_secret())
    }

    /// SHA-256 of the shared part in hexadecimal.
    pub(super) fn family_hash(&self) -> String {
        crypto::digest_hex(self.family.expose_secret())
    }
}

/// The shared part of a new grant's refresh tokens.
pub(super) fn new_family() -> Result<SecretString, CryptoError> {
    crypto::random_token()
}
