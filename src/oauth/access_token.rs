//! Access tokens: signed claims, so that most requests need no database to validate them. The claims are not encrypted,
//! and they contain no secrets: ids, a scope, an audience and two times.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    crypto::MacKey,
    domain::{GrantId, Scope, UserId},
};

/// The prefix of every access token, by which leaked tokens are recognised.
pub(super) const PREFIX: &str = "ownerrez_at_";
/// The maximum length in bytes.
const LIMIT: usize = 4096;

/// The claims of an access token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Claims {
    pub(super) grant: GrantId,
    pub(super) user: UserId,
    pub(super) scope: Scope,
    /// The resource that the token is valid for.
    pub(super) audience: String,
    pub(super) issued_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct WireClaims {
    g: Uuid,
    u: Uuid,
    s: Scope,
    aud: String,
    iat: i64,
    life: i64,
}

/// Writes and reads access tokens.
pub(super) struct AccessTokens<'a>(pub(super) &'a MacKey);

impl AccessTokens<'_> {
    pub(super) fn write(&self, claims: &Claims) -> SecretString {
        let Claims { grant, user, scope, audience, issued_at, expires_at } = claims;
        let written = WireClaims {
            g: grant.0,
            u: user.0,
            s: *scope,
            aud: audience.clone(),
            iat: issued_at.timestamp(),
            life: (*expires_at - *issued_at).num_seconds(),
        };
        let payload = URL_SAFE_NO_PAD.encode(serde_json::json!(written).to_string());
        let signature = self.0.sign(&[PREFIX, &payload]);
        format!("{PREFIX}{payload}.{signature}").into()
    }

    /// Returns the claims of a token with a valid signature. Does not check whether the token is still valid.
    pub(super) fn read(&self, token: &str) -> Option<Claims> {
        if token.len() > LIMIT {
            return None;
        }
        let (payload, signature) = token.strip_prefix(PREFIX)?.split_once('.')?;
        if !self.0.verify(&[PREFIX, payload], signature) {
            return None;
        }
        let written: WireClaims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let issued_at = DateTime::from_timestamp_secs(written.iat)?;
        Some(Claims {
            grant: GrantId(written.g),
            user: UserId(written.u),
            scope: written.s,
            audience: written.aud,
            issued_at,
            expires_at: issued_at.checked_add_signed(TimeDelta::try_seconds(written.life)?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn claims() -> Claims {
        Claims {
            grant: GrantId(Uuid::from_u128(1)),
            user: UserId(Uuid::from_u128(2)),
            scope: Scope::Read,
            audience: "https://gateway.example/mcp".to_owned(),
            issued_at: DateTime::UNIX_EPOCH,
            expires_at: DateTime::UNIX_EPOCH + TimeDelta::hours(1),
        }
    }

    #[test]
    fn a_token_says_what_was_written() {
        let signer = MacKey::ephemeral().unwrap();
        let token = AccessTokens(&signer).write(&claims());
        assert_eq!(AccessTokens(&signer).read(token.expose_secret()), Some(claims()));
        let other = MacKey::ephemeral().unwrap();
        assert_eq!(AccessTokens(&other).read(token.expose_secret()), None, "of another key");
    }

    proptest! {
        #[test]
        fn one_changed_character_is_noticed(at in 0usize..400, with in "[0-9A-Za-z_.-]") {
            let signer = MacKey::ephemeral().unwrap();
            let token = AccessTokens(&signer).write(&claims());
            let mut text = token.expose_secret().to_owned();
            let at = at % text.len();
            prop_assume!(text.get(at..=at) != Some(with.as_str()));
            text.replace_range(at..=at, &with);
            prop_assert_eq!(AccessTokens(&signer).read(&text), None);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(ownerrez_at_)?\\PC{0,90}") {
            let signer = MacKey::ephemeral().unwrap();
            prop_assert_eq!(AccessTokens(&signer).read(&text), None);
        }
    }
}
