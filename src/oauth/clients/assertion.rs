//! `private_key_jwt`: a client authenticates with a short-lived JWT that it signed for this server (RFC 7523 2.2 and
//! 3).

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;

use super::{
    assertion_problem::AssertionProblem,
    keys::{KeySet, SigningAlgorithm},
};
use crate::domain::JsonObject;

/// The maximum size of an assertion, in bytes.
const SIZE_LIMIT: usize = 4096;
/// The maximum time until the expiry of an assertion.
const MAX_LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// The permitted difference between the two clocks.
const SKEW: TimeDelta = TimeDelta::seconds(30);
/// The maximum number of keys that are tried if an assertion names none.
const MAX_KEYS_TRIED: usize = 4;
const ID_LIMIT: usize = 256;

/// An assertion whose header was parsed.
pub(super) struct Assertion<'a> {
    text: &'a str,
    algorithm: SigningAlgorithm,
    key_id: Option<String>,
}

/// The claims of an assertion.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
    jti: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// A valid assertion that must still be marked as used.
#[derive(Debug)]
pub(super) struct Proof {
    /// The `jti` of the assertion.
    pub(super) id: String,
    /// From this moment on the assertion is rejected as expired.
    pub(super) until: DateTime<Utc>,
}

impl<'a> Assertion<'a> {
    /// Parses the header. `allowed` are the client's algorithms.
    pub(super) fn read(text: &'a str, allowed: &[SigningAlgorithm]) -> Result<Self, AssertionProblem> {
        if text.len() > SIZE_LIMIT {
            return Err(AssertionProblem::Form);
        }
        let header = decode_header(text).map_err(|_| AssertionProblem::Form)?;
        // Critical headers (RFC 7515 4.1.11) are not supported, and neither is `b64` (RFC 7797).
        if header.crit.is_some() || header.extras.inner().contains_key("b64") {
            return Err(AssertionProblem::Form);
        }
        let algorithm = SigningAlgorithm::named(header.alg).filter(|algorithm| allowed.contains(algorithm));
        let algorithm = algorithm.ok_or(AssertionProblem::Algorithm)?;
        // Keys in the header (jwk, jku, x5c, x5u) are not trusted and are ignored.
        Ok(Self { text, algorithm, key_id: header.kid })
    }

    /// Returns whether one of the keys could have signed the assertion.
    pub(super) fn has_candidate_key(&self, keys: &KeySet) -> bool {
        keys.candidates(self.algorithm, self.key_id.as_deref()).next().is_some()
    }

    /// Checks the signature, then the claims.
    pub(super) fn check(
        &self,
        keys: &KeySet,
        client_id: &str,
        audiences: &[String],
        now: DateTime<Utc>,
    ) -> Result<Proof, AssertionProblem> {
        if !self.has_candidate_key(keys) {
            return Err(AssertionProblem::UnknownKey);
        }
        // The times are checked below, with the injected clock.
        let mut signature_only = Validation::new(self.algorithm.jose());
        signature_only.validate_exp = false;
        signature_only.validate_nbf = false;
        signature_only.validate_aud = false;
        signature_only.required_spec_claims.clear();
        let mut problem = AssertionProblem::Signature;
        for key in keys.candidates(self.algorithm, self.key_id.as_deref()).take(MAX_KEYS_TRIED) {
            match decode::<JsonObject<Claims>>(self.text, &key.key, &signature_only) {
                Ok(signed) => return signed.claims.0.check(client_id, audiences, now),
                Err(error) if matches!(error.kind(), jsonwebtoken::errors::ErrorKind::Json(_)) => {
                    problem = AssertionProblem::Form;
                }
                Err(_) => {}
            }
        }
        Err(problem)
    }
}

impl Claims {
    fn check(self, client_id: &str, audiences: &[String], now: DateTime<Utc>) -> Result<Proof, AssertionProblem> {
        let Self { iss, sub, aud, exp, nbf, iat, jti } = self;
        if iss != client_id || sub != client_id {
            return Err(AssertionProblem::Issuer);
        }
        let named = match aud {
            Audience::One(one) => vec![one],
            Audience::Several(several) => several,
        };
        // Another audience could forward the assertion to this server.
        if named.is_empty() || !named.iter().all(|one| audiences.contains(one)) {
            return Err(AssertionProblem::Audience);
        }
        let moment = |seconds: f64| numeric_date(seconds).ok_or(AssertionProblem::Form);
        let expires_at = moment(exp)?;
        if expires_at <= now - SKEW {
            return Err(AssertionProblem::Expired);
        }
        if expires_at > now + MAX_LIFETIME + SKEW {
            return Err(AssertionProblem::TooLong);
        }
        for from in [nbf, iat].into_iter().flatten() {
            if moment(from)? > now + SKEW {
                return Err(AssertionProblem::TooEarly);
            }
        }
        if jti.is_empty() || jti.len() > ID_LIMIT {
            return Err(AssertionProblem::Form);
        }
        Ok(Proof { id: jti, until: expires_at + SKEW })
    }
}

/// Converts a NumericDate, which may have a fraction (RFC 7519 2); `None` outside of the supported range of dates.
fn numeric_date(seconds: f64) -> Option<DateTime<Utc>> {
    let range = 0.0..253_402_300_800.0;
    #[expect(clippy::cast_possible_truncation, reason = "within the range whole seconds fit")]
    range.contains(&seconds).then(|| DateTime::from_timestamp_secs(seconds.trunc() as i64)).flatten()
}
