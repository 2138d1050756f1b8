//! `/token`, `/revoke` and `/register`: the endpoints that clients call without a browser.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use bytes::Bytes;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::responses::{json_error, no_store, oauth_error};
use crate::{
    domain::{ErrorCode, error_chain},
    http::state::HttpState,
    oauth::{AuthorizationServer, OAuthError, Revocation, TokenForm, clients::RegistrationError},
};

/// `POST /token` (RFC 6749 sections 4.1.3 and 6)
pub(super) async fn token(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
    form: web::Form<TokenForm>,
) -> HttpResponse {
    if let Err(refusal) = check_limits(&state, &server, &request, &form).await {
        return refusal;
    }
    match server.token(&form).await {
        Ok(tokens) => {
            let mut body = json!({
                "access_token": tokens.access.expose_secret(),
                "token_type": "Bearer",
                "expires_in": tokens.access_lifetime.num_seconds(),
                "scope": tokens.scopes.to_string(),
            });
            if let Some(refresh) = &tokens.refresh {
                body["refresh_token"] = json!(refresh.expose_secret());
            }
            no_store(StatusCode::OK).json(body)
        }
        Err(error) => oauth_error(&error),
    }
}

/// `POST /revoke` (RFC 7009): revokes the token and everything else that its grant issued.
pub(super) async fn revoke(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
    form: web::Form<TokenForm>,
) -> HttpResponse {
    if let Err(refusal) = check_limits(&state, &server, &request, &form).await {
        return refusal;
    }
    match server.revoke(&form).await {
        Ok(revocation) => {
            if let Revocation::Ended(user, grant) = revocation {
                log::info!("grant {grant} of user {user} was revoked by its client");
            }
            no_store(StatusCode::OK).finish()
        }
        Err(error) => oauth_error(&error),
    }
}

/// Checks whether this request may be processed: its form of authentication, and the rate limits.
async fn check_limits(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    form: &TokenForm,
) -> Result<(), HttpResponse> {
    let named = !form.client_id.is_empty() || !form.client_assertion.expose_secret().is_empty();
    if !named && request.headers().contains_key(header::AUTHORIZATION) {
        let words = "clients have no secrets here; send client_id in the body, without an Authorization header";
        let mut refusal = json_error(StatusCode::UNAUTHORIZED, ErrorCode::InvalidClient, words, None, None);
        // The challenge that a refusal of this header must contain (RFC 6749 section 5.2).
        let challenge = HeaderValue::from_static("Basic realm=\"none\"");
        refusal.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return Err(refusal);
    }
    let now = state.clock.now();
    let Err(mut wait) = state.oauth_limits.check_token_request(state.settings.source_of(request), now) else {
        return Ok(());
    };
    if let Some(grant) = server.peek_grant(form).await.map_err(|error| oauth_error(&error))? {
        match state.oauth_limits.check_grant(grant, now) {
            Ok(()) => return Ok(()),
            Err(of_grant) => wait = of_grant,
        }
    }
    let words = "too many token requests from this address; try again after Retry-After seconds";
    Err(json_error(StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyTokenRequests, words, Some(wait), None))
}

/// `POST /register` (RFC 7591)
pub(super) async fn register(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
    body: Result<Bytes, actix_web::Error>,
) -> HttpResponse {
    let source = state.settings.source_of(&request);
    if let Err(wait) = state.oauth_limits.check_registration(source, state.clock.now()) {
        let words = "too many clients have registered from this address; all users of a client can share one \
                     registration";
        return json_error(StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooManyRegistrations, words, Some(wait), None);
    }
    let bad = |words: &str| json_error(StatusCode::BAD_REQUEST, ErrorCode::InvalidClientMetadata, words, None, None);
    let Ok(body) = body else { return bad("the body could not be read, or is too large") };
    let Ok(metadata) = serde_json::from_slice::<Value>(&body) else { return bad("the body must be a JSON object") };
    match server.clients().register(&metadata) {
        Ok(registered) => no_store(StatusCode::CREATED).json(registered),
        Err(error @ RegistrationError::Crypto(_)) => oauth_error(&OAuthError::Server { cause: error_chain(&error) }),
        Err(error) => json_error(StatusCode::BAD_REQUEST, error.code(), &error.to_string(), None, None),
    }
}
