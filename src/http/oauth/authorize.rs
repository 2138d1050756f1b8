//! `/authorize`: the consent page. A consent is valid for one request in one browser and is never stored.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use chrono::TimeDelta;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{
    super::{
        HttpState,
        connect::to_ownerrez,
        cookies::{Csrf, SIGN_IN_COOKIES, is_genuine},
        error::ApiError,
        failure::Failure,
        pages::{self, sign_in as words},
    },
    closed_by, form_targets, sent_back, shown_with_way_back,
};
use crate::{
    domain::{RedirectPlace, Scope},
    oauth::{
        AuthorizationRequest, AuthorizationServer, AuthorizeError, OAuthError, Scopes, ServerError,
        clients::ClientErrorCode,
    },
};

/// `GET /authorize`: validates the request, then shows the consent page.
pub(super) async fn ask(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
) -> HttpResponse {
    let source = state.settings.source_of(&request);
    if let Err(wait) = state.oauth_limits.asks(source, state.clock.now()) {
        return too_many(wait);
    }
    let query = request.query_string();
    match server.request(query).await {
        Ok((asked, place)) => consent(&state, &server, &request, query, (&asked, &place), None),
        Err(error) => not_asked(&server, error),
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
pub(super) async fn decide(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
    form: web::Form<Decision>,
) -> HttpResponse {
    let Decision { request: query, csrf, decision } = form.into_inner();
    if is_foreign(&request) {
        return pages::error(&ApiError::OriginNotAllowed);
    }
    // Any site can send this form, and it causes the same lookups, so it counts as well.
    if let Err(wait) = state.oauth_limits.asks(state.settings.source_of(&request), state.clock.now()) {
        return too_many(wait);
    }
    // The request is validated again: nothing that the page contains is trusted.
    let (mut asked, place) = match server.request(&query).await {
        Ok(found) => found,
        Err(error) => return not_asked(&server, error),
    };
    if !is_genuine(&state, &request, &["consent", &query], &csrf) {
        let stale = Some((StatusCode::FORBIDDEN, words::FORM_STALE));
        return consent(&state, &server, &request, &query, (&asked, &place), stale);
    }
    match decision.as_str() {
        "allow" => {}
        "read" => asked.scopes = Scopes { access: Scope::Read, ..asked.scopes },
        _ => {
            let denied = OAuthError::AccessDenied("the user denied the request".to_owned());
            return sent_back(&server, &asked.redirection(), &denied);
        }
    }
    if let Err(wait) = state.oauth_limits.agrees(state.settings.source_of(&request), state.clock.now()) {
        return too_many(wait);
    }
    let Some(client_id) = &state.settings.client_id else { return pages::error(&ApiError::NotConfigured) };
    match server.agree(asked).await {
        Ok(agreed) => {
            let secret = agreed.state.expose_secret();
            to_ownerrez(&state, &request, client_id, secret, SIGN_IN_COOKIES, &agreed.browser)
        }
        Err(error) => failed(error),
    }
}

/// Returns whether the request came from elsewhere than the gateway's pages, by headers that pages cannot set (Fetch
/// Metadata).
pub(super) fn is_foreign(request: &HttpRequest) -> bool {
    request.headers().get("sec-fetch-site").is_some_and(|site| site != "same-origin")
}

fn consent(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    query: &str,
    (asked, place): (&AuthorizationRequest, &RedirectPlace),
    problem: Option<(StatusCode, &'static str)>,
) -> HttpResponse {
    let csrf = match Csrf::of(state, request, &["consent", query]) {
        Ok(csrf) => csrf,
        Err(error) => return pages::error(&error),
    };
    let mut response = words::consent(&words::Consent {
        action: super::AUTHORIZE_PATH,
        query,
        csrf: &csrf.signed,
        request: asked,
        place,
        form_targets: &form_targets(state, asked),
        closed_by: closed_by(state, server).as_deref(),
        problem,
    });
    csrf.keep(state, request, &mut response);
    response
}

/// Answers an authorization request for which no consent page is shown.
fn not_asked(server: &AuthorizationServer, error: AuthorizeError) -> HttpResponse {
    match error {
        AuthorizeError::Refused { to, goes_back_by_itself: true, error, .. } => sent_back(server, &to, &error),
        AuthorizeError::Refused { to, place, goes_back_by_itself: false, error } => {
            shown_with_way_back(server, (&to, &place), StatusCode::BAD_REQUEST, words::BY_A_LINK, &error)
        }
        AuthorizeError::RedirectUri(problem) => {
            told(StatusCode::BAD_REQUEST, "invalid_request", &words::capitalised(&problem), words::NO_REDIRECT)
        }
        AuthorizeError::Client(error) => {
            let status = match error.code() {
                ClientErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
                ClientErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            let refused = OAuthError::from(error);
            let mut response =
                told(status, refused.code(), &words::capitalised(&refused.to_string()), words::NO_CLIENT);
            response.extensions_mut().insert(Failure { code: refused.code(), cause: refused.cause() });
            response
        }
    }
}

fn told(status: StatusCode, code: &'static str, what: &str, next: &str) -> HttpResponse {
    let mut response = words::refusal(status, what, next);
    response.extensions_mut().insert(Failure { code, cause: None });
    response
}

pub(super) fn too_many(wait: TimeDelta) -> HttpResponse {
    let mut response = told(StatusCode::TOO_MANY_REQUESTS, "too_many_sign_ins", words::TOO_MANY, words::LATER);
    response.headers_mut().insert(actix_web::http::header::RETRY_AFTER, wait.num_seconds().max(1).into());
    response
}

/// Returns the page for an internal error.
pub(super) fn failed(error: ServerError) -> HttpResponse {
    pages::error(&error.into())
}
