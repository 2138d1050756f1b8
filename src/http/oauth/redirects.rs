//! Redirects of the browser to the client.

use actix_web::{HttpResponse, http::StatusCode};
use url::Url;

use super::responses::oauth_error;
use crate::{
    domain::RedirectDestination,
    http::{
        browser::navigation::see_other,
        error::ErrorLogInfo,
        pages::{self, sign_in as sign_in_pages},
        state::HttpState,
    },
    oauth::{AuthorizationRequest, AuthorizationServer, OAuthError, Redirection},
};

/// Redirects the browser to the client with an error.
pub(super) fn redirect_error(server: &AuthorizationServer, to: &Redirection, error: &OAuthError) -> HttpResponse {
    with_log_info(error, error_redirect_url(server, to, error).map(|url| see_other(&url, &[])))
}

/// Shows an error, and lets the user decide whether it is sent to the client.
pub(super) fn error_page_with_redirect(
    server: &AuthorizationServer,
    (to, place): (&Redirection, &RedirectDestination),
    status: StatusCode,
    next: &str,
    error: &OAuthError,
) -> HttpResponse {
    let what = sign_in_pages::sentence(&error.to_string());
    let page = |url: String| sign_in_pages::error_with_redirect(status, &what, next, place, &url);
    with_log_info(error, error_redirect_url(server, to, error).map(page))
}

fn error_redirect_url(server: &AuthorizationServer, to: &Redirection, error: &OAuthError) -> Option<String> {
    let description = error.description();
    to.url(&[("error", error.code().as_str()), ("error_description", &description)], &server.settings().issuer)
}

fn with_log_info(error: &OAuthError, response: Option<HttpResponse>) -> HttpResponse {
    let mut response = response.unwrap_or_else(|| oauth_error(error));
    response.extensions_mut().insert(ErrorLogInfo { code: error.code(), cause: error.cause() });
    response
}

/// Returns the redirect targets of the gateway's forms: OwnerRez and the client.
pub(super) fn form_targets(state: &HttpState, request: &AuthorizationRequest) -> Vec<String> {
    let client = Url::parse(&request.redirect_uri).ok().map(|url| match url.scheme() {
        "https" | "http" => pages::origin(&url),
        scheme => format!("{scheme}:"),
    });
    std::iter::once(pages::origin(&state.settings.app_url)).chain(client).collect()
}
