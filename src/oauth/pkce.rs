//! PKCE: proof that a code is redeemed by the client that requested it (RFC 7636, S256 only).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::crypto;

/// Returns whether the text is base64url of 32 bytes, the format of an S256 challenge.
pub(super) fn is_challenge(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

/// Returns whether the verifier is well-formed (43 to 128 unreserved characters) and hashes to the challenge.
pub(super) fn verify(verifier: &str, challenge: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(unreserved)
        && crypto::constant_time_eq(&URL_SAFE_NO_PAD.encode(crypto::sha256(verifier.as_bytes())), challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_rfc_holds() {
        assert!(is_challenge(CHALLENGE) && verify(VERIFIER, CHALLENGE));
    }

    #[test]
    fn nothing_else_does() {
        assert!(!verify(CHALLENGE, CHALLENGE), "plain");
        assert!(!verify("short", CHALLENGE) && !verify(&format!("{VERIFIER} "), CHALLENGE));
        assert!(!verify(&VERIFIER.to_lowercase(), CHALLENGE));
        for bad in ["", "E9Mel", &format!("{CHALLENGE}="), &format!("{CHALLENGE}AA"), &CHALLENGE.replace('-', "+")] {
            assert!(!is_challenge(bad), "{bad}");
        }
    }
}
