//! `/authorize/continue`: before the first access of a client, the user reviews who else has access to the account.

use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    error_pages::internal_error,
    paths::CONTINUE_PATH,
    redirects::form_targets,
    sign_in_browser::{other_browser, without_cookie},
    transfer_key::{self, KeyTransfer, TransferContext},
};
use crate::{
    domain::{GrantId, KeyId, UserId},
    http::{
        browser::{
            cookies::SIGN_IN_COOKIES,
            csrf::{Csrf, verify_csrf},
            navigation::{is_cross_site, see_other},
        },
        error::ApiError,
        pages::{self, sign_in as sign_in_pages},
        state::HttpState,
    },
    oauth::{AuthorizationServer, PendingReview, ServerError},
};

/// Finishes the sign-in, unless other users or clients have access to the account; then a page shows them first.
pub(super) async fn finish_or_review(
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
