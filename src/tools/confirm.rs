//! The user's consent to a write that deletes something permanently or reaches a guest.
//!
//! A client that supports elicitation asks the user by an input-required result (revision 2026-07-28); the state that
//! it returns identifies the write. With other clients, and where the connection chose so, the write takes two steps:
//! the response to the first call describes the effect and contains a token, and the second call sends the token.
//! Tokens are encrypted for their user, are valid for exactly one request, and expire soon.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    crypto::{self, CryptoError, EncryptionContext, KeyRing},
    domain::{ErrorCode, Sealed, UserId},
};

/// The time for a user to answer a question, or for a model to ask its user.
const CONFIRMATION_LIFE: TimeDelta = TimeDelta::minutes(10);
/// A draft may wait a little longer for the user.
const DRAFT_LIFE: TimeDelta = TimeDelta::minutes(30);

/// The origin of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConfirmationKind {
    /// A draft, which the model shows to the user.
    Draft,
    /// The response to a first call.
    #[serde(rename = "told")]
    TwoStep,
    /// A question to the user.
    #[serde(rename = "asked")]
    Elicited,
}

/// The encrypted content of a token.
#[derive(Serialize, Deserialize)]
struct Token {
    #[serde(rename = "way")]
    kind: ConfirmationKind,
    /// Makes two tokens for the same request different.
    nonce: String,
    /// Expiry in Unix time.
    until: i64,
    /// Digest of the request that the token is for.
    request: String,
    /// The arguments of a draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arguments: Option<Map<String, Value>>,
}

/// A valid token.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Consent {
    /// Digest of the request that the token is for.
    pub request: String,
    /// Identifies this token. The write is recorded with it, so that the token allows only one write.
    pub permit: String,
    /// The arguments of a draft.
    pub arguments: Map<String, Value>,
}

/// Why a token or a reply is not consent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// The question was declined.
    Declined,
    /// The question was closed without an answer.
    Cancelled,
    /// The token has expired.
    Expired,
    /// The token was altered, belongs to another user, or is not a token of this kind.
    Invalid,
    /// The token is for another tool or other arguments.
    OtherCall,
}

impl Refusal {
    /// Returns the stable code for logs and metrics.
    pub(super) fn code(self) -> ErrorCode {
        match self {
            Self::Declined => ErrorCode::Declined,
            Self::Cancelled => ErrorCode::NotAnswered,
            Self::Expired => ErrorCode::ConsentExpired,
            Self::Invalid | Self::OtherCall => ErrorCode::ConsentRefused,
        }
    }
}

/// Creates a token for a request and returns it with its expiry time.
pub(super) fn seal(
    ring: &KeyRing,
    user: UserId,
    kind: ConfirmationKind,
    request: &str,
    arguments: Option<Map<String, Value>>,
    now: DateTime<Utc>,
) -> Result<(String, DateTime<Utc>), CryptoError> {
    let until = (now + if kind == ConfirmationKind::Draft { DRAFT_LIFE } else { CONFIRMATION_LIFE }).trunc_subsecs(0);
    let nonce = crypto::random_token()?.expose_secret().chars().take(16).collect();
    let token = Token { kind, nonce, until: until.timestamp(), request: request.to_owned(), arguments };
    let text = serde_json::to_string(&token).map_err(|_| CryptoError::Corrupt)?;
    let Sealed(sealed) = ring.seal(EncryptionContext::Consent(user), &text.into())?;
    Ok((sealed, until))
}

/// Decrypts and validates a token of this user.
pub(super) fn open(
    ring: &KeyRing,
    user: UserId,
    kind: ConfirmationKind,
    sealed: &str,
    now: DateTime<Utc>,
) -> Result<Consent, Refusal> {
    let opened =
        ring.open(EncryptionContext::Consent(user), &Sealed(sealed.to_owned())).map_err(|_| Refusal::Invalid)?;
    let text = opened.expose_secret();
    let token: Token = serde_json::from_str(text).map_err(|_| Refusal::Invalid)?;
    if token.kind != kind {
        return Err(Refusal::Invalid);
    }
    if token.until <= now.timestamp() {
        return Err(Refusal::Expired);
    }
    let arguments = token.arguments.unwrap_or_default();
    Ok(Consent { request: token.request, permit: crypto::sha256_hex(text), arguments })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretBox;
    use uuid::Uuid;

    use super::*;

    fn ring() -> KeyRing {
        KeyRing::new(&SecretBox::new(Box::new([7; 32]))).unwrap()
    }

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    #[test]
    fn a_token_is_good_for_its_user_its_way_and_its_time() {
        for (kind, life) in
            [(ConfirmationKind::Draft, 30), (ConfirmationKind::TwoStep, 10), (ConfirmationKind::Elicited, 10)]
        {
            let (token, until) = seal(&ring(), user(1), kind, "digest", None, NOW).unwrap();
            assert_eq!(until, NOW + TimeDelta::minutes(life));
            let opened = open(&ring(), user(1), kind, &token, until - TimeDelta::seconds(1)).unwrap();
            assert_eq!(opened.request, "digest");
            assert_eq!(open(&ring(), user(1), kind, &token, until), Err(Refusal::Expired));
            assert_eq!(open(&ring(), user(2), kind, &token, NOW), Err(Refusal::Invalid));
            for other in [ConfirmationKind::Draft, ConfirmationKind::TwoStep, ConfirmationKind::Elicited]
                .into_iter()
                .filter(|other| *other != kind)
            {
                assert_eq!(open(&ring(), user(1), other, &token, NOW), Err(Refusal::Invalid));
            }
        }
    }

    #[test]
    fn each_token_allows_a_write_of_its_own() {
        let permit = || {
            let (token, _) = seal(&ring(), user(1), ConfirmationKind::TwoStep, "digest", None, NOW).unwrap();
            open(&ring(), user(1), ConfirmationKind::TwoStep, &token, NOW).unwrap().permit
        };
        assert_ne!(permit(), permit());
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_token(text in ".{0,120}", at in 0usize..400) {
            prop_assert_eq!(open(&ring(), user(1), ConfirmationKind::TwoStep, &text, NOW), Err(Refusal::Invalid));
            let (token, _) = seal(&ring(), user(1), ConfirmationKind::TwoStep, "digest", None, NOW).unwrap();
            let mut bytes = token.into_bytes();
            let at = at % bytes.len();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(open(&ring(), user(1), ConfirmationKind::TwoStep, &altered, NOW), Err(Refusal::Invalid));
        }
    }
}
