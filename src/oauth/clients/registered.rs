//! Dynamic Client Registration (RFC 7591) without a table: the issued client id contains the whole encrypted
//! registration. So any number of registrations fills no storage.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::{
    client::{CLIENT_ID_LIMIT, Client, ClientId, ClientKind},
    client_authentication::{ClientAuthentication, KeySource},
    client_error::ClientError,
    keys::{KeySet, SigningAlgorithm},
    metadata::Metadata,
    metadata_problem::MetadataProblem,
    registration_error::RegistrationError,
};
use crate::{
    crypto::{CryptoError, EncryptionContext, KeyRing},
    domain::{RedirectPolicy, Sealed},
};

/// The prefix of these client ids.
const PREFIX: &str = "dcr_";
/// The second one is only for clients that request refresh tokens.
const GRANT_TYPES: [&str; 2] = ["authorization_code", "refresh_token"];
const UNNAMED: &str = "Unnamed client";

/// The response to a registration, 201 (RFC 7591 3.2.1). Requested values that are not granted are omitted or replaced.
#[derive(Clone, Debug, Serialize)]
pub struct Registered {
    /// Up to 2048 URL-safe characters.
    pub client_id: String,
    /// Seconds since 1970.
    pub client_id_issued_at: i64,
    /// The sanitised name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// The redirect URIs as they were sent.
    pub redirect_uris: Vec<String>,
    /// `none` or `private_key_jwt`.
    pub token_endpoint_auth_method: &'static str,
    /// The signing algorithm, if the client requested one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<&'static str>,
    /// `authorization_code`, and `refresh_token` if the client requested refresh tokens.
    pub grant_types: Vec<&'static str>,
    /// Always `code`.
    pub response_types: [&'static str; 1],
    /// The known scopes of those requested; if none of them is known, all that fit the grant types.
    pub scope: String,
    /// The public keys, if the client sent them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// The URL of the public keys, if the client sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
}

/// The content of a client id. The field names are short to save characters.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(rename = "i")]
    issued_at: i64,
    #[serde(rename = "e")]
    expires_at: i64,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "r")]
    redirect_uris: Vec<String>,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    algorithm: Option<String>,
    #[serde(rename = "w", default, skip_serializing_if = "std::ops::Not::not")]
    allows_none: bool,
    /// Whether the grant type `refresh_token` is not listed. Earlier registrations lack this field and count as listing
    /// it.
    #[serde(rename = "o", default, skip_serializing_if = "std::ops::Not::not")]
    without_refresh: bool,
}

/// A decrypted registration that has not expired.
pub(super) struct Registration {
    pub(super) client: Client,
    pub(super) expires_at: DateTime<Utc>,
}

/// Returns whether this has the format of a registered client id.
pub(super) fn is_registered(client_id: &str) -> bool {
    client_id.starts_with(PREFIX)
}

/// Validates and encrypts a registration.
pub(super) fn register(
    ring: &KeyRing,
    metadata: &Value,
    policy: &RedirectPolicy,
    lifetime: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Registered, RegistrationError> {
    let metadata = Some(metadata).filter(|metadata| metadata.is_object());
    let metadata = metadata.and_then(|metadata| Metadata::deserialize(metadata).ok());
    let metadata = metadata.ok_or(RegistrationError::Metadata(MetadataProblem::Form))?;
    metadata.check_flow().map_err(RegistrationError::Metadata)?;
    let uris = metadata.redirect_uris(policy).map_err(RegistrationError::Metadata)?;
    let mut redirect_uris = Vec::new();
    for (at, uri) in uris.into_iter().enumerate() {
        let uri = uri.map_err(|problem| RegistrationError::RedirectUri { place: at + 1, problem })?;
        redirect_uris.push(uri.as_str().to_owned());
    }
    let mut record = Record {
        issued_at: now.timestamp(),
        expires_at: (now + lifetime).timestamp(),
        name: metadata.name(),
        redirect_uris,
        jwks: None,
        jwks_uri: None,
        algorithm: None,
        allows_none: false,
        without_refresh: !metadata.refreshes(),
    };
    let mut method = "none";
    let mut algorithm = None;
    if let ClientAuthentication::PrivateKeyJwt { keys, algorithms, allows_none } =
        metadata.authentication(true).map_err(RegistrationError::Metadata)?
    {
        method = "private_key_jwt";
        record.allows_none = allows_none;
        match keys {
            KeySource::Inline(keys) => record.jwks = Some(keys.to_json().clone()),
            KeySource::Uri(uri) => record.jwks_uri = Some(uri.into()),
        }
        if let [only] = algorithms[..] {
            algorithm = Some(only.as_str());
            record.algorithm = algorithm.map(str::to_owned);
        }
    }
    let plain = serde_json::to_string(&record).map_err(|_| CryptoError::Corrupt)?;
    let sealed = ring.seal(EncryptionContext::ClientId, &SecretString::from(plain))?;
    let client_id = format!("{PREFIX}{}", sealed.0);
    if client_id.len() > CLIENT_ID_LIMIT {
        return Err(RegistrationError::Metadata(MetadataProblem::TooLarge));
    }
    let Record { issued_at, name, redirect_uris, jwks, jwks_uri, .. } = record;
    Ok(Registered {
        client_id,
        client_id_issued_at: issued_at,
        client_name: name,
        redirect_uris,
        token_endpoint_auth_method: method,
        token_endpoint_auth_signing_alg: algorithm,
        grant_types: if metadata.refreshes() { GRANT_TYPES.to_vec() } else { vec![GRANT_TYPES[0]] },
        response_types: ["code"],
        scope: metadata.scopes().to_string(),
        jwks,
        jwks_uri,
    })
}

/// Decrypts a client id. Redirect URIs that the current configuration no longer permits are dropped.
pub(super) fn open(
    ring: &KeyRing,
    client_id: &str,
    policy: &RedirectPolicy,
    now: DateTime<Utc>,
) -> Result<Registration, ClientError> {
    let sealed = client_id.strip_prefix(PREFIX).ok_or(ClientError::Unknown)?;
    // Encrypted with a key that this deployment no longer has, or invented: in both cases the client has to register.
    let plain = ring.open(EncryptionContext::ClientId, &Sealed(sealed.to_owned())).map_err(|_| ClientError::Unknown)?;
    let record: Record = serde_json::from_str(plain.expose_secret()).map_err(|_| ClientError::Unknown)?;
    let expires_at = DateTime::from_timestamp_secs(record.expires_at).ok_or(ClientError::Unknown)?;
    if now >= expires_at {
        return Err(ClientError::Expired);
    }
    let client = Client {
        id: ClientId(Arc::from(client_id)),
        authentication: authentication(&record).ok_or(ClientError::Unknown)?,
        redirect_uris: record.redirect_uris.iter().filter_map(|text| policy.admit(text).ok()).collect(),
        refreshes: !record.without_refresh,
        name: record.name.unwrap_or_else(|| UNNAMED.to_owned()),
        kind: ClientKind::Registered,
    };
    Ok(Registration { client, expires_at })
}

fn authentication(record: &Record) -> Option<ClientAuthentication> {
    let keys = match (&record.jwks, &record.jwks_uri) {
        (Some(jwks), _) => KeySource::Inline(Arc::new(KeySet::read(jwks)?)),
        (None, Some(uri)) => KeySource::Uri(Url::parse(uri).ok()?),
        (None, None) => return Some(ClientAuthentication::None),
    };
    let named = |algorithm: &SigningAlgorithm| record.algorithm.as_ref().is_none_or(|name| name == algorithm.as_str());
    let algorithms = SigningAlgorithm::ALL.into_iter().filter(named).collect();
    Some(ClientAuthentication::PrivateKeyJwt { keys, algorithms, allows_none: record.allows_none })
}

#[cfg(test)]
mod tests {
    use secrecy::SecretBox;

    use super::*;

    /// Client ids that were issued before the grant types were stored: their clients got refresh tokens and still get
    /// them.
    #[test]
    fn an_earlier_registration_counts_as_one_that_refreshes() {
        let ring = KeyRing::new(&SecretBox::new(Box::new([7; 32]))).unwrap();
        for (record, refreshes) in [
            (r#"{"i": 0, "e": 60, "r": ["https://a.example/cb"]}"#, true),
            (r#"{"i": 0, "e": 60, "r": ["https://a.example/cb"], "o": true}"#, false),
        ] {
            let sealed = ring.seal(EncryptionContext::ClientId, &SecretString::from(record)).unwrap();
            let id = format!("{PREFIX}{}", sealed.0);
            let registration = open(&ring, &id, &RedirectPolicy::default(), DateTime::UNIX_EPOCH).unwrap();
            assert_eq!(registration.client.refreshes, refreshes, "{record}");
        }
    }
}
