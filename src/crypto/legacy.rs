//! Data of the TypeScript server (the predecessor): its encrypted tokens, which are only decrypted here, and its API
//! keys.

use std::{num::NonZeroU32, sync::OnceLock};

use aes_gcm::{
    AesGcm,
    aead::{AeadInOut, KeyInit, consts::U16},
    aes::Aes256,
};
use ring::pbkdf2;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{api_key::BadApiKey, crypto_error::CryptoError, hex::hex, mac_key::MacKey};
use crate::domain::Sealed;

/// The TypeScript server used 16-byte nonces, which ring does not support.
type Cipher = AesGcm<Aes256, U16>;

const SALT: &[u8] = b"salt";
const ROUNDS: NonZeroU32 = match NonZeroU32::new(100_000) {
    Some(rounds) => rounds,
    None => NonZeroU32::MIN,
};

const KEY_PREFIX: &str = "ownerrez_sk_";
const KEY_BODY_LEN: usize = 48;
const SHOWN_LEN: usize = 16;

/// Returns whether a value has the format of the TypeScript server, `nonce:ciphertext:tag` in hexadecimal. The
/// gateway's own records contain no colon.
pub fn is_legacy_sealed(sealed: &Sealed) -> bool {
    sealed.0.contains(':')
}

/// Decrypts records of the TypeScript server. They name neither their key nor their row.
pub(super) struct LegacyCipher {
    /// The text of `ENCRYPTION_KEY` in the environment. The TypeScript server derived its key from this text.
    variable: SecretString,
    /// Derived at the first record: it costs some 20 ms, once per process, and most deployments never need it.
    cipher: OnceLock<Cipher>,
}

impl LegacyCipher {
    pub(super) fn new(variable: SecretString) -> Self {
        Self { variable, cipher: OnceLock::new() }
    }

    /// Returns `None` if the record was altered or encrypted with another key.
    pub(super) fn open(&self, record: &Record) -> Option<SecretString> {
        let mut text = Zeroizing::new(record.ciphertext.clone());
        self.cipher()
            .decrypt_inout_detached(&record.nonce.into(), b"", text.as_mut_slice().into(), &record.tag.into())
            .ok()?;
        std::str::from_utf8(&text).ok().map(SecretString::from)
    }

    fn cipher(&self) -> &Cipher {
        self.cipher.get_or_init(|| {
            let mut key = Zeroizing::new([0u8; 32]);
            let variable = self.variable.expose_secret().as_bytes();
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, SALT, variable, key.as_mut_slice());
            Cipher::new(&(*key).into())
        })
    }
}

/// A parsed record of the TypeScript server.
pub(super) struct Record {
    nonce: [u8; 16],
    ciphertext: Vec<u8>,
    tag: [u8; 16],
}

impl Record {
    pub(super) fn parse(sealed: &Sealed) -> Result<Self, CryptoError> {
        let mut parts = sealed.0.split(':').map(unhex);
        match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten(), parts.next()) {
            (Some(nonce), Some(ciphertext), Some(tag), None) => Ok(Self {
                nonce: nonce.try_into().map_err(|_| CryptoError::Corrupt)?,
                ciphertext,
                tag: tag.try_into().map_err(|_| CryptoError::Corrupt)?,
            }),
            _ => Err(CryptoError::Corrupt),
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// An API key of the TypeScript server: `ownerrez_sk_` and 48 hexadecimal digits. It has no checksum, so a well-formed
/// key is easy to invent.
#[derive(Clone, Debug)]
pub struct LegacyApiKey(SecretString);

impl LegacyApiKey {
    /// Parses a received key.
    pub fn parse(text: &str) -> Result<Self, BadApiKey> {
        let body = text.strip_prefix(KEY_PREFIX).ok_or(BadApiKey)?;
        let well_formed =
            body.len() == KEY_BODY_LEN && body.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if well_formed { Ok(Self(text.into())) } else { Err(BadApiKey) }
    }

    /// Returns the prefix that the TypeScript server stored for the key. It contains only four random digits, so
    /// several keys may have the same prefix.
    pub fn prefix(&self) -> String {
        // The constructor guarantees a longer ASCII text.
        format!("{}...", self.0.expose_secret().get(..SHOWN_LEN).unwrap_or_default())
    }

    /// Returns the lookup digest of the key, in hexadecimal for the database, once bcrypt has accepted it. `mac_key` is
    /// [`super::KeyRing::legacy_key_mac_key`]. The digest is keyed, so it reveals nothing to a reader of the database;
    /// in addition, the key has 192 random bits.
    pub fn digest(&self, mac_key: &MacKey) -> String {
        hex(&mac_key.digest(self.0.expose_secret()))
    }

    /// Returns the lookup digests that may have been stored under previous encryption keys.
    pub fn previous_digests(&self, mac_key: &MacKey) -> Vec<String> {
        mac_key.previous_digests(self.0.expose_secret()).iter().map(|digest| hex(digest)).collect()
    }

    pub(super) fn text(&self) -> &SecretString {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEALED: &str = "35706cc20996a01301fa81996854e09a:09c1ff4c719667ab59f0a797c2d1d34200d201c310e6ee00ec38f48e98:05094dd471bf25085d5bfad8205b5230";
    const VARIABLE: &str = "Y29weSBtZSBub3Q6IGEga2V5IGZvciB0ZXN0cyBvbmw=";

    fn record(text: &str) -> Record {
        Record::parse(&Sealed(text.to_owned())).unwrap()
    }

    #[test]
    fn what_the_predecessor_sealed_opens() {
        let opener = LegacyCipher::new(VARIABLE.into());
        let opened = opener.open(&record(SEALED)).unwrap();
        assert_eq!(opened.expose_secret(), "at_fixture_1_2af8f22c6cd306af");
        // The key is derived from the text and not from the bytes that the text encodes, so even the padding matters.
        assert!(LegacyCipher::new(VARIABLE.trim_end_matches('=').into()).open(&record(SEALED)).is_none());
    }

    #[test]
    fn an_altered_record_does_not_open() {
        let opener = LegacyCipher::new(VARIABLE.into());
        for at in [0, 33, SEALED.len() - 1] {
            let mut text = SEALED.to_owned();
            let other = if &text[at..=at] == "0" { "1" } else { "0" };
            text.replace_range(at..=at, other);
            assert!(opener.open(&record(&text)).is_none(), "{text}");
        }
    }

    #[test]
    fn its_keys() {
        let text = "ownerrez_sk_87e929b276ffeb16ab008edc4e5c95ba64d1d8a4eb9ab916";
        let key = LegacyApiKey::parse(text).unwrap();
        assert_eq!(key.prefix(), "ownerrez_sk_87e9...");
        assert!(!format!("{key:?}").contains("87e9"));
        for bad in [&text[..59], &text.to_uppercase(), &text.replace('e', "g"), &format!("{text}0"), ""] {
            assert!(LegacyApiKey::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(text in "[0-9a-f:]{0,90}|\\PC{0,40}:\\PC{0,40}") {
            let _ = Record::parse(&Sealed(text.clone()));
            let _ = LegacyApiKey::parse(&text);
        }
    }
}
