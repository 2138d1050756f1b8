//! Requests from browsers, and their redirects.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};
use secrecy::{ExposeSecret, SecretString};

use super::cookies::FlowCookies;
use crate::http::{
    pages::{origin, response_with_security_headers},
    state::HttpState,
};

/// Redirects a browser to OwnerRez's approval page with this state, and sets the cookie that identifies it afterwards.
pub(in crate::http) fn redirect_to_ownerrez(
    state: &HttpState,
    request: &HttpRequest,
    client_id: &str,
    secret: &str,
    cookies: FlowCookies,
    browser: &SecretString,
) -> HttpResponse {
    let mut url = state.settings.app_url.clone();
    url.set_path("/oauth/authorize");
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", state.settings.redirect_uri.as_str())
        .append_pair("state", secret);
    let mut response = response_with_security_headers(StatusCode::SEE_OTHER, &[origin(&state.settings.app_url)])
        .insert_header((header::LOCATION, url.as_str()))
        .finish();
    cookies.set(state, request, &mut response, secret, browser.expose_secret().to_owned());
    response
}

/// Redirects a browser to this URL, after a form whose targets are `form_targets`.
pub(in crate::http) fn see_other(url: &str, form_targets: &[String]) -> HttpResponse {
    response_with_security_headers(StatusCode::SEE_OTHER, form_targets).insert_header((header::LOCATION, url)).finish()
}

/// Returns whether the request came from elsewhere than the gateway's pages, by headers that pages cannot set (Fetch
/// Metadata).
pub(in crate::http) fn is_cross_site(request: &HttpRequest) -> bool {
    request.headers().get("sec-fetch-site").is_some_and(|site| site != "same-origin")
}
