//! Validates authorization requests: first the client and the redirect URI, then the rest. Until the first two are
//! verified, errors are only shown to the user at the browser (RFC 6749 section 4.1.2.1).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::{
    authorization_server::AuthorizationServer,
    clients::ClientKind,
    error::{AuthorizeError, OAuthError, Redirection},
    pkce,
    resource::{RESOURCE_PATH, Resource},
    scopes::Scopes,
};
pub use crate::domain::RedirectDestination as Place;

/// The maximum length of a query, in bytes.
const QUERY_LIMIT: usize = 8 * 1024;

/// A validated authorization request, ready to be shown for consent. It is encrypted while the user is at OwnerRez.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// The client id.
    pub client_id: String,
    /// The client's unverified name.
    pub client_name: String,
    /// The redirect URI of the response.
    pub redirect_uri: String,
    /// The client's `state` parameter.
    pub state: Option<String>,
    /// The requested scopes.
    pub scopes: Scopes,
    /// The requested resource.
    pub resource: String,
    /// The PKCE challenge.
    pub code_challenge: String,
}

impl AuthorizationRequest {
    /// Returns the redirect of the response.
    pub fn redirection(&self) -> Redirection {
        Redirection { redirect_uri: self.redirect_uri.clone(), state: self.state.clone() }
    }

    /// Returns the query of `/authorize` that repeats this request.
    pub fn query(&self) -> String {
        let scopes = self.scopes.to_string();
        let given = [
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", &scopes),
            ("resource", &self.resource),
            ("code_challenge", &self.code_challenge),
            ("code_challenge_method", "S256"),
        ];
        let state = self.state.as_deref().map(|state| ("state", state));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(given.into_iter().chain(state)).finish()
    }
}

/// The parameters of a query. Each may occur once (RFC 6749 section 3.1); empty ones count as absent.
struct Parameters {
    values: HashMap<String, String>,
    repeated: Vec<String>,
}

impl Parameters {
    fn read(query: &str) -> Self {
        let (mut values, mut repeated) = (HashMap::new(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
            let (name, value) = (name.into_owned(), value.into_owned());
            // `resource` may occur several times (RFC 8707 section 2). Naming the same one again has no effect.
            if values.get(&name).is_some_and(|known| name != "resource" || *known != value) {
                repeated.push(name);
            } else {
                values.insert(name, value);
            }
        }
        Self { values, repeated }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|_| !self.is_repeated(name))
    }

    fn is_repeated(&self, name: &str) -> bool {
        self.repeated.iter().any(|repeated| repeated == name)
    }
}

impl AuthorizationServer {
    /// Validates the query of `/authorize`. The second value is the recipient of the response, as shown to the user.
    pub async fn request(&self, query: &str) -> Result<(AuthorizationRequest, Place), AuthorizeError> {
        let whole = if query.len() <= QUERY_LIMIT { query } else { "" };
        let parameters = Parameters::read(whole);
        let client = self.0.clients.find(parameters.get("client_id").unwrap_or_default()).await?;
        let target = self.0.clients.redirect(&client, parameters.get("redirect_uri"));
        let target = target.map_err(|problem| AuthorizeError::RedirectUri(problem.to_string()))?;
        let state = parameters.get("state").map(str::to_owned);
        let to = Redirection { redirect_uri: target.uri.clone(), state };
        match self.validate_parameters(&parameters) {
            Ok((mut scopes, resource, code_challenge)) => {
                scopes.offline |= client.refreshes;
                let request = AuthorizationRequest {
                    client_id: client.id.0.to_string(),
                    client_name: client.name,
                    redirect_uri: to.redirect_uri,
                    state: to.state,
                    scopes,
                    resource,
                    code_challenge,
                };
                Ok((request, target.place))
            }
            Err(error) => {
                let redirects_automatically = client.kind == ClientKind::Predefined;
                Err(AuthorizeError::Refused { to, place: target.place, redirects_automatically, error })
            }
        }
    }

    fn validate_parameters(&self, parameters: &Parameters) -> Result<(Scopes, String, String), OAuthError> {
        if parameters.is_repeated("resource") {
            return Err(OAuthError::InvalidTarget);
        }
        if !parameters.repeated.is_empty() {
            return Err(OAuthError::InvalidRequest("a parameter is repeated"));
        }
        match parameters.get("response_type") {
            Some("code") => {}
            None => return Err(OAuthError::InvalidRequest("the response_type is missing")),
            Some(_) => return Err(OAuthError::UnsupportedResponseType),
        }
        if parameters.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(OAuthError::InvalidRequest("the response_mode must be query"));
        }
        let challenge = parameters.get("code_challenge");
        let challenge =
            challenge.ok_or(OAuthError::InvalidRequest("the code_challenge is missing: PKCE is required"))?;
        // A missing method would mean `plain` (RFC 7636 section 4.3).
        if parameters.get("code_challenge_method") != Some("S256") {
            return Err(OAuthError::InvalidRequest("the code_challenge_method must be S256"));
        }
        if !pkce::is_challenge(challenge) {
            return Err(OAuthError::InvalidRequest("the code_challenge is not a valid S256 challenge"));
        }
        let scopes = Scopes::parse(parameters.get("scope").unwrap_or_default());
        let scopes = scopes.map_err(|_| OAuthError::InvalidScope)?;
        let settings = self.settings();
        let resource = match parameters.get("resource") {
            Some(asked) => settings.resource(asked).ok_or(OAuthError::InvalidTarget)?,
            None => Resource { url: settings.url(RESOURCE_PATH), read_only: false },
        };
        Ok((scopes.with_read_only(resource.read_only), resource.url, challenge.to_owned()))
    }
}
