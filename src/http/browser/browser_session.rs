//! The session of a browser in which a user has signed in to the account page.

use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};

use super::cookies::{cookie_name, remove_cookie, set_cookie};
use crate::{
    domain::SignedInUser,
    http::state::HttpState,
    oauth::{AuthorizationServer, SESSION_LIFETIME, ServerError},
};

/// The cookie with the token of the browser's session.
const SESSION_COOKIE: &str = "ownerrez_account";

/// The session of a signed-in browser.
pub(in crate::http) struct BrowserSession {
    pub(in crate::http) token: String,
    pub(in crate::http) holder: SignedInUser,
}

impl BrowserSession {
    /// Returns the session of the browser that sent a request.
    pub(in crate::http) async fn of(
        state: &HttpState,
        server: &AuthorizationServer,
        request: &HttpRequest,
    ) -> Result<Option<Self>, ServerError> {
        let Some(cookie) = request.cookie(&cookie_name(state, SESSION_COOKIE)) else { return Ok(None) };
        let token = cookie.value().to_owned();
        Ok(server.session(&token).await?.map(|holder| Self { token, holder }))
    }

    /// Returns the user signed in to this browser, for pages that accept this instead of a key.
    pub(in crate::http) async fn signed_in(
        state: &HttpState,
        request: &HttpRequest,
    ) -> Result<Option<SignedInUser>, ServerError> {
        let Some(server) = &state.oauth else { return Ok(None) };
        Ok(Self::of(state, server, request).await?.map(|session| session.holder))
    }

    /// Opens a session for the browser that sent a request, and closes the one that it had. Returns the token.
    pub(in crate::http) async fn open(
        state: &HttpState,
        server: &AuthorizationServer,
        request: &HttpRequest,
        holder: SignedInUser,
    ) -> Result<SecretString, ServerError> {
        if let Some(before) = request.cookie(&cookie_name(state, SESSION_COOKIE)) {
            server.close_session(before.value()).await?;
        }
        server.open_session(holder).await
    }

    /// Sets the cookie of a new session.
    pub(in crate::http) fn set_cookie(state: &HttpState, response: &mut HttpResponse, token: &SecretString) {
        set_cookie(state, response, SESSION_COOKIE, token.expose_secret().to_owned(), SESSION_LIFETIME);
    }

    /// Removes the cookie of a session that is over.
    pub(in crate::http) fn remove_cookie(state: &HttpState, response: &mut HttpResponse) {
        remove_cookie(state, response, SESSION_COOKIE);
    }

    /// Returns the CSRF token of this session's forms.
    pub(in crate::http) fn csrf(&self, state: &HttpState) -> String {
        state.signer.sign(&["account", &self.token])
    }
}
