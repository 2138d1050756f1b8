//! The browser in which a sign-in was started.

use actix_web::{HttpResponse, http::StatusCode};

use crate::http::{
    browser::cookies::SIGN_IN_COOKIES,
    pages::{self, sign_in as sign_in_pages},
    state::HttpState,
};

/// Removes the cookie of a sign-in that is over.
pub(super) fn without_cookie(state: &HttpState, flow: &str, mut response: HttpResponse) -> HttpResponse {
    SIGN_IN_COOKIES.remove(state, &mut response, flow);
    response
}

/// Returns the page for a browser that has no such sign-in.
pub(super) fn other_browser(state: &HttpState) -> HttpResponse {
    pages::notice(StatusCode::FORBIDDEN, sign_in_pages::other_browser(state.settings.link_lifetime))
}
