//! SHA-256 of secrets, as bytes and in hexadecimal.

use ring::digest;

use super::hex::hex;

/// Returns the SHA-256 of a secret, which identifies the secret without storing it.
pub fn sha256(secret: &[u8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
    out
}

/// Returns the SHA-256 in hex, under which random 256-bit secrets are stored and looked up. At that length no salt is
/// needed.
pub fn sha256_hex(secret: &str) -> String {
    hex(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}
