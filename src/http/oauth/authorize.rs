//! `/authorize`: the consent page. A consent is valid for one request in one browser and is never stored.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{
    error_pages::{error_page, internal_error, too_many_sign_ins},
    operator_contact::closed_registration_contact,
    paths::AUTHORIZE_PATH,
    redirects::{error_page_with_redirect, form_targets, redirect_error},
};
use crate::{
    domain::{ErrorCode, RedirectDestination, Scope},
    http::{
        browser::{
            cookies::SIGN_IN_COOKIES,
            csrf::{Csrf, verify_csrf},
            navigation::{is_cross_site, redirect_to_ownerrez},
        },
        error::{ApiError, ErrorLogInfo},
        pages::{self, sign_in as sign_in_pages},
        state::HttpState,
    },
    oauth::{AuthorizationRequest, AuthorizationServer, AuthorizeError, OAuthError, Scopes, clients::ClientErrorCode},
};

/// `GET /authorize`: validates the request, then shows the consent page.
pub(super) async fn authorize_get(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
) -> HttpResponse {
    let source = state.settings.source_of(&request);
    if let Err(wait) = state.oauth_limits.check_authorize(source, state.clock.now()) {
        return too_many_sign_ins(wait);
    }
    let query = request.query_string();
    match server.request(query).await {
        Ok((asked, place)) => consent_page(&state, &server, &request, query, (&asked, &place), None),
        Err(error) => request_error(&server, error),
    }
}

/// The form of the consent page.
#[derive(Deserialize)]
pub(super) struct Decision {
    /// The query of the authorization request.
    #[serde(default)]
    request: String,
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    decision: String,
}

/// `POST /authorize`: the decision, from the gateway's page in this browser.
pub(super) async fn authorize_post(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
    form: web::Form<Decision>,
) -> HttpResponse {
    let Decision { request: query, csrf, decision } = form.into_inner();
    if is_cross_site(&request) {
        return pages::error(&ApiError::OriginNotAllowed);
    }
    // Any site can send this form, and it causes the same lookups, so it counts as well.
    if let Err(wait) = state.oauth_limits.check_authorize(state.settings.source_of(&request), state.clock.now()) {
        return too_many_sign_ins(wait);
    }
    // The request is validated again: nothing that the page contains is trusted.
    let (mut asked, place) = match server.request(&query).await {
        Ok(found) => found,
        Err(error) => return request_error(&server, error),
    };
    if !verify_csrf(&state, &request, &["consent", &query], &csrf) {
        let stale = Some((StatusCode::FORBIDDEN, sign_in_pages::FORM_EXPIRED));
        return consent_page(&state, &server, &request, &query, (&asked, &place), stale);
    }
    match decision.as_str() {
        "allow" => {}
        "read" => asked.scopes = Scopes { access: Scope::Read, ..asked.scopes },
        _ => {
            let denied = OAuthError::AccessDenied("the user denied the request".to_owned());
            return redirect_error(&server, &asked.redirection(), &denied);
        }
    }
    if let Err(wait) = state.oauth_limits.check_consent(state.settings.source_of(&request), state.clock.now()) {
        return too_many_sign_ins(wait);
    }
    let Some(client_id) = &state.settings.client_id else { return pages::error(&ApiError::NotConfigured) };
    match server.begin_sign_in(asked).await {
        Ok(redirect) => {
            let secret = redirect.state.expose_secret();
            redirect_to_ownerrez(&state, &request, client_id, secret, SIGN_IN_COOKIES, &redirect.browser)
        }
        Err(error) => internal_error(error),
    }
}

fn consent_page(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    query: &str,
    (asked, place): (&AuthorizationRequest, &RedirectDestination),
    problem: Option<(StatusCode, &'static str)>,
) -> HttpResponse {
    let csrf = match Csrf::of(state, request, &["consent", query]) {
        Ok(csrf) => csrf,
        Err(error) => return pages::error(&error),
    };
    let mut response = sign_in_pages::consent(&sign_in_pages::Consent {
        action: AUTHORIZE_PATH,
        query,
        csrf: &csrf.signed,
        request: asked,
        place,
        form_targets: &form_targets(state, asked),
        closed_registration_contact: closed_registration_contact(state, server).as_deref(),
        problem,
    });
    csrf.set_cookie(state, request, &mut response);
    response
}

/// Answers an authorization request for which no consent page is shown.
fn request_error(server: &AuthorizationServer, error: AuthorizeError) -> HttpResponse {
    match error {
        AuthorizeError::Refused { to, redirects_automatically: true, error, .. } => redirect_error(server, &to, &error),
        AuthorizeError::Refused { to, place, redirects_automatically: false, error } => {
            error_page_with_redirect(server, (&to, &place), StatusCode::BAD_REQUEST, sign_in_pages::BY_A_LINK, &error)
        }
        AuthorizeError::RedirectUri(problem) => error_page(
            StatusCode::BAD_REQUEST,
            ErrorCode::InvalidRequest,
            &sign_in_pages::sentence(&problem),
            sign_in_pages::NO_REDIRECT,
        ),
        AuthorizeError::Client(error) => {
            let status = match error.code() {
                ClientErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
                ClientErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            let refused = OAuthError::from(error);
            let mut response = error_page(
                status,
                refused.code(),
                &sign_in_pages::sentence(&refused.to_string()),
                sign_in_pages::NO_CLIENT,
            );
            response.extensions_mut().insert(ErrorLogInfo { code: refused.code(), cause: refused.cause() });
            response
        }
    }
}
