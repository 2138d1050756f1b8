//! Transfers an API key to the signed-in user, who enters the key, sees what it is, and confirms the transfer. Only
//! that key is transferred; users are never merged.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use secrecy::{ExposeSecret, SecretString};

use super::{
    super::{
        HttpState,
        error::ApiError,
        keys::KEYS_PER_USER,
        observe::Notes,
        pages::{self, account as words},
    },
    see_other,
};
use crate::{
    domain::{AccountHolder, KeyId, Scope, UserId},
    oauth::{AuthorizationServer, ServerError},
    store::{KeyMoved, StoredKey},
};

/// A page on which a signed-in user may transfer a key. The code that creates one must have checked that the request
/// came from that page in that browser.
pub(super) struct Desk<'a> {
    /// The signed-in user.
    pub(super) holder: AccountHolder,
    /// The target of the page's forms, and their hidden fields.
    pub(super) action: &'a str,
    pub(super) fields: &'a [(&'a str, &'a str)],
    /// A secret of this sign-in. A proof issued for one sign-in is not valid for another.
    pub(super) bound_to: &'a str,
    /// The URL of the page.
    pub(super) back: &'a str,
}

/// The confirmed transfer of a key.
pub(super) struct Moving {
    pub(super) key: KeyId,
    pub(super) from: UserId,
    /// Proves that the key was entered on this page.
    pub(super) proof: String,
}

impl Desk<'_> {
    fn proof(&self, state: &HttpState, key: KeyId, from: UserId) -> String {
        let (key, from, to) = (key.to_string(), from.to_string(), self.holder.user.to_string());
        state.signer.sign(&["attach", self.bound_to, &key, &from, &to])
    }

    fn refused(&self, status: StatusCode, why: &'static str) -> HttpResponse {
        words::not_attached(status, why, self.back)
    }
}

/// Handles an entered key: checks whether it may be transferred, and asks for confirmation.
pub(super) async fn look(
    state: &HttpState,
    request: &HttpRequest,
    desk: &Desk<'_>,
    text: &SecretString,
) -> HttpResponse {
    match try_look(state, request, desk, text).await {
        Ok(response) => response,
        Err(ApiError::BadKey) => desk.refused(StatusCode::FORBIDDEN, words::KEY_UNKNOWN),
        Err(error) => pages::error(&error),
    }
}

async fn try_look(
    state: &HttpState,
    request: &HttpRequest,
    desk: &Desk<'_>,
    text: &SecretString,
) -> Result<HttpResponse, ApiError> {
    let shown = state.keys.check(text.expose_secret().trim(), state.settings.source_of(request)).await?;
    if let Some(notes) = Notes::of(request) {
        notes.caller(&shown);
    }
    if shown.user == desk.holder.user {
        return Ok(desk.refused(StatusCode::OK, words::KEY_YOURS));
    }
    if shown.scope != Scope::Full {
        return Ok(desk.refused(StatusCode::FORBIDDEN, words::KEY_READS));
    }
    let connection = state.store.connection(shown.user).await?;
    if connection.is_some_and(|connection| connection.account != Some(desk.holder.account)) {
        return Ok(desk.refused(StatusCode::CONFLICT, words::KEY_ELSEWHERE));
    }
    let now = state.clock.now();
    let all = state.store.keys(shown.user).await?;
    let (key, others): (Vec<StoredKey>, Vec<StoredKey>) = all.into_iter().partition(|key| key.id == shown.key);
    let Some(key) = key.first() else { return Err(ApiError::BadKey) };
    let stay = others.iter().filter(|key| key.expires_at.is_none_or(|end| end > now)).count();
    Ok(words::confirm_key(&words::ConfirmKey {
        action: desk.action,
        fields: desk.fields,
        key,
        from: shown.user,
        account: desk.holder.account,
        stay,
        proof: &desk.proof(state, shown.key, shown.user),
        back: desk.back,
    }))
}

/// Transfers the key after the confirmation.
pub(super) async fn attach(
    state: &HttpState,
    server: &AuthorizationServer,
    desk: &Desk<'_>,
    moving: &Moving,
) -> Result<HttpResponse, ServerError> {
    let Moving { key, from, proof } = moving;
    let (id, old, to) = (key.to_string(), from.to_string(), desk.holder.user.to_string());
    if !state.signer.verify(&["attach", desk.bound_to, &id, &old, &to], proof) {
        return Ok(desk.refused(StatusCode::FORBIDDEN, words::KEY_NOT_SHOWN));
    }
    Ok(match server.attach_key(desk.holder, *from, *key, KEYS_PER_USER).await? {
        KeyMoved::Moved { left_nobody } => {
            let rest = if left_nobody { ", which is deleted" } else { "" };
            log::info!("user {to} took over key {key} of user {from}{rest}");
            see_other(desk.back, &[])
        }
        KeyMoved::OtherAccount => desk.refused(StatusCode::CONFLICT, words::KEY_ELSEWHERE),
        KeyMoved::TooMany => desk.refused(StatusCode::CONFLICT, words::KEYS_FULL),
        KeyMoved::Gone => desk.refused(StatusCode::GONE, words::KEY_UNKNOWN),
    })
}
