//! The predecessor's encryption, which is only reversed.

use std::{num::NonZeroU32, sync::OnceLock};

use aes_gcm::{
    AesGcm,
    aead::{AeadInOut, KeyInit, consts::U16},
    aes::Aes256,
};
use ring::pbkdf2;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::record::Record;

/// The TypeScript server used 16-byte nonces, which ring does not support.
type Cipher = AesGcm<Aes256, U16>;

const SALT: &[u8] = b"salt";
const ROUNDS: NonZeroU32 = match NonZeroU32::new(100_000) {
    Some(rounds) => rounds,
    None => NonZeroU32::MIN,
};

/// Decrypts records of the TypeScript server. They name neither their key nor their row.
pub(crate) struct LegacyCipher {
    /// The text of `ENCRYPTION_KEY` in the environment. The TypeScript server derived its key from this text.
    variable: SecretString,
    /// Derived at the first record: it costs some 20 ms, once per process, and most deployments never need it.
    cipher: OnceLock<Cipher>,
}

impl LegacyCipher {
    /// Creates a cipher from that text.
    pub(crate) fn new(variable: SecretString) -> Self {
        Self { variable, cipher: OnceLock::new() }
    }

    /// Decrypts a record; `None` if it was altered or encrypted with another key.
    pub(crate) fn open(&self, record: &Record) -> Option<SecretString> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Sealed;

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
}
