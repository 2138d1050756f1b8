//! The end of a sign-in: the browser returns from OwnerRez with a code, reviews other access to the account if there is
//! any, and is redirected to the client.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    super::{
        callback::CallbackQuery,
        connect_queue::{QueueOutcome, ReturnedBrowser, request_turn},
        cookies::{Csrf, SIGN_IN_COOKIES, verify_csrf},
        error::ApiError,
        pages::{self, sign_in as sign_in_pages},
        state::HttpState,
    },
    AUTHORIZE_PATH, CONTINUE_PATH, account,
    authorize::{internal_error, is_cross_site},
    error_page_with_redirect, form_targets, operator_contact, redirect_error, see_other,
    transfer_key::{self, KeyTransfer, TransferContext},
};
use crate::{
    domain::{GrantId, KeyId, RedirectDestination, UserId, error_chain},
    oauth::{AuthorizationServer, OAuthError, PendingReview, Redirection, ServerError, SignInPurpose},
    session::{ConnectError, SignedIn},
    store::{CallbackState, FirstReturn},
    upstream::TokenError,
};

/// Handles OwnerRez's response to a sign-in. The callback is shared with connecting an account.
pub(in super::super) async fn finish_callback(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    query: CallbackQuery,
) -> HttpResponse {
    let flow = query.state.clone();
    let Some(browser) = SIGN_IN_COOKIES.get(state, request, &flow) else { return other_browser(state) };
    let returning = match server.pending(&query.state, &browser).await {
        Ok(Some(returning)) => returning,
        // The cookies are kept: any page can send a browser here while sign-ins of this browser are under way.
        Ok(None) => return other_browser(state),
        Err(error) => return internal_error(error),
    };
    let admitted = if query.error.is_some() || query.code.expose_secret().is_empty() {
        // The error text is not repeated: it may come from anyone.
        Err(SignInFailure::Denied)
    } else {
        match request_turn(state, request, &returned_browser(&query, &browser, &returning)).await {
            QueueOutcome::Admitted(admitted) => Ok(admitted),
            QueueOutcome::Wait(page, first) => {
                return waiting_page(state, server, request, (&query.state, &browser), page, first).await;
            }
            QueueOutcome::CodeExpired => Err(SignInFailure::CodeExpired),
            QueueOutcome::InvalidCode => Err(SignInFailure::Failed(TokenError::InvalidGrant.into())),
        }
    };
    // The state is consumed only now: until its turn, the browser may call again.
    let asked = match server.take_pending(&query.state, &browser).await {
        Ok(Some(asked)) => asked,
        Ok(None) => return other_browser(state),
        Err(error) => return internal_error(error),
    };
    let signed_in = match admitted {
        Ok(admitted) => server.sign_in(query.code, admitted).await.map_err(SignInFailure::Failed),
        Err(failure) => Err(failure),
    };
    let asked = match asked {
        SignInPurpose::Client(asked) => asked,
        SignInPurpose::Account => {
            let page = account::finish_sign_in(state, server, request, signed_in).await;
            return without_cookie(state, &flow, page);
        }
    };
    let to = asked.redirection();
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(SignInFailure::Denied) => {
            let denied = OAuthError::AccessDenied("OwnerRez did not grant the access".to_owned());
            return without_cookie(state, &flow, redirect_error(server, &to, &denied));
        }
        Err(SignInFailure::CodeExpired) => {
            let again = state.settings.url(&format!("{AUTHORIZE_PATH}?{}", asked.query()));
            return without_cookie(state, &flow, pages::waiting::code_expired(Some(&again)));
        }
        Err(SignInFailure::Failed(error)) => {
            let response = not_signed_in(state, server, &to, error);
            return without_cookie(state, &flow, response);
        }
    };
    let SignedIn { user, account, new } = signed_in;
    log::info!("user {user} signed in with OwnerRez{}", if new { " for the first time" } else { "" });
    match finish_or_review(state, server, request, PendingReview { request: asked, user, account }, &browser).await {
        Ok(response) => without_cookie(state, &flow, response),
        Err(error) => without_cookie(state, &flow, redirect_error(server, &to, &error.into())),
    }
}

/// The reasons why a returned browser was not signed in.
pub(super) enum SignInFailure {
    /// OwnerRez sent no code.
    Denied,
    /// The code expired before its turn.
    CodeExpired,
    /// The code was not redeemed.
    Failed(ConnectError),
}

fn returned_browser<'a>(
    query: &'a CallbackQuery,
    browser: &'a str,
    returning: &CallbackState<SignInPurpose>,
) -> ReturnedBrowser<'a> {
    ReturnedBrowser {
        bound: (&query.state, browser),
        code: &query.code,
        user: None,
        returned_at: returning.returned_at,
        expires_at: returning.expires_at,
    }
}

/// Returns the page for a browser that waits for its turn, and extends its sign-in and its cookie.
async fn waiting_page(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    (secret, browser): (&str, &str),
    mut page: HttpResponse,
    first: Option<FirstReturn>,
) -> HttpResponse {
    if let Some(first) = first
        && let Err(error) = server.extend_pending(secret, browser, first).await
    {
        return internal_error(error);
    }
    SIGN_IN_COOKIES.set(state, request, &mut page, secret, browser.to_owned());
    page
}

/// Finishes the sign-in, unless other users or clients have access to the account; then a page shows them first.
async fn finish_or_review(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    signed_in: PendingReview,
    browser: &str,
) -> Result<HttpResponse, ServerError> {
    if server.existing_access(signed_in.account).await?.is_empty() {
        return finish(state, server, signed_in).await;
    }
    let secret = server.begin_review(signed_in, browser).await?;
    let mut response = see_other(&review_url(state, secret.expose_secret()), &[]);
    SIGN_IN_COOKIES.set(state, request, &mut response, secret.expose_secret(), browser.to_owned());
    Ok(response)
}

async fn finish(
    state: &HttpState,
    server: &AuthorizationServer,
    signed_in: PendingReview,
) -> Result<HttpResponse, ServerError> {
    let targets = form_targets(state, &signed_in.request);
    let url = server.finish(signed_in.request, signed_in.user).await?;
    Ok(see_other(&url, &targets))
}

#[derive(Deserialize)]
pub(super) struct ReviewQuery {
    #[serde(default)]
    state: String,
}

/// `GET /authorize/continue`: shows who else has access to the account.
pub(super) async fn show_review(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
    query: web::Query<ReviewQuery>,
) -> HttpResponse {
    review_page(&state, &server, &request, &query.state).await
}

async fn review_page(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    secret: &str,
) -> HttpResponse {
    let pending = match pending_review(state, server, request, secret).await {
        Ok(Some(pending)) => pending,
        Ok(None) => return other_browser(state),
        Err(error) => return internal_error(error),
    };
    let existing = match server.existing_access(pending.account).await {
        Ok(existing) => existing,
        Err(error) => return internal_error(error),
    };
    let csrf = match Csrf::of(state, request, &["others", secret]) {
        Ok(csrf) => csrf,
        Err(error) => return pages::error(&error),
    };
    let mut response = sign_in_pages::existing_access(&sign_in_pages::ExistingAccess {
        action: CONTINUE_PATH,
        state: secret,
        csrf: &csrf.signed,
        pending: &pending,
        existing: &existing,
        form_targets: &form_targets(state, &pending.request),
    });
    csrf.set_cookie(state, request, &mut response);
    response
}

/// The form of that page: one access to revoke, a key to transfer, or nothing, to continue.
#[derive(Deserialize)]
pub(super) struct ReviewForm {
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
pub(super) async fn submit_review(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
    form: web::Form<ReviewForm>,
) -> HttpResponse {
    let form = form.into_inner();
    if is_cross_site(&request) {
        return pages::error(&ApiError::OriginNotAllowed);
    }
    if !verify_csrf(&state, &request, &["others", &form.state], &form.csrf) {
        return other_browser(&state);
    }
    match perform_review(&state, &server, &request, form).await {
        Ok(Some(response)) => response,
        Ok(None) => other_browser(&state),
        Err(error) => internal_error(error),
    }
}

async fn perform_review(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    form: ReviewForm,
) -> Result<Option<HttpResponse>, ServerError> {
    let Some(browser) = SIGN_IN_COOKIES.get(state, request, &form.state) else { return Ok(None) };
    let ReviewForm { state: secret, csrf, key, grant, user, api_key, attach: transferred, from, proof } = form;
    let transfer = transferred.zip(from).map(|(key, from)| KeyTransfer { key: KeyId(key), from: UserId(from), proof });
    if key.is_none() && grant.is_none() && user.is_none() && api_key.is_none() && transfer.is_none() {
        let Some(pending) = server.take_review(&secret, &browser).await? else { return Ok(None) };
        return finish(state, server, pending).await.map(|response| Some(without_cookie(state, &secret, response)));
    }
    let Some(pending) = server.pending_review(&secret, &browser).await? else { return Ok(None) };
    let holder = pending.holder();
    let context = TransferContext {
        holder,
        action: CONTINUE_PATH,
        fields: &[("state", &secret), ("csrf", &csrf)],
        bound_to: &secret,
        back: &review_url(state, &secret),
    };
    if let Some(text) = api_key {
        return Ok(Some(transfer_key::preview(state, request, &context, &text).await));
    }
    if let Some(transfer) = transfer {
        return transfer_key::transfer(state, server, &context, &transfer).await.map(Some);
    }
    if let Some(key) = key.map(KeyId)
        && server.end_key(holder, key).await?
    {
        log::info!("user {} deleted key {key} during sign-in", pending.user);
    }
    if let Some(grant) = grant.map(GrantId)
        && server.end_grant(holder, grant).await?
    {
        log::info!("user {} revoked grant {grant} during sign-in", pending.user);
    }
    if let Some(other) = user.map(UserId)
        && server.end_connection(holder, other).await?
    {
        log::info!("user {} revoked the connection of user {other} to the same account during sign-in", pending.user);
    }
    Ok(Some(see_other(&review_url(state, &secret), &[])))
}

async fn pending_review(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    secret: &str,
) -> Result<Option<PendingReview>, ServerError> {
    match SIGN_IN_COOKIES.get(state, request, secret) {
        Some(browser) => server.pending_review(secret, &browser).await,
        None => Ok(None),
    }
}

fn review_url(state: &HttpState, secret: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("state", secret).finish();
    state.settings.url(&format!("{CONTINUE_PATH}?{query}"))
}

fn without_cookie(state: &HttpState, flow: &str, mut response: HttpResponse) -> HttpResponse {
    SIGN_IN_COOKIES.remove(state, &mut response, flow);
    response
}

fn other_browser(state: &HttpState) -> HttpResponse {
    pages::notice(StatusCode::FORBIDDEN, sign_in_pages::other_browser(state.settings.link_lifetime))
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
    let body = error.error_body();
    if refused {
        let denied = OAuthError::AccessDenied(body.message);
        let next =
            format!("Ask {} to allow this account. Your app may be waiting for the response:", operator_contact(state));
        return match RedirectDestination::of(&to.redirect_uri) {
            Some(place) => error_page_with_redirect(server, (to, &place), StatusCode::FORBIDDEN, &next, &denied),
            None => redirect_error(server, to, &denied),
        };
    }
    if fault {
        return redirect_error(server, to, &OAuthError::Server { cause: error_chain(&error) });
    }
    let cause = body.status.is_server_error().then(|| error_chain(&error));
    let retry_after = body.retry_after.unwrap_or_else(|| chrono::TimeDelta::seconds(60));
    redirect_error(server, to, &OAuthError::Unavailable { message: body.message, retry_after, cause })
}
