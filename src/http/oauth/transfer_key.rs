//! Transfers an API key to the signed-in user, who enters the key, sees what it is, and confirms the transfer. Only
//! that key is transferred; users are never merged.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    auth::KEYS_PER_USER,
    domain::{KeyId, Scope, SignedInUser, UserId},
    http::{
        browser::navigation::see_other,
        error::ApiError,
        middleware::request_logger::RequestContext,
        pages::{self, account as account_pages},
        state::HttpState,
    },
    oauth::{AuthorizationServer, ServerError},
    store::{KeyMoved, StoredKey},
};

/// A page on which a signed-in user may transfer a key. The code that creates one must have checked that the request
/// came from that page in that browser.
pub(super) struct TransferContext<'a> {
    /// The signed-in user.
    pub(super) holder: SignedInUser,
    /// The target of the page's forms, and their hidden fields.
    pub(super) action: &'a str,
    pub(super) fields: &'a [(&'a str, &'a str)],
    /// A secret of this sign-in. A proof issued for one sign-in is not valid for another.
    pub(super) bound_to: &'a str,
    /// The URL of the page.
    pub(super) back: &'a str,
}

/// The confirmed transfer of a key.
pub(super) struct KeyTransfer {
    pub(super) key: KeyId,
    pub(super) from: UserId,
    /// Proves that the key was entered on this page.
    pub(super) proof: String,
}

impl TransferContext<'_> {
    fn proof(&self, state: &HttpState, key: KeyId, from: UserId) -> String {
        let (key, from, to) = (key.to_string(), from.to_string(), self.holder.user.to_string());
        state.signer.sign(&["attach", self.bound_to, &key, &from, &to])
    }

    fn rejection(&self, status: StatusCode, why: &'static str) -> HttpResponse {
        account_pages::not_transferred(status, why, self.back)
    }
}

/// Handles an entered key: checks whether it may be transferred, and asks for confirmation.
pub(super) async fn preview(
    state: &HttpState,
    request: &HttpRequest,
    context: &TransferContext<'_>,
    text: &SecretString,
) -> HttpResponse {
    match try_preview(state, request, context, text).await {
        Ok(response) => response,
        Err(ApiError::BadKey) => context.rejection(StatusCode::FORBIDDEN, account_pages::KEY_UNKNOWN),
        Err(error) => pages::error(&error),
    }
}

async fn try_preview(
    state: &HttpState,
    request: &HttpRequest,
    context: &TransferContext<'_>,
    text: &SecretString,
) -> Result<HttpResponse, ApiError> {
    let presented = state.keys.authenticate(text.expose_secret().trim(), state.settings.source_of(request)).await?;
    if let Some(context) = RequestContext::of(request) {
        context.caller(&presented);
    }
    if presented.user == context.holder.user {
        return Ok(context.rejection(StatusCode::OK, account_pages::KEY_ALREADY_YOURS));
    }
    if presented.scope != Scope::Full {
        return Ok(context.rejection(StatusCode::FORBIDDEN, account_pages::KEY_READ_ONLY));
    }
    let connection = state.store.connection(presented.user).await?;
    if connection.is_some_and(|connection| connection.account != Some(context.holder.account)) {
        return Ok(context.rejection(StatusCode::CONFLICT, account_pages::KEY_OTHER_ACCOUNT));
    }
    let now = state.clock.now();
    let all = state.store.keys(presented.user).await?;
    let (key, others): (Vec<StoredKey>, Vec<StoredKey>) = all.into_iter().partition(|key| key.id == presented.key);
    let Some(key) = key.first() else { return Err(ApiError::BadKey) };
    let remaining_keys = others.iter().filter(|key| key.expires_at.is_none_or(|end| end > now)).count();
    Ok(account_pages::confirm_key(&account_pages::ConfirmKey {
        action: context.action,
        fields: context.fields,
        key,
        from: presented.user,
        account: context.holder.account,
        remaining_keys,
        proof: &context.proof(state, presented.key, presented.user),
        back: context.back,
    }))
}

/// Transfers the key after the confirmation.
pub(super) async fn transfer(
    state: &HttpState,
    server: &AuthorizationServer,
    context: &TransferContext<'_>,
    transfer: &KeyTransfer,
) -> Result<HttpResponse, ServerError> {
    let KeyTransfer { key, from, proof } = transfer;
    let (id, old, to) = (key.to_string(), from.to_string(), context.holder.user.to_string());
    if !state.signer.verify(&["attach", context.bound_to, &id, &old, &to], proof) {
        return Ok(context.rejection(StatusCode::FORBIDDEN, account_pages::KEY_NOT_ENTERED));
    }
    Ok(match server.transfer_key(context.holder, *from, *key, KEYS_PER_USER).await? {
        KeyMoved::Moved { user_deleted } => {
            let rest = if user_deleted { ", which is deleted" } else { "" };
            log::info!("user {to} took over key {key} of user {from}{rest}");
            see_other(context.back, &[])
        }
        KeyMoved::OtherAccount => context.rejection(StatusCode::CONFLICT, account_pages::KEY_OTHER_ACCOUNT),
        KeyMoved::TooMany => context.rejection(StatusCode::CONFLICT, account_pages::TOO_MANY_KEYS),
        KeyMoved::Gone => context.rejection(StatusCode::GONE, account_pages::KEY_UNKNOWN),
    })
}
