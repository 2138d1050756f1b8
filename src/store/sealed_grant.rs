//! An authorization of OwnerRez, encrypted.

use chrono::{DateTime, Utc};

use crate::domain::{AccountId, Sealed, TokenKind};

/// A new authorization, encrypted.
#[derive(Clone, Debug)]
pub struct SealedGrant {
    /// The OwnerRez account, if known.
    pub account: Option<AccountId>,
    /// Its tokens.
    pub tokens: SealedTokens,
}

/// The tokens of an authorization or a refresh, encrypted.
#[derive(Clone, Debug)]
pub struct SealedTokens {
    /// How the access token is sent.
    pub kind: TokenKind,
    /// The access token.
    pub access: Sealed,
    /// The refresh token, if there is one.
    pub refresh: Option<Sealed>,
    /// When the tokens were issued.
    pub obtained_at: DateTime<Utc>,
    /// The expiry time of the access token, if known.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the background sweep may refresh the tokens.
    pub renew_at: Option<DateTime<Utc>>,
}
