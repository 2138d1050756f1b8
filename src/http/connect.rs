//! Connects an OwnerRez account: the connect link, its page, and the endpoints for the connection. The redirect back
//! from OwnerRez is handled in `callback`.
//!
//! A connect link that is forwarded to another user connects nothing. Its page asks for the API key that will get
//! access, or for a browser in which that key's user has signed in. Only then does the browser get a cookie and a
//! redirect to OwnerRez, and only that browser may come back (RFC 9700 section 4.7).

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    api_key_auth::{AnyCaller, FullCaller},
    connect_queue::queue_key,
    cookies::{CONNECT_COOKIES, Csrf, FlowCookies, verify_csrf},
    error::ApiError,
    oauth::account,
    pages,
    request_logger::RequestContext,
    state::HttpState,
};
use crate::{
    allowance::AttemptOrigin,
    crypto,
    domain::{JsonObject, Method, UpstreamRequest, UserId, in_minutes, member},
    session::{ConnectError, Turn},
    store::{ConnectLink, StoredKey},
    tools::{CallOutcome, LINK_PATH},
};

/// `GET /api/connect/ownerrez/start`
pub(crate) async fn start(
    state: web::Data<HttpState>,
    FullCaller(caller): FullCaller,
) -> Result<HttpResponse, ApiError> {
    if is_connected(&state, caller.user).await? {
        return Err(ApiError::AlreadyConnected);
    }
    let link = state.links.open(caller.user, caller.key).await?;
    Ok(no_store().json(json!({
        "authorization_url": link.url,
        "state": link.state.expose_secret(),
        "expires_at": link.expires_at,
        "message": format!(
            "Open authorization_url in a browser within {}. The page asks for this API key, then redirects you to \
             OwnerRez to approve the access.",
            in_minutes(state.settings.link_lifetime)
        ),
    })))
}

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
        return form_page(&state, &request, &form.state, &key, Some((StatusCode::FORBIDDEN, pages::FORM_EXPIRED)))
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
            let wrong = (StatusCode::FORBIDDEN, pages::KEY_WRONG);
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
        Ok(_) | Err(ApiError::BadKey) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether this user has signed in to the account page in this browser.
async fn is_signed_in_as(state: &HttpState, request: &HttpRequest, user: UserId) -> Result<bool, ApiError> {
    let holder = account::signed_in(state, request).await?;
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

/// Redirects a browser to OwnerRez's approval page with this state, and sets the cookie that identifies it afterwards.
pub(super) fn redirect_to_ownerrez(
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
    let mut response = pages::response_with_security_headers(StatusCode::SEE_OTHER, &[origin(&state.settings.app_url)])
        .insert_header((header::LOCATION, url.as_str()))
        .finish();
    cookies.set(state, request, &mut response, secret, browser.expose_secret().to_owned());
    response
}

/// Returns whether the user has a working connection. In this case no code is redeemed and no turn is needed.
pub(super) async fn is_connected(state: &HttpState, user: UserId) -> Result<bool, ApiError> {
    let existing = state.store.connection(user).await?;
    Ok(existing.is_some_and(|connection| connection.rejected_at.is_none()))
}

/// `{email, token}` of an OwnerRez account. Not `Debug`, since it contains a secret.
#[derive(Deserialize)]
pub(crate) struct PersonalToken {
    #[serde(default, deserialize_with = "email")]
    email: String,
    #[serde(default, deserialize_with = "token")]
    token: SecretString,
}

fn email<'de, D: Deserializer<'de>>(written: D) -> Result<String, D::Error> {
    member(written, "`email` must be text")
}

fn token<'de, D: Deserializer<'de>>(written: D) -> Result<SecretString, D::Error> {
    member(written, "`token` must be text")
}

/// `POST /api/connect/ownerrez/token`: connects with a personal access token (article "API authentication").
pub(crate) async fn by_token(
    state: web::Data<HttpState>,
    FullCaller(caller): FullCaller,
    request: HttpRequest,
    body: web::Json<JsonObject<PersonalToken>>,
) -> Result<HttpResponse, ApiError> {
    if !state.settings.personal_tokens {
        return Err(ApiError::PersonalTokensOff);
    }
    let JsonObject(PersonalToken { email, token }) = body.into_inner();
    let (email, token) = (email.trim(), SecretString::from(token.expose_secret().trim()));
    // Rejects what the Basic scheme cannot carry (RFC 7617) or OwnerRez never issues before it costs a request.
    if !email.contains('@') || email.len() > 320 || email.contains(|sign: char| sign == ':' || sign.is_control()) {
        return Err(ApiError::BadRequest(
            "`email` must be the e-mail address with which you sign in to OwnerRez.".to_owned(),
        ));
    }
    let text = token.expose_secret();
    if !text.starts_with("pt_") || text.len() > 512 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ApiError::BadRequest(
            "`token` must be a personal access token of OwnerRez, which begins with pt_.".to_owned(),
        ));
    }
    if is_connected(&state, caller.user).await? {
        return Err(ApiError::AlreadyConnected);
    }
    let connector = AttemptOrigin { source: state.settings.source_of(&request).address(), user: Some(caller.user) };
    // A user has one place in the queue, so that a repeated request keeps it.
    let place = queue_key(&["personal token", &caller.user.to_string()]);
    let turn = state.sessions.request_turn(place, connector).await;
    let admitted = match turn.map_err(|refusal| ApiError::Connect(ConnectError::Allowance(refusal)))? {
        Turn::Admitted(admitted) => admitted,
        Turn::Wait(waits) => return Err(ApiError::WaitsToConnect(waits)),
    };
    let account = state.sessions.connect_by_token(caller.user, email, &token, admitted).await?;
    log::info!("user {} connected an OwnerRez account with a personal access token, key {}", caller.user, caller.label);
    Ok(no_store().json(json!({
        "success": true,
        "ownerrez_user_id": account.map(|account| account.0),
        "message": "Connected. A personal access token does not expire; to revoke it, delete it in OwnerRez.",
    })))
}

/// `GET /api/connect/ownerrez/status`
pub(crate) async fn status(
    state: web::Data<HttpState>,
    AnyCaller(caller): AnyCaller,
) -> Result<HttpResponse, ApiError> {
    let connection = state.store.connection(caller.user).await?;
    let answer = match &connection {
        None => json!({
            "connected": false, "needs_reconnect": false,
            "ownerrez_user_id": null, "connected_at": null, "expires_at": null,
        }),
        Some(connection) => json!({
            "connected": connection.rejected_at.is_none(),
            "needs_reconnect": connection.rejected_at.is_some(),
            "ownerrez_user_id": connection.account.map(|account| account.0),
            "connected_at": connection.connected_at,
            "expires_at": connection.expires_at,
        }),
    };
    Ok(no_store().json(answer))
}

/// Returns the cheapest request to OwnerRez that needs valid tokens.
pub(super) fn current_user_request() -> Arc<UpstreamRequest> {
    Arc::new(UpstreamRequest {
        operation: "get_current_user".into(),
        method: Method::Get,
        path_and_query: "/v2/users/me".to_owned(),
        body: None,
        max_age: None,
    })
}

/// `GET /api/connect/ownerrez/test`: sends one request to OwnerRez with the user's own tokens.
pub(crate) async fn test(
    state: web::Data<HttpState>,
    AnyCaller(caller): AnyCaller,
    http: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let outcome = state.sessions.call(caller.user, &current_user_request(), &CancellationToken::new()).await;
    if let Some(context) = RequestContext::of(&http) {
        context.call(CallOutcome::of(&outcome));
    }
    let user = outcome?.body.value();
    Ok(no_store().json(json!({
        "success": true,
        "message": "The connection to OwnerRez works.",
        "user": user,
    })))
}

/// `DELETE /api/connect/ownerrez`
pub(crate) async fn disconnect(
    state: web::Data<HttpState>,
    FullCaller(caller): FullCaller,
) -> Result<HttpResponse, ApiError> {
    let ended = state.sessions.disconnect(caller.user).await?;
    let message = if ended {
        "Disconnected. The gateway no longer uses the account's tokens and revokes them at OwnerRez."
    } else {
        "No OwnerRez account was connected."
    };
    Ok(no_store().json(json!({"success": true, "disconnected": ended, "message": message})))
}

fn no_store() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

pub(super) fn link_gone(state: &HttpState) -> HttpResponse {
    pages::notice(StatusCode::GONE, pages::link_gone(state.settings.link_lifetime))
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
    let mut response = pages::connect_form(&pages::ConnectForm {
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

/// Returns the origin of a URL, for a Content-Security-Policy.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
