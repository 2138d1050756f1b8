//! Clients' public keys (RFC 7517) and signature verification with ring. jsonwebtoken's own back ends would add a
//! second crypto provider.

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result as JwtResult},
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Map, Value};
use signature::Verifier;
use url::Url;

use super::{document_cache::ParseContext, document_problem::DocumentProblem};

/// The supported signing algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 and 2048 bits or more.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl SigningAlgorithm {
    /// All supported algorithms.
    pub const ALL: [Self; 2] = [Self::Rs256, Self::Es256];

    /// Returns the algorithm's name in JOSE (RFC 7518 3.1).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    pub(super) fn named(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::RS256 => Some(Self::Rs256),
            Algorithm::ES256 => Some(Self::Es256),
            _ => None,
        }
    }

    pub(super) fn jose(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Es256 => Algorithm::ES256,
        }
    }
}

/// The members of a public key that are used. All others are dropped before a key is stored.
const PUBLIC_MEMBERS: &[&str] = &["kty", "kid", "use", "alg", "key_ops", "n", "e", "crv", "x", "y"];
/// Members that only a private key has (RFC 7518 6.2.2, 6.3.2, 6.4.1).
const PRIVATE_MEMBERS: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
const MAX_KEYS: usize = 32;

/// The keys of a client that can verify a signature; never empty.
#[derive(Clone, Debug)]
pub struct KeySet {
    /// The JWK Set as it was given, with the used members only.
    given: Value,
    keys: Vec<PublicKey>,
}

#[derive(Clone, Debug)]
pub(super) struct PublicKey {
    pub(super) id: Option<String>,
    pub(super) algorithm: SigningAlgorithm,
    pub(super) key: DecodingKey,
}

impl KeySet {
    /// Parses a JWK Set. Ignores keys for other purposes; `None` if no key is left, or if the set contains a private
    /// key.
    pub(super) fn read(jwks: &Value) -> Option<Self> {
        let given = jwks.get("keys")?.as_array().filter(|keys| keys.len() <= MAX_KEYS)?;
        let (mut kept, mut keys) = (Vec::new(), Vec::new());
        for jwk in given {
            let members = jwk.as_object()?;
            if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
                return None;
            }
            let public: Map<String, Value> = PUBLIC_MEMBERS
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), members.get(*name)?.clone())))
                .collect();
            let public = Value::Object(public);
            if let Some(key) = PublicKey::read(&public) {
                keys.push(key);
                kept.push(public);
            }
        }
        let given = serde_json::json!({ "keys": kept });
        (!keys.is_empty()).then_some(Self { given, keys })
    }

    /// Returns the keys as a JWK Set.
    pub(super) fn to_json(&self) -> &Value {
        &self.given
    }

    /// Returns the keys that could have made a signature with this algorithm and `kid`. A key without an id matches any
    /// `kid`.
    pub(super) fn candidates(&self, algorithm: SigningAlgorithm, id: Option<&str>) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().filter(move |key| {
            key.algorithm == algorithm && (id.is_none() || key.id.is_none() || key.id.as_deref() == id)
        })
    }
}

impl PublicKey {
    fn read(jwk: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(jwk.clone()).ok()?;
        let (algorithm, named) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (SigningAlgorithm::Rs256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                (SigningAlgorithm::Es256, KeyAlgorithm::ES256)
            }
            _ => return None,
        };
        let common = &jwk.common;
        let fits = common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
            && common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify))
            && common.key_algorithm.is_none_or(|own| own == named);
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        fits.then(|| Self { id: jwk.common.key_id.clone(), algorithm, key })
    }
}

/// Parses a fetched key set.
pub(super) fn read(_: &ParseContext, _: &Url, body: &[u8]) -> Result<KeySet, DocumentProblem> {
    let jwks: Value = serde_json::from_slice(body).map_err(|_| DocumentProblem::NoKeys)?;
    KeySet::read(&jwks).ok_or(DocumentProblem::NoKeys)
}

/// Installs ring as jsonwebtoken's crypto provider. It can be set once per process; further calls have no effect.
pub(super) fn install_crypto_provider() {
    static RING: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        verifier_factory,
        // Used only for thumbprints and for keys in DER format, neither of which is needed.
        key_utils: KeyUtils::new_unimplemented(),
    };
    let _ = RING.install_default();
}

fn verifier_factory(algorithm: &Algorithm, key: &DecodingKey) -> JwtResult<Box<dyn JwtVerifier>> {
    let algorithm = SigningAlgorithm::named(*algorithm).ok_or(ErrorKind::UnsupportedAlgorithm)?;
    if algorithm.jose().family() != key.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(RingVerifier { algorithm, key: key.clone() }))
}

struct RingVerifier {
    algorithm: SigningAlgorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match (self.algorithm, self.key.kind()) {
            (SigningAlgorithm::Rs256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (SigningAlgorithm::Es256, DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            _ => Err(ring::error::Unspecified),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm.jose()
    }
}
