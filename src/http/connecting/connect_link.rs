//! The page of a connect link. The redirect back from OwnerRez is handled in `connect_callback`.
//!
//! A connect link that is forwarded to another user connects nothing. Its page asks for the API key that will get
//! access, or for a browser in which that key's user has signed in. Only then does the browser get a cookie and a
//! redirect to OwnerRez, and only that browser may come back (RFC 9700 section 4.7).

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    auth::AuthError,
    crypto,
    domain::UserId,
    http::{
        browser::{
            browser_session::BrowserSession,
            cookies::CONNECT_COOKIES,
            csrf::{Csrf, verify_csrf},
            navigation::redirect_to_ownerrez,
        },
        error::ApiError,
        middleware::request_logger::RequestContext,
        pages::{self, connect as connect_pages},
        state::HttpState,
    },
    store::{ConnectLink, StoredKey},
    tools::LINK_PATH,
};

#[derive(Deserialize)]
pub(crate) struct LinkQuery {
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
pub(crate) struct LinkForm {
    #[serde(default)]
    state: String,
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    api_key: SecretString,
}

/// `GET` on the link: shows which key will get access, and a field for that key.
pub(crate) async fn show_link(
    state: web::Data<HttpState>,
    request: HttpRequest,
    query: web::Query<LinkQuery>,
) -> HttpResponse {
    match find_link(&state, &query.state).await {
        Ok(Some((_, key))) => form_page(&state, &request, &query.state, &key, None).await,
        Ok(None) => link_gone(&state),
        Err(error) => pages::error(&error),
    }
}

/// `POST` of that form: the right key binds this browser and redirects it to OwnerRez.
pub(crate) async fn submit_link(
    state: web::Data<HttpState>,
    request: HttpRequest,
    form: web::Form<LinkForm>,
) -> HttpResponse {
    let link = match find_link(&state, &form.state).await {
        Ok(Some(found)) => found,
        Ok(None) => return link_gone(&state),
        Err(error) => return pages::error(&error),
    };
    let (link, key) = link;
    if !verify_csrf(&state, &request, &["connect", &form.state], &form.csrf) {
        return form_page(
            &state,
            &request,
            &form.state,
            &key,
            Some((StatusCode::FORBIDDEN, connect_pages::FORM_EXPIRED)),
        )
        .await;
    }
    let text = form.api_key.expose_secret().trim();
    let shown = if text.is_empty() { is_signed_in_as(&state, &request, link.user).await } else { Ok(false) };
    let shown = match shown {
        Ok(false) => has_key(&state, &request, text, &link).await,
        decided => decided,
    };
    match shown {
        Ok(true) => {}
        Ok(false) => {
            let wrong = (StatusCode::FORBIDDEN, connect_pages::KEY_WRONG);
            return form_page(&state, &request, &form.state, &key, Some(wrong)).await;
        }
        Err(error) => return pages::error(&error),
    }
    match bind_browser(&state, &request, &link, &form.state).await {
        Ok(Some(response)) => response,
        Ok(None) => link_gone(&state),
        Err(error) => pages::error(&error),
    }
}

/// Returns whether this is the key that requested the link. A valid key of another user gets the same answer as an
/// invented one.
async fn has_key(state: &HttpState, request: &HttpRequest, text: &str, link: &ConnectLink) -> Result<bool, ApiError> {
    match state.keys.authenticate(text, state.settings.source_of(request)).await {
        Ok(caller) if caller.key == link.key && caller.user == link.user => {
            if let Some(context) = RequestContext::of(request) {
                context.caller(&caller);
            }
            Ok(true)
        }
        Ok(_) | Err(AuthError::BadKey) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether this user has signed in to the account page in this browser.
async fn is_signed_in_as(state: &HttpState, request: &HttpRequest, user: UserId) -> Result<bool, ApiError> {
    let holder = BrowserSession::signed_in(state, request).await?;
    Ok(holder.is_some_and(|holder| holder.user == user))
}

async fn bind_browser(
    state: &HttpState,
    request: &HttpRequest,
    link: &ConnectLink,
    secret: &str,
) -> Result<Option<HttpResponse>, ApiError> {
    let Some(client_id) = &state.settings.client_id else {
        return Err(ApiError::NotConfigured);
    };
    let browser = crypto::random_token()?;
    let hash = crypto::sha256_hex(browser.expose_secret());
    let bound = state.store.bind_link(link.user, &crypto::sha256_hex(secret), &hash, state.clock.now()).await?;
    if !bound {
        return Ok(None);
    }
    Ok(Some(redirect_to_ownerrez(state, request, client_id, secret, CONNECT_COOKIES, &browser)))
}

/// Returns the page for a link that is no longer valid.
pub(in crate::http) fn link_gone(state: &HttpState) -> HttpResponse {
    pages::notice(StatusCode::GONE, connect_pages::link_gone(state.settings.link_lifetime))
}

async fn find_link(state: &HttpState, secret: &str) -> Result<Option<(ConnectLink, StoredKey)>, ApiError> {
    let now = state.clock.now();
    let Some(link) = state.store.link(&crypto::sha256_hex(secret), now).await? else {
        return Ok(None);
    };
    Ok(state.store.key(link.user, link.key).await?.map(|key| (link, key)))
}

async fn form_page(
    state: &HttpState,
    request: &HttpRequest,
    secret: &str,
    key: &StoredKey,
    problem: Option<(StatusCode, &'static str)>,
) -> HttpResponse {
    let csrf = match Csrf::of(state, request, &["connect", secret]) {
        Ok(csrf) => csrf,
        Err(error) => return pages::error(&error),
    };
    let signed_in = match is_signed_in_as(state, request, key.user).await {
        Ok(signed_in) => signed_in,
        Err(error) => return pages::error(&error),
    };
    let mut response = connect_pages::connect_form(&connect_pages::ConnectForm {
        action: LINK_PATH,
        state: secret,
        csrf: &csrf.signed,
        key,
        signed_in,
        app_url: &state.settings.app_url,
        problem,
    });
    csrf.set_cookie(state, request, &mut response);
    response
}
