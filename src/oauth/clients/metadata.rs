//! Client metadata (RFC 7591 2), registered or published: the members that are used here, and their validation.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{
    super::scopes::Scopes,
    client_authentication::{ClientAuthentication, KeySource},
    document_url::document_url,
    keys::{KeySet, SigningAlgorithm},
    metadata_problem::{MAX_REDIRECT_URIS, MetadataProblem},
};
use crate::domain::{BadRedirectUri, RedirectPolicy, RedirectUri, plain_name};

/// The maximum length of a client's name, in characters.
const NAME_LIMIT: usize = 80;

/// The members that are used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Metadata {
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Value>,
    pub(super) client_name: Option<String>,
    pub(super) redirect_uris: Option<Vec<String>>,
    pub(super) grant_types: Option<Vec<String>>,
    pub(super) response_types: Option<Vec<String>>,
    pub(super) scope: Option<String>,
    pub(super) token_endpoint_auth_method: Option<String>,
    /// OpenID Connect Relying Party Metadata Choices: with this member ChatGPT declares that it also works without
    /// keys.
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub(super) token_endpoint_auth_signing_alg: Option<String>,
    pub(super) jwks: Option<Value>,
    pub(super) jwks_uri: Option<String>,
}

impl Metadata {
    /// Returns the sanitised single-line name; `None` if nothing is left.
    pub(super) fn name(&self) -> Option<String> {
        plain_name(self.client_name.as_deref()?, NAME_LIMIT)
    }

    /// Returns each redirect URI in order, valid or invalid; never an empty list.
    pub(super) fn redirect_uris(
        &self,
        policy: &RedirectPolicy,
    ) -> Result<Vec<Result<RedirectUri, BadRedirectUri>>, MetadataProblem> {
        let texts = self.redirect_uris.as_deref().unwrap_or_default();
        match texts.len() {
            0 => Err(MetadataProblem::NoRedirectUris),
            1..=MAX_REDIRECT_URIS => Ok(texts.iter().map(|text| policy.admit(text)).collect()),
            _ => Err(MetadataProblem::ManyRedirectUris),
        }
    }

    /// Checks that the requested flow is supported. Unsupported values are ignored next to supported ones.
    pub(super) fn check_flow(&self) -> Result<(), MetadataProblem> {
        let lacks = |asked: &Option<Vec<String>>, needed: &str| {
            asked.as_ref().is_some_and(|asked| !asked.is_empty() && asked.iter().all(|one| one != needed))
        };
        if lacks(&self.grant_types, "authorization_code") {
            return Err(MetadataProblem::GrantTypes);
        }
        if lacks(&self.response_types, "code") {
            return Err(MetadataProblem::ResponseTypes);
        }
        Ok(())
    }

    /// Returns whether refresh tokens are requested, by grant type or by scope. A missing list of grant types means
    /// `authorization_code` (RFC 7591 section 2).
    pub(super) fn refreshes(&self) -> bool {
        let listed = self.grant_types.iter().flatten().any(|one| one == "refresh_token");
        listed || self.asked_scopes().is_some_and(|scopes| scopes.offline)
    }

    /// Returns the known scopes of the requested ones; `None` if no scopes are requested.
    fn asked_scopes(&self) -> Option<Scopes> {
        let words = self.scope.as_deref().filter(|words| !words.trim().is_empty())?;
        Scopes::parse(words).ok()
    }

    /// Returns the scopes to register: the known ones of those requested, or all that fit the grant types.
    pub(super) fn scopes(&self) -> Scopes {
        Scopes { offline: self.refreshes(), ..self.asked_scopes().unwrap_or(Scopes::ALL) }
    }

    /// Returns the authentication method. With `replaces_secrets`, a client that requests a client secret becomes a
    /// public client (RFC 7591 3.2.1 allows this; the response reports it). Today's clients request a secret by default
    /// and also work without one.
    pub(super) fn authentication(&self, replaces_secrets: bool) -> Result<ClientAuthentication, MetadataProblem> {
        let offered = || {
            let more = self.token_endpoint_auth_methods_supported.iter().flatten();
            self.token_endpoint_auth_method.iter().chain(more).map(String::as_str)
        };
        let offers = |method: &str| offered().any(|one| one == method);
        let allows_none = offers("none");
        if offers("private_key_jwt") {
            match (self.keys()?, allows_none) {
                (Some(keys), _) => {
                    let algorithms = self.algorithms()?;
                    return Ok(ClientAuthentication::PrivateKeyJwt { keys, algorithms, allows_none });
                }
                (None, true) => return Ok(ClientAuthentication::None),
                (None, false) => return Err(MetadataProblem::Keys),
            }
        }
        let wants_secret = offers("client_secret_post") || offers("client_secret_basic");
        if allows_none || offered().next().is_none() || (replaces_secrets && wants_secret) {
            return Ok(ClientAuthentication::None);
        }
        Err(MetadataProblem::Authentication)
    }

    fn keys(&self) -> Result<Option<KeySource>, MetadataProblem> {
        match (&self.jwks, &self.jwks_uri) {
            (Some(_), Some(_)) => Err(MetadataProblem::Keys),
            (Some(jwks), None) => {
                let keys = KeySet::read(jwks).ok_or(MetadataProblem::Jwks)?;
                Ok(Some(KeySource::Inline(Arc::new(keys))))
            }
            (None, Some(uri)) => Ok(Some(KeySource::Uri(document_url(uri).map_err(MetadataProblem::JwksUri)?))),
            (None, None) => Ok(None),
        }
    }

    fn algorithms(&self) -> Result<Vec<SigningAlgorithm>, MetadataProblem> {
        match self.token_endpoint_auth_signing_alg.as_deref() {
            None => Ok(SigningAlgorithm::ALL.to_vec()),
            Some(name) => {
                let named = SigningAlgorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name);
                Ok(vec![named.ok_or(MetadataProblem::SigningAlgorithm)?])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oauth::clients::document_url::BadDocumentUrl;

    fn metadata(json: Value) -> Metadata {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn names_are_shown_plain() {
        for (given, shown) in [
            ("ChatGPT", Some("ChatGPT")),
            ("  Visual\tStudio \n Code ", Some("Visual Studio Code")),
            ("Cla\u{202e}ude\u{200b}", Some("Claude")),
            ("\u{7}\u{feff}", None),
            ("", None),
        ] {
            assert_eq!(metadata(json!({"client_name": given})).name().as_deref(), shown, "{given:?}");
        }
        let long = metadata(json!({"client_name": "a".repeat(5000)})).name().unwrap();
        assert_eq!(long.len(), NAME_LIMIT);
    }

    #[test]
    fn what_a_client_is_registered_with() {
        let both = json!(["authorization_code", "refresh_token"]);
        for (given, refreshes, scopes) in [
            (json!({}), false, "ownerrez:read ownerrez:full"),
            (json!({"grant_types": ["authorization_code"]}), false, "ownerrez:read ownerrez:full"),
            (json!({"grant_types": both}), true, "ownerrez:read ownerrez:full offline_access"),
            (json!({"scope": "claudeai"}), false, "ownerrez:read ownerrez:full"),
            (json!({"scope": " ", "grant_types": both}), true, "ownerrez:read ownerrez:full offline_access"),
            (json!({"scope": "ownerrez:read"}), false, "ownerrez:read"),
            (json!({"scope": "ownerrez:read", "grant_types": both}), true, "ownerrez:read offline_access"),
            (json!({"scope": "ownerrez:read offline_access"}), true, "ownerrez:read offline_access"),
        ] {
            let read = metadata(given.clone());
            assert_eq!((read.refreshes(), read.scopes().to_string().as_str()), (refreshes, scopes), "{given}");
        }
    }

    #[test]
    fn how_a_client_authenticates() {
        let keys = || json!("https://client.example.com/jwks.json");
        for (given, replaces_secrets, expected) in [
            (json!({}), false, Ok("none")),
            (json!({"token_endpoint_auth_method": "none"}), false, Ok("none")),
            (json!({"token_endpoint_auth_method": "client_secret_post"}), true, Ok("none")),
            (json!({"token_endpoint_auth_method": "client_secret_basic"}), true, Ok("none")),
            (json!({"token_endpoint_auth_method": "client_secret_post"}), false, Err(MetadataProblem::Authentication)),
            (json!({"token_endpoint_auth_method": "tls_client_auth"}), true, Err(MetadataProblem::Authentication)),
            (json!({"token_endpoint_auth_method": "private_key_jwt"}), true, Err(MetadataProblem::Keys)),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": keys()}),
                false,
                Ok("private_key_jwt"),
            ),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": keys(),
                    "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]}),
                false,
                Ok("private_key_jwt or none"),
            ),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt",
                    "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]}),
                false,
                Ok("none"),
            ),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": keys(), "jwks": {"keys": []}}),
                false,
                Err(MetadataProblem::Keys),
            ),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}}),
                false,
                Err(MetadataProblem::Jwks),
            ),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://10.0.0.1/jwks"}),
                false,
                Err(MetadataProblem::JwksUri(BadDocumentUrl::Address)),
            ),
            (
                json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": keys(),
                    "token_endpoint_auth_signing_alg": "HS256"}),
                false,
                Err(MetadataProblem::SigningAlgorithm),
            ),
        ] {
            let told = metadata(given.clone()).authentication(replaces_secrets).map(|way| match way {
                ClientAuthentication::None => "none",
                ClientAuthentication::PrivateKeyJwt { allows_none: false, .. } => "private_key_jwt",
                ClientAuthentication::PrivateKeyJwt { allows_none: true, .. } => "private_key_jwt or none",
            });
            assert_eq!(told, expected, "{given}");
        }
    }
}
