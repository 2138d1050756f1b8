//! A client that signs: test keys, and JWTs made with them.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
    },
};
use serde_json::{Value, json};

/// A 2048-bit RSA key that was made for these tests and protects nothing.
const RSA: &str = "\
     MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDL9guZ4lsqKSsF/O0QLtixHZChrQo/Ufoxs2MRgqqzCDP6RUSv\
     15Ic5ZLBz9mz5V6DANFJFy+2gOQRzNq9mDhziZ+cNbmPx2jZWW/EGSRxaaHrZAe9n7z/y1e6xloqpPEEu/FJR9RsSnUvN2sPs8Vk\
     6CiwKxmhYaBbZxsFxAofGHItKd3Mh5Nv/WaKnmUmtLdxtFwcsrG4B/OEBKXIKfPfjvaDef+1eP7PpW5FQXxXtvGyw/LWK6z4b32r\
     MVr+vhjFe1muIqNSZqDOX+vXQXxQYMJ92BKn3o6wE8ULhe7ME7EEqKVBBZKvco5j1i+0ztYUo2UJSOblmkhcfNH8vW9NAgMBAAEC\
     ggEACySUS+W5DjScPgIsVPmPjuS1t3TVlu48gI/zeaFtcf4Sg48hrfmqzIzo9BhjXjQ7joIAe0+MiDamBkS1g/Rl6D9ZA6UWbGuY\
     i0dUCS1IPqLYh45WltAt+IR8WEmvqoE01F8pGimWAynji0m4Pd/Q3ktQtN1tDJlhtA5xi38Yjnax9gUJ2pK/p+gXaLeqKW02pKmX\
     Xe/SmoaJZgYHQ87Ul2+H2taiyT0ubiLEJlkjmVCULvwQc8yU55DpwYvoDn+/+qb5WFOlPor5H6UvZpJ0RdgZKML9gGa5Rz10g5+7\
     w3IRZDcWAoDB+8bfTM4iteYppA2wOQiOzQ1tTsPPl9MUgQKBgQD18YhWUuMAZdXaEHnaLfvusMUTTT5yPjWHbwUheMol0wpO+I/5\
     aABIEfqP2o6NnV7ttbk62lJsCKMOauRxg883geTpQ9/aArY1GOGXchGCcy3etWo1G5ZFhdaSr70YyMXuK7oKLv+lkyu38M5rn6Ly\
     jdW3ZZTw6m8U1b4zT8p6GwKBgQDUTQ2U+gNNgt0cb2eUC6RxCmM9Fh8sLYmwVPm8jVl7/wEE3OGNDGS3thUYvogFTiDmyMgnNwo0\
     T3panE4BRLwEfhHU4dUjBZF+RT+7h+ILco79JLt2mbVKM0p3LNTUAY1aCmhIJPy1LO42aKnduYatqf9TrFqtgizgKPwBHeLStwKB\
     gCqv/Hj3M/1Kr56Ew5GR76tTNTGPc6pCj+ns5BgWLgf4pE5mqB6i5YGc1T+IsLt1uBdMNlU3tZyYtyx2cyYcuaepvQCbzku5ssRu\
     iCFQJCffM/P2yvNi0WdJvp+BLzIRDwGyxzyjQa4MaEcp3boiYBb3dUO6tupF1nfoTXX8gGlHAoGBAInN6j8FehdaFoRam/UxCXCG\
     uZvxPBLFDFb1EZYeejNOdy7c4VtY7BeDjXYeVtR6vkiPk7xAsdL6tAUU6F1SbGjOHGz+mga9mo9IC/KCZWvg1Ifky/pUE6UyXee1\
     pgBncYU8tCwANji0DXwru/c8cftQGXgKrGFr2g03DTz8VTtJAoGANaVE6/fm1bn6mFMATqy1RFOpq58OrI/rrC0vtNNekhe8t2Gf\
     r5mX5MZtB/W8HH1X7Aj5KJDlF1X44kQ3bZ6IkzQJ2DI4kCmMHLMjQHUe6hr2Ot+0uDj+ZkZ9u5XppEhaE4OU5B9QkHx2BSExAjdC\
     DkbLyuxf3nji7mj4yfxtw8U=";

/// A key pair.
pub(crate) enum Signer {
    Rs256(Box<RsaKeyPair>),
    Es256(Box<EcdsaKeyPair>),
}

impl Signer {
    /// Returns the fixed key.
    pub(crate) fn rs256() -> Self {
        Self::Rs256(Box::new(RsaKeyPair::from_pkcs8(&STANDARD.decode(RSA).unwrap()).unwrap()))
    }

    /// Generates a new key.
    pub(crate) fn es256() -> Self {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random).unwrap();
        Self::Es256(Box::new(pair))
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rs256(_) => "RS256",
            Self::Es256(_) => "ES256",
        }
    }

    /// Returns the public key as a JWK.
    pub(crate) fn jwk(&self, id: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rs256(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "kid": id, "use": "sig", "alg": "RS256", "n": text(&public.n), "e": text(&public.e)})
            }
            Self::Es256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "kid": id, "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])})
            }
        }
    }

    /// Returns a JWK set with only this key.
    pub(crate) fn jwks(&self, id: &str) -> Value {
        json!({"keys": [self.jwk(id)]})
    }

    /// Returns a JWT with this header and these claims.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = match self {
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Es256(pair) => pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
