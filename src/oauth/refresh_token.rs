//! The format of refresh tokens.

use secrecy::{ExposeSecret, SecretString};

use crate::crypto::{self, CryptoError};

/// The prefix of every refresh token, by which leaked tokens are recognised.
const REFRESH_PREFIX: &str = "ownerrez_rt_";

/// A refresh token: `ownerrez_rt_`, a part that all tokens of the grant share, a dot, and an individual part. With the
/// shared part, a token is recognised as replaced however many successors it has had, and one row is enough for all of
/// them.
pub(super) struct RefreshToken {
    pub(super) token: SecretString,
    family: SecretString,
}

impl RefreshToken {
    /// Generates a token of this family.
    pub(super) fn of(family: SecretString) -> Result<Self, CryptoError> {
        let own = crypto::random_token()?;
        let token = format!("{REFRESH_PREFIX}{}.{}", family.expose_secret(), own.expose_secret());
        Ok(Self { token: token.into(), family })
    }

    /// Returns the shared part of a token. Tokens of older versions have none.
    pub(super) fn family_of(token: &str) -> Option<&str> {
        token.strip_prefix(REFRESH_PREFIX)?.split_once('.').map(|(family, _)| family)
    }

    /// Returns the SHA-256 of the token in hexadecimal.
    pub(super) fn hash(&self) -> String {
        crypto::sha256_hex(self.token.expose_secret())
    }

    /// Returns the SHA-256 of the shared part in hexadecimal.
    pub(super) fn family_hash(&self) -> String {
        crypto::sha256_hex(self.family.expose_secret())
    }
}

/// Generates the shared part of a new grant's refresh tokens.
pub(super) fn new_family() -> Result<SecretString, CryptoError> {
    crypto::random_token()
}
