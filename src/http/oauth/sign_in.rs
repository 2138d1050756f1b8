//! The end of a sign-in: the browser returns from OwnerRez with a code, reviews other access to the account if there is
//! any, and is redirected to the client.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    super::{
        HttpState,
        callback::CallbackQuery,
        connect_turn::{Next, Returned, turn},
        cookies::{Csrf, SIGN_IN_COOKIES, is_genuine},
        error::ApiError,
        pages::{self, sign_in as words},
    },
    AUTHORIZE_PATH, CONTINUE_PATH, account,
    attach::{self, Desk, Moving},
    authorize::{failed, is_foreign},
    form_targets, operator, see_other, sent_back, shown_with_way_back,
};
use crate::{
    domain::{GrantId, KeyId, RedirectPlace, UserId, chain},
    oauth::{AuthorizationServer, Errand, OAuthError, Paused, Redirection, ServerError},
    session::{ConnectError, SignedIn},
    store::{FirstReturn, Returning},
    upstream::TokenError,
};

/// Handles OwnerRez's response to a sign-in. The callback is shared with connecting an account.
pub(in super::super) async fn come_back(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    query: CallbackQuery,
) -> HttpResponse {
    let flow = query.state.clone();
    let Some(browser) = SIGN_IN_COOKIES.get(state, request, &flow) else { return other_browser(state) };
    let returning = match server.returning(&query.state, &browser).await {
        Ok(Some(returning)) => returning,
        // The cookies are kept: any page can send a browser here while sign-ins of this browser are under way.
        Ok(None) => return other_browser(state),
        Err(error) => return failed(error),
    };
    let admitted = if query.error.is_some() || query.code.expose_secret().is_empty() {
        // The error text is not repeated: it may come from anyone.
        Err(Unredeemed::Denied)
    } else {
        match turn(state, request, &returned(&query, &browser, &returning)).await {
            Next::Go(admitted) => Ok(admitted),
            Next::Wait(page, first) => {
                return wait(state, server, request, (&query.state, &browser), page, first).await;
            }
            Next::TooLate => Err(Unredeemed::TooLate),
            Next::NoCode => Err(Unredeemed::Failed(TokenError::Refused.into())),
        }
    };
    // The state is consumed only now: until its turn, the browser may call again.
    let asked = match server.came_back(&query.state, &browser).await {
        Ok(Some(asked)) => asked,
        Ok(None) => return other_browser(state),
        Err(error) => return failed(error),
    };
    let signed_in = match admitted {
        Ok(admitted) => server.sign_in(query.code, admitted).await.map_err(Unredeemed::Failed),
        Err(unredeemed) => Err(unredeemed),
    };
    let asked = match asked {
        Errand::Client(asked) => asked,
        Errand::Account => {
            let page = account::come_back(state, server, request, signed_in).await;
            return without_cookie(state, &flow, page);
        }
    };
    let to = asked.redirection();
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(Unredeemed::Denied) => {
            let denied = OAuthError::AccessDenied("OwnerRez did not grant the access".to_owned());
            return without_cookie(state, &flow, sent_back(server, &to, &denied));
        }
        Err(Unredeemed::TooLate) => {
            let again = state.settings.url(&format!("{AUTHORIZE_PATH}?{}", asked.query()));
            return without_cookie(state, &flow, pages::waiting::too_late(Some(&again)));
        }
        Err(Unredeemed::Failed(error)) => {
            let response = not_signed_in(state, server, &to, error);
            return without_cookie(state, &flow, response);
        }
    };
    let SignedIn { user, account, new } = signed_in;
    log::info!("user {user} signed in with OwnerRez{}", if new { " for the first time" } else { "" });
    match go_or_look(state, server, request, Paused { request: asked, user, account }, &browser).await {
        Ok(response) => without_cookie(state, &flow, response),
        Err(error) => without_cookie(state, &flow, sent_back(server, &to, &error.into())),
    }
}

/// The reasons why a returned browser was not signed in.
pub(super) enum Unredeemed {
    /// OwnerRez sent no code.
    Denied,
    /// The code expired before its turn.
    TooLate,
    /// The code was not redeemed.
    Failed(ConnectError),
}

fn returned<'a>(query: &'a CallbackQuery, browser: &'a str, returning: &Returning<Errand>) -> Returned<'a> {
    Returned {
        bound: (&query.state, browser),
        code: &query.code,
        user: None,
        returned_at: returning.returned_at,
        expires_at: returning.expires_at,
    }
}

/// Returns the page for a browser that waits for its turn, and extends its sign-in and its cookie.
async fn wait(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    (secret, browser): (&str, &str),
    mut page: HttpResponse,
    first: Option<FirstReturn>,
) -> HttpResponse {
    if let Some(first) = first
        && let Err(error) = server.waits(secret, browser, first).await
    {
        return failed(error);
    }
    SIGN_IN_COOKIES.set(state, request, &mut page, secret, browser.to_owned());
    page
}

/// Finishes the sign-in, unless other users or clients have access to the account; then a page shows them first.
async fn go_or_look(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    signed_in: Paused,
    browser: &str,
) -> Result<HttpResponse, ServerError> {
    if server.others(signed_in.account).await?.is_empty() {
        return finish(state, server, signed_in).await;
    }
    let secret = server.pause(signed_in, browser).await?;
    let mut response = see_other(&look_url(state, secret.expose_secret()), &[]);
    SIGN_IN_COOKIES.set(state, request, &mut response, secret.expose_secret(), browser.to_owned());
    Ok(response)
}

async fn finish(
    state: &HttpState,
    server: &AuthorizationServer,
    signed_in: Paused,
) -> Result<HttpResponse, ServerError> {
    let targets = form_targets(state, &signed_in.request);
    let url = server.finish(signed_in.request, signed_in.user).await?;
    Ok(see_other(&url, &targets))
}

#[derive(Deserialize)]
pub(super) struct Looking {
    #[serde(default)]
    state: String,
}

/// `GET /authorize/continue`: shows who else has access to the account.
pub(super) async fn look(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
    query: web::Query<Looking>,
) -> HttpResponse {
    show(&state, &server, &request, &query.state).await
}

async fn show(state: &HttpState, server: &AuthorizationServer, request: &HttpRequest, secret: &str) -> HttpResponse {
    let paused = match paused(state, server, request, secret).await {
        Ok(Some(paused)) => paused,
        Ok(None) => return other_browser(state),
        Err(error) => return failed(error),
    };
    let others = match server.others(paused.account).await {
        Ok(others) => others,
        Err(error) => return failed(error),
    };
    let csrf = match Csrf::of(state, request, &["others", secret]) {
        Ok(csrf) => csrf,
        Err(error) => return pages::error(&error),
    };
    let mut response = words::others(&words::Others {
        action: CONTINUE_PATH,
        state: secret,
        csrf: &csrf.signed,
        paused: &paused,
        others: &others,
        form_targets: &form_targets(state, &paused.request),
    });
    csrf.keep(state, request, &mut response);
    response
}

/// The form of that page: one access to revoke, a key to transfer, or nothing, to continue.
#[derive(Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    state: String,
    #[serde(default)]
    csrf: String,
    key: Option<Uuid>,
    grant: Option<Uuid>,
    user: Option<Uuid>,
    api_key: Option<SecretString>,
    attach: Option<Uuid>,
    from: Option<Uuid>,
    #[serde(default)]
    proof: String,
}

/// `POST /authorize/continue`: revokes one access, transfers a key, or continues to the client.
pub(super) async fn go_on(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
    form: web::Form<Wish>,
) -> HttpResponse {
    let wish = form.into_inner();
    if is_foreign(&request) {
        return pages::error(&ApiError::OriginNotAllowed);
    }
    if !is_genuine(&state, &request, &["others", &wish.state], &wish.csrf) {
        return other_browser(&state);
    }
    match answer(&state, &server, &request, wish).await {
        Ok(Some(response)) => response,
        Ok(None) => other_browser(&state),
        Err(error) => failed(error),
    }
}

async fn answer(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    wish: Wish,
) -> Result<Option<HttpResponse>, ServerError> {
    let Some(browser) = SIGN_IN_COOKIES.get(state, request, &wish.state) else { return Ok(None) };
    let Wish { state: secret, csrf, key, grant, user, api_key, attach: attached, from, proof } = wish;
    let moving = attached.zip(from).map(|(key, from)| Moving { key: KeyId(key), from: UserId(from), proof });
    if key.is_none() && grant.is_none() && user.is_none() && api_key.is_none() && moving.is_none() {
        let Some(paused) = server.resume(&secret, &browser).await? else { return Ok(None) };
        return finish(state, server, paused).await.map(|response| Some(without_cookie(state, &secret, response)));
    }
    let Some(paused) = server.paused(&secret, &browser).await? else { return Ok(None) };
    let holder = paused.holder();
    let desk = Desk {
        holder,
        action: CONTINUE_PATH,
        fields: &[("state", &secret), ("csrf", &csrf)],
        bound_to: &secret,
        back: &look_url(state, &secret),
    };
    if let Some(text) = api_key {
        return Ok(Some(attach::look(state, request, &desk, &text).await));
    }
    if let Some(moving) = moving {
        return attach::attach(state, server, &desk, &moving).await.map(Some);
    }
    if let Some(key) = key.map(KeyId)
        && server.end_key(holder, key).await?
    {
        log::info!("user {} deleted key {key} during sign-in", paused.user);
    }
    if let Some(grant) = grant.map(GrantId)
        && server.end_grant(holder, grant).await?
    {
        log::info!("user {} revoked grant {grant} during sign-in", paused.user);
    }
    if let Some(other) = user.map(UserId)
        && server.end_connection(holder, other).await?
    {
        log::info!("user {} revoked the connection of user {other} to the same account during sign-in", paused.user);
    }
    Ok(Some(see_other(&look_url(state, &secret), &[])))
}

async fn paused(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    secret: &str,
) -> Result<Option<Paused>, ServerError> {
    match SIGN_IN_COOKIES.get(state, request, secret) {
        Some(browser) => server.paused(secret, &browser).await,
        None => Ok(None),
    }
}

fn look_url(state: &HttpState, secret: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("state", secret).finish();
    state.settings.url(&format!("{CONTINUE_PATH}?{query}"))
}

fn without_cookie(state: &HttpState, flow: &str, mut response: HttpResponse) -> HttpResponse {
    SIGN_IN_COOKIES.remove(state, &mut response, flow);
    response
}

fn other_browser(state: &HttpState) -> HttpResponse {
    pages::notice(StatusCode::FORBIDDEN, words::other_browser(state.settings.link_life))
}

/// The error is sent to the client, which waits for an answer. If the user is not admitted, a page shows the reason,
/// because few clients show it.
fn not_signed_in(
    state: &HttpState,
    server: &AuthorizationServer,
    to: &Redirection,
    error: ConnectError,
) -> HttpResponse {
    let refused = matches!(error, ConnectError::Disabled | ConnectError::NewUser(_));
    let fault = matches!(&error, ConnectError::Crypto(_));
    let error = ApiError::from(error);
    let shown = error.shown();
    if refused {
        let denied = OAuthError::AccessDenied(shown.message);
        let next = format!("Ask {} to allow this account. Your app may be waiting for the response:", operator(state));
        return match RedirectPlace::of(&to.redirect_uri) {
            Some(place) => shown_with_way_back(server, (to, &place), StatusCode::FORBIDDEN, &next, &denied),
            None => sent_back(server, to, &denied),
        };
    }
    if fault {
        return sent_back(server, to, &OAuthError::Server { cause: chain(&error) });
    }
    let cause = shown.status.is_server_error().then(|| chain(&error));
    let retry_after = shown.retry_after.unwrap_or_else(|| chrono::TimeDelta::seconds(60));
    sent_back(server, to, &OAuthError::Unavailable { message: shown.message, retry_after, cause })
}
