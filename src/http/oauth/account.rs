//! `/account`: users manage their keys, clients and connection after signing in with OwnerRez. Plain forms, one URL.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    error_pages::{internal_error, too_many_sign_ins},
    operator_contact::{closed_registration_contact, operator_contact},
    paths::DELETE_PATH,
    sign_in_failure::SignInFailure,
    transfer_key::{self, KeyTransfer, TransferContext},
};
use crate::{
    auth::{NewKeyRequest, validate_name},
    domain::{GrantId, KeyId, Scope, SignedInUser, ToolDefaults, UserId},
    http::{
        browser::{
            browser_session::BrowserSession,
            cookies::SIGN_IN_COOKIES,
            csrf::{Csrf, verify_csrf},
            navigation::{is_cross_site, redirect_to_ownerrez, see_other},
        },
        error::ApiError,
        pages::{self, account as account_pages},
        state::HttpState,
    },
    oauth::{AuthorizationServer, ServerError},
    session::SignedIn,
    tools::ACCOUNT_PATH,
};

/// `GET /account`
pub(super) async fn show(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
) -> HttpResponse {
    match BrowserSession::of(&state, &server, &request).await {
        Ok(Some(session)) => overview(&state, &server, &session).await.unwrap_or_else(internal_error),
        Ok(None) => sign_in_page(&state, &server, &request, None),
        Err(error) => internal_error(error),
    }
}

/// `GET /account/delete`: asks for confirmation before everything is deleted.
pub(super) async fn confirm_delete(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
) -> HttpResponse {
    match BrowserSession::of(&state, &server, &request).await {
        Ok(Some(session)) => {
            account_pages::delete_everything(ACCOUNT_PATH, &session.csrf(&state), session.holder.account)
        }
        Ok(None) => sign_in_page(&state, &server, &request, None),
        Err(error) => internal_error(error),
    }
}

/// Returns the sign-in page.
fn sign_in_page(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    problem: Option<(StatusCode, &'static str)>,
) -> HttpResponse {
    let csrf = match Csrf::of(state, request, &["account"]) {
        Ok(csrf) => csrf,
        Err(error) => return pages::error(&error),
    };
    let closed_registration_contact = closed_registration_contact(state, server);
    let mut response = account_pages::sign_in(
        ACCOUNT_PATH,
        &csrf.signed,
        &state.settings.app_url,
        closed_registration_contact.as_deref(),
        problem,
    );
    csrf.set_cookie(state, request, &mut response);
    response
}

async fn overview(
    state: &HttpState,
    server: &AuthorizationServer,
    session: &BrowserSession,
) -> Result<HttpResponse, ServerError> {
    let SignedInUser { user, account } = session.holder;
    let now = state.clock.now();
    let connection = state.store.connection(user).await?;
    let keys = state.store.keys(user).await?;
    let grants = state.store.grants(user, now).await?;
    let mut other_connections = server.existing_access(account).await?;
    other_connections.retain(|reaching| reaching.user != user);
    let id = Uuid::now_v7().to_string();
    Ok(account_pages::overview(&account_pages::Overview {
        action: ACCOUNT_PATH,
        delete: DELETE_PATH,
        csrf: &session.csrf(state),
        app_url: &state.settings.app_url,
        account,
        connection: connection.as_ref(),
        keys: &keys,
        grants: &grants,
        other_connections: &other_connections,
        new_key: (&id, &new_key_proof(state, session, &id)),
        now,
    }))
}

/// Signs the id of the key that a form creates. Sending the form twice creates one key; unsigned ids are rejected.
fn new_key_proof(state: &HttpState, session: &BrowserSession, id: &str) -> String {
    state.signer.sign(&["new key", &session.token, id])
}

/// The fields of the page's forms.
#[derive(Deserialize)]
pub(super) struct AccountForm {
    #[serde(default)]
    csrf: String,
    #[serde(flatten)]
    action: AccountAction,
}

/// The action of a form. `SignIn` needs no session, and also reconnects an account.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum AccountAction {
    SignIn,
    SignOut,
    EndKey {
        key: Uuid,
    },
    EndClient {
        grant: Uuid,
    },
    // The name on the wire is older than that of the variant.
    #[serde(rename = "end_stranger")]
    EndOtherConnection {
        user: Uuid,
    },
    MakeKey {
        id: Uuid,
        proof: String,
        name: Option<String>,
        scope: Scope,
    },
    ShowKey {
        api_key: SecretString,
    },
    Attach {
        attach: Uuid,
        from: Uuid,
        proof: String,
    },
    Disconnect,
    Delete,
}

/// `POST /account`
pub(super) async fn submit(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
    form: web::Form<AccountForm>,
) -> HttpResponse {
    let AccountForm { csrf, action } = form.into_inner();
    if is_cross_site(&request) {
        return pages::error(&ApiError::OriginNotAllowed);
    }
    let session = match BrowserSession::of(&state, &server, &request).await {
        Ok(session) => session,
        Err(error) => return internal_error(error),
    };
    let expired = Some((StatusCode::FORBIDDEN, account_pages::SESSION_EXPIRED));
    match session {
        Some(session) if state.signer.verify(&["account", &session.token], &csrf) => {
            perform(&state, &server, &request, &session, action).await.unwrap_or_else(internal_error)
        }
        Some(_) => account_pages::session_expired(ACCOUNT_PATH),
        None if matches!(action, AccountAction::SignIn) && verify_csrf(&state, &request, &["account"], &csrf) => {
            start_sign_in(&state, &server, &request).await
        }
        None => sign_in_page(&state, &server, &request, expired),
    }
}

async fn start_sign_in(state: &HttpState, server: &AuthorizationServer, request: &HttpRequest) -> HttpResponse {
    if let Err(wait) = state.oauth_limits.check_consent(state.settings.source_of(request), state.clock.now()) {
        return too_many_sign_ins(wait);
    }
    let Some(client_id) = &state.settings.client_id else { return pages::error(&ApiError::NotConfigured) };
    match server.begin_account_sign_in().await {
        Ok(redirect) => {
            let secret = redirect.state.expose_secret();
            redirect_to_ownerrez(state, request, client_id, secret, SIGN_IN_COOKIES, &redirect.browser)
        }
        Err(error) => internal_error(error),
    }
}

/// Finishes a sign-in to the account page, in the browser that was redirected to OwnerRez.
pub(super) async fn finish_sign_in(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    signed_in: Result<SignedIn, SignInFailure>,
) -> HttpResponse {
    let SignedIn { user, account, new } = match signed_in {
        Ok(signed_in) => signed_in,
        Err(SignInFailure::Denied) => return pages::notice(StatusCode::OK, account_pages::DENIED),
        Err(SignInFailure::CodeExpired) => {
            return pages::waiting::code_expired(Some(&state.settings.url(ACCOUNT_PATH)));
        }
        Err(SignInFailure::Failed(error)) => {
            return account_pages::not_signed_in(&error.into(), ACCOUNT_PATH, &operator_contact(state));
        }
    };
    log::info!("user {user} signed in to the account page{}", if new { ", for the first time" } else { "" });
    match BrowserSession::open(state, server, request, SignedInUser { user, account }).await {
        Ok(token) => {
            let mut response = redirect_to_account(state);
            BrowserSession::set_cookie(state, &mut response, &token);
            response
        }
        Err(error) => internal_error(error),
    }
}

async fn perform(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    session: &BrowserSession,
    action: AccountAction,
) -> Result<HttpResponse, ServerError> {
    let holder = session.holder;
    let user = holder.user;
    let csrf = session.csrf(state);
    let here = state.settings.url(ACCOUNT_PATH);
    let context = TransferContext {
        holder,
        action: ACCOUNT_PATH,
        fields: &[("csrf", &csrf), ("do", "attach")],
        bound_to: &session.token,
        back: &here,
    };
    match action {
        AccountAction::SignIn => return Ok(start_sign_in(state, server, request).await),
        AccountAction::SignOut => {
            server.close_session(&session.token).await?;
            return Ok(signed_out(state, redirect_to_account(state)));
        }
        AccountAction::EndKey { key } => {
            if server.end_key(holder, KeyId(key)).await? {
                log::info!("user {user} deleted key {key} on the account page");
            }
        }
        AccountAction::EndClient { grant } => {
            if server.end_grant(holder, GrantId(grant)).await? {
                log::info!("user {user} revoked grant {grant} on the account page");
            }
        }
        AccountAction::EndOtherConnection { user: other } => {
            if server.end_connection(holder, UserId(other)).await? {
                log::info!("user {user} revoked the connection of user {other} to the same account");
            }
        }
        AccountAction::MakeKey { id, proof, name, scope } => {
            return make_key(state, request, session, id, &proof, (name, scope)).await;
        }
        AccountAction::ShowKey { api_key } => {
            return Ok(transfer_key::preview(state, request, &context, &api_key).await);
        }
        AccountAction::Attach { attach: key, from, proof } => {
            let transfer = KeyTransfer { key: KeyId(key), from: UserId(from), proof };
            return transfer_key::transfer(state, server, &context, &transfer).await;
        }
        AccountAction::Disconnect => {
            if state.sessions.disconnect(user).await? {
                log::info!("user {user} disconnected OwnerRez on the account page");
            }
        }
        AccountAction::Delete => {
            state.sessions.delete_user(user).await?;
            log::info!("user {user} deleted everything on the account page");
            return Ok(signed_out(state, pages::notice(StatusCode::OK, account_pages::DELETED)));
        }
    }
    Ok(redirect_to_account(state))
}

async fn make_key(
    state: &HttpState,
    request: &HttpRequest,
    session: &BrowserSession,
    id: Uuid,
    proof: &str,
    (name, scope): (Option<String>, Scope),
) -> Result<HttpResponse, ServerError> {
    let user = session.holder.user;
    if !state.signer.verify(&["new key", &session.token, &id.to_string()], proof) {
        return Ok(account_pages::session_expired(ACCOUNT_PATH));
    }
    let id = KeyId(id);
    if state.store.key(user, id).await?.is_some() {
        // The form was sent again by a reloaded page. The key is not shown a second time.
        return Ok(redirect_to_account(state));
    }
    let made = async {
        let name = validate_name(name)?;
        let wanted = NewKeyRequest { id, name, scope, expires_at: None, view: ToolDefaults::default() };
        Ok::<_, ApiError>(state.keys.add_key(state.settings.source_of(request), user, None, wanted).await?)
    };
    Ok(match made.await {
        Ok(key) => {
            log::info!("user {user} created the {} key {} on the account page", scope.as_str(), key.prefix());
            account_pages::new_key(&key, scope, &state.settings.url("/mcp"), ACCOUNT_PATH)
        }
        Err(error) => pages::error(&error),
    })
}

/// Redirects to the account page after a form was processed.
fn redirect_to_account(state: &HttpState) -> HttpResponse {
    see_other(&state.settings.url(ACCOUNT_PATH), &[])
}

fn signed_out(state: &HttpState, mut response: HttpResponse) -> HttpResponse {
    BrowserSession::remove_cookie(state, &mut response);
    response
}
