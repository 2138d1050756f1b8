//! Tokens that programs send in a header.

use secrecy::SecretString;

use super::errors::Problem;

/// How to create a token, for every text that asks for one.
pub(super) const MAKE_A_TOKEN: &str = "generate one with `openssl rand -hex 32`";
/// Shorter tokens could be guessed.
const TOKEN_LENGTH: usize = 16;

pub(super) fn header_token(text: &str) -> Result<SecretString, Problem> {
    let good = text.len() >= TOKEN_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(text.into()) } else { Err(Problem::new("it is too short, or not a valid header value", MAKE_A_TOKEN)) }
}
