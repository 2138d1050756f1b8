//! The caller of `/mcp`: an API key, an OAuth client that a user signed in to, or the single user.

use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, ResponseError,
    dev::Payload,
    error::InternalError,
    http::{
        StatusCode,
        header::{HeaderValue, WWW_AUTHENTICATE},
    },
    web,
};
use zeroize::Zeroizing;

use crate::{
    domain::Principal,
    http::{
        error::ApiError,
        extract::{bearer::bearer, single_user},
        middleware::request_logger::RequestContext,
        oauth,
        quoted_string::quoted_string,
        state::HttpState,
    },
    oauth::{AccessTokenValidator, OAuthSettings, RESOURCE_SCOPES},
};

/// Any caller of `/mcp`. The challenge in errors says where clients learn how to sign in (RFC 9728 section 5.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct McpCaller(pub(crate) Principal);

impl FromRequest for McpCaller {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let Some(state) = request.app_data::<web::Data<HttpState>>() else {
                return Err(ApiError::NotFound.into());
            };
            match check(state, &request).await {
                Ok(caller) => {
                    if let Some(context) = RequestContext::of(&request) {
                        context.caller(&caller);
                    }
                    Ok(Self(caller))
                }
                Err(error) => Err(error_with_challenge(state, &request, error)),
            }
        })
    }
}

async fn check(state: &HttpState, request: &HttpRequest) -> Result<Principal, ApiError> {
    if let Some(caller) = single_user::caller(state, request) {
        return caller;
    }
    let text = bearer(request).map(|text| Zeroizing::new(text.to_owned()))?;
    if AccessTokenValidator::is_token(&text) {
        let access = state.access.as_ref().ok_or(ApiError::BadKey)?;
        return Ok(access.validate(&text, request.path()).await?);
    }
    let source = state.settings.source_of(request);
    Ok(state.keys.authenticate(&text, source).await?.into_caller())
}

/// Returns the error response, with a challenge that leads clients to the sign-in.
pub(in crate::http) fn error_with_challenge(
    state: &HttpState,
    request: &HttpRequest,
    error: ApiError,
) -> actix_web::Error {
    let mut response: HttpResponse = error.error_response();
    let said = match (&error, response.status()) {
        // RFC 6750 section 3.1: without credentials the challenge names no error.
        (ApiError::NoKey, _) => Some(None),
        (_, StatusCode::UNAUTHORIZED) => Some(Some("invalid_token")),
        (ApiError::GrantTooSmall, _) => Some(Some("insufficient_scope")),
        _ => None,
    };
    if let Some(server) = &state.oauth
        && let Some(said) = said
        && let Some(challenge) = challenge(server.settings(), request.path(), said)
    {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    InternalError::from_response(error, response).into()
}

/// Returns the challenge, or `None` for a path that no header can contain; then the error's own challenge is sent.
fn challenge(settings: &OAuthSettings, path: &str, error: Option<&str>) -> Option<HeaderValue> {
    let error = error.map_or(String::new(), |error| format!(r#"error="{error}", "#));
    // The client chose the path. In a URL, a path contains neither quotes nor backslashes (RFC 3986 section 3.3).
    let path = path.replace('"', "%22").replace('\\', "%5C");
    let metadata = quoted_string(&format!("{}{path}", settings.url(oauth::RESOURCE_METADATA_PATH)))?;
    // Names all scopes: with the read scope only, a client does not see the tools that would make it ask for more.
    let scope = RESOURCE_SCOPES.join(" ");
    HeaderValue::from_str(&format!(r#"Bearer {error}resource_metadata={metadata}, scope="{scope}""#)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> OAuthSettings {
        OAuthSettings {
            issuer: "https://gateway.example".to_owned(),
            identity_issuer: "https://ownerrez.example".into(),
            access_lifetime: chrono::TimeDelta::hours(1),
            refresh_lifetime: chrono::TimeDelta::hours(1),
            sign_in_lifetime: chrono::TimeDelta::hours(1),
            allows_new_users: true,
        }
    }

    #[test]
    fn a_path_stays_within_its_quotes() {
        let told = |path: &str| challenge(&settings(), path, None).map(|value| value.to_str().unwrap().to_owned());
        let plain = told("/mcp/x/guests").unwrap();
        assert!(plain.contains(r#"oauth-protected-resource/mcp/x/guests", scope="#), "{plain}");
        let evil = told(r#"/mcp/x/a", error="x", b="\"#).unwrap();
        assert!(evil.contains(r#"/mcp/x/a%22, error=%22x%22, b=%22%5C", scope="#), "{evil}");
        assert_eq!(evil.matches('"').count(), 4, "{evil}");
        assert_eq!(told("/mcp/x/a\nb"), None);
    }
}
