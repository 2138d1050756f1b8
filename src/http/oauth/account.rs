//! `/account`: users manage their keys, clients and connection after signing in with OwnerRez. Plain forms, one URL.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    super::{
        HttpState,
        connect::to_ownerrez,
        cookies::{Csrf, SIGN_IN_COOKIES, cookie_name, is_genuine, remove_cookie, set_cookie},
        error::ApiError,
        keys,
        pages::{self, account as words},
        users::checked_name,
    },
    attach::{self, Desk, Moving},
    authorize::{failed, is_foreign, too_many},
    closed_by, operator, see_other,
    sign_in::Unredeemed,
};
use crate::{
    domain::{AccountHolder, GrantId, KeyId, KeyView, Scope, UserId},
    oauth::{AuthorizationServer, SESSION_LIFE, ServerError},
    session::SignedIn,
    tools::ACCOUNT_PATH,
};

/// The cookie with the token of the browser's session.
const SESSION_COOKIE: &str = "ownerrez_account";

/// The session of a signed-in browser.
struct Session {
    token: String,
    holder: AccountHolder,
}

impl Session {
    async fn of(
        state: &HttpState,
        server: &AuthorizationServer,
        request: &HttpRequest,
    ) -> Result<Option<Self>, ServerError> {
        let Some(cookie) = request.cookie(&cookie_name(state, SESSION_COOKIE)) else { return Ok(None) };
        let token = cookie.value().to_owned();
        Ok(server.session(&token).await?.map(|holder| Self { token, holder }))
    }

    /// Returns the CSRF token of this session's forms.
    fn csrf(&self, state: &HttpState) -> String {
        state.signer.sign(&["account", &self.token])
    }
}

/// Returns the user signed in to this browser, for pages that accept this instead of a key.
pub(in super::super) async fn signed_in(
    state: &HttpState,
    request: &HttpRequest,
) -> Result<Option<AccountHolder>, ServerError> {
    let Some(server) = &state.oauth else { return Ok(None) };
    Ok(Session::of(state, server, request).await?.map(|session| session.holder))
}

/// `GET /account`
pub(super) async fn show(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
) -> HttpResponse {
    match Session::of(&state, &server, &request).await {
        Ok(Some(session)) => overview(&state, &server, &session).await.unwrap_or_else(failed),
        Ok(None) => door(&state, &server, &request, None),
        Err(error) => failed(error),
    }
}

/// `GET /account/delete`: asks for confirmation before everything is deleted.
pub(super) async fn ask_to_delete(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
) -> HttpResponse {
    match Session::of(&state, &server, &request).await {
        Ok(Some(session)) => words::delete_everything(ACCOUNT_PATH, &session.csrf(&state), session.holder.account),
        Ok(None) => door(&state, &server, &request, None),
        Err(error) => failed(error),
    }
}

/// Returns the sign-in page.
fn door(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    problem: Option<(StatusCode, &'static str)>,
) -> HttpResponse {
    let csrf = match Csrf::of(state, request, &["account"]) {
        Ok(csrf) => csrf,
        Err(error) => return pages::error(&error),
    };
    let closed_by = closed_by(state, server);
    let mut response = words::door(ACCOUNT_PATH, &csrf.signed, &state.settings.app_url, closed_by.as_deref(), problem);
    csrf.keep(state, request, &mut response);
    response
}

async fn overview(
    state: &HttpState,
    server: &AuthorizationServer,
    session: &Session,
) -> Result<HttpResponse, ServerError> {
    let AccountHolder { user, account } = session.holder;
    let now = state.clock.now();
    let connection = state.store.connection(user).await?;
    let keys = state.store.keys(user).await?;
    let grants = state.store.grants(user, now).await?;
    let mut strangers = server.others(account).await?;
    strangers.retain(|reaching| reaching.user != user);
    let id = Uuid::now_v7().to_string();
    Ok(words::overview(&words::Overview {
        action: ACCOUNT_PATH,
        delete: super::DELETE_PATH,
        csrf: &session.csrf(state),
        app_url: &state.settings.app_url,
        account,
        connection: connection.as_ref(),
        keys: &keys,
        grants: &grants,
        strangers: &strangers,
        new_key: (&id, &new_key_proof(state, session, &id)),
        now,
    }))
}

/// Signs the id of the key that a form creates. Sending the form twice creates one key; unsigned ids are rejected.
fn new_key_proof(state: &HttpState, session: &Session, id: &str) -> String {
    state.signer.sign(&["new key", &session.token, id])
}

/// The fields of the page's forms.
#[derive(Deserialize)]
pub(super) struct Form {
    #[serde(default)]
    csrf: String,
    #[serde(flatten)]
    wish: Wish,
}

/// The action of a form. `SignIn` needs no session, and also reconnects an account.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Wish {
    SignIn,
    SignOut,
    EndKey { key: Uuid },
    EndClient { grant: Uuid },
    EndStranger { user: Uuid },
    MakeKey { id: Uuid, proof: String, name: Option<String>, scope: Scope },
    ShowKey { api_key: SecretString },
    Attach { attach: Uuid, from: Uuid, proof: String },
    Disconnect,
    Delete,
}

/// `POST /account`
pub(super) async fn act(
    state: web::Data<HttpState>,
    server: web::Data<AuthorizationServer>,
    request: HttpRequest,
    form: web::Form<Form>,
) -> HttpResponse {
    let Form { csrf, wish } = form.into_inner();
    if is_foreign(&request) {
        return pages::error(&ApiError::OriginNotAllowed);
    }
    let session = match Session::of(&state, &server, &request).await {
        Ok(session) => session,
        Err(error) => return failed(error),
    };
    let stale = Some((StatusCode::FORBIDDEN, words::STALE));
    match session {
        Some(session) if state.signer.verify(&["account", &session.token], &csrf) => {
            serve(&state, &server, &request, &session, wish).await.unwrap_or_else(failed)
        }
        Some(_) => words::stale(ACCOUNT_PATH),
        None if matches!(wish, Wish::SignIn) && is_genuine(&state, &request, &["account"], &csrf) => {
            send_to_ownerrez(&state, &server, &request).await
        }
        None => door(&state, &server, &request, stale),
    }
}

async fn send_to_ownerrez(state: &HttpState, server: &AuthorizationServer, request: &HttpRequest) -> HttpResponse {
    if let Err(wait) = state.oauth_limits.agrees(state.settings.source_of(request), state.clock.now()) {
        return too_many(wait);
    }
    let Some(client_id) = &state.settings.client_id else { return pages::error(&ApiError::NotConfigured) };
    match server.agree_for_account().await {
        Ok(agreed) => {
            let secret = agreed.state.expose_secret();
            to_ownerrez(state, request, client_id, secret, SIGN_IN_COOKIES, &agreed.browser)
        }
        Err(error) => failed(error),
    }
}

/// Finishes a sign-in to the account page, in the browser that was redirected to OwnerRez.
pub(super) async fn come_back(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    signed_in: Result<SignedIn, Unredeemed>,
) -> HttpResponse {
    let SignedIn { user, account, new } = match signed_in {
        Ok(signed_in) => signed_in,
        Err(Unredeemed::Denied) => return pages::notice(StatusCode::OK, words::DENIED),
        Err(Unredeemed::TooLate) => return pages::waiting::too_late(Some(&state.settings.url(ACCOUNT_PATH))),
        Err(Unredeemed::Failed(error)) => {
            return words::not_signed_in(&error.into(), ACCOUNT_PATH, &operator(state));
        }
    };
    log::info!("user {user} signed in to the account page{}", if new { ", for the first time" } else { "" });
    let opened = async {
        if let Some(before) = request.cookie(&cookie_name(state, SESSION_COOKIE)) {
            server.close_session(before.value()).await?;
        }
        server.open_session(AccountHolder { user, account }).await
    };
    match opened.await {
        Ok(token) => {
            let mut response = back(state);
            set_cookie(state, &mut response, SESSION_COOKIE, token.expose_secret().to_owned(), SESSION_LIFE);
            response
        }
        Err(error) => failed(error),
    }
}

async fn serve(
    state: &HttpState,
    server: &AuthorizationServer,
    request: &HttpRequest,
    session: &Session,
    wish: Wish,
) -> Result<HttpResponse, ServerError> {
    let holder = session.holder;
    let user = holder.user;
    let csrf = session.csrf(state);
    let here = state.settings.url(ACCOUNT_PATH);
    let desk = Desk {
        holder,
        action: ACCOUNT_PATH,
        fields: &[("csrf", &csrf), ("do", "attach")],
        bound_to: &session.token,
        back: &here,
    };
    match wish {
        Wish::SignIn => return Ok(send_to_ownerrez(state, server, request).await),
        Wish::SignOut => {
            server.close_session(&session.token).await?;
            return Ok(signed_out(state, back(state)));
        }
        Wish::EndKey { key } => {
            if server.end_key(holder, KeyId(key)).await? {
                log::info!("user {user} deleted key {key} on the account page");
            }
        }
        Wish::EndClient { grant } => {
            if server.end_grant(holder, GrantId(grant)).await? {
                log::info!("user {user} revoked grant {grant} on the account page");
            }
        }
        Wish::EndStranger { user: other } => {
            if server.end_connection(holder, UserId(other)).await? {
                log::info!("user {user} revoked the connection of user {other} to the same account");
            }
        }
        Wish::MakeKey { id, proof, name, scope } => {
            return make_key(state, request, session, id, &proof, (name, scope)).await;
        }
        Wish::ShowKey { api_key } => return Ok(attach::look(state, request, &desk, &api_key).await),
        Wish::Attach { attach: key, from, proof } => {
            let moving = Moving { key: KeyId(key), from: UserId(from), proof };
            return attach::attach(state, server, &desk, &moving).await;
        }
        Wish::Disconnect => {
            if state.sessions.disconnect(user).await? {
                log::info!("user {user} disconnected OwnerRez on the account page");
            }
        }
        Wish::Delete => {
            state.sessions.delete_user(user).await?;
            log::info!("user {user} deleted everything on the account page");
            return Ok(signed_out(state, pages::notice(StatusCode::OK, words::DELETED)));
        }
    }
    Ok(back(state))
}

async fn make_key(
    state: &HttpState,
    request: &HttpRequest,
    session: &Session,
    id: Uuid,
    proof: &str,
    (name, scope): (Option<String>, Scope),
) -> Result<HttpResponse, ServerError> {
    let user = session.holder.user;
    if !state.signer.verify(&["new key", &session.token, &id.to_string()], proof) {
        return Ok(words::stale(ACCOUNT_PATH));
    }
    let id = KeyId(id);
    if state.store.key(user, id).await?.is_some() {
        // The form was sent again by a reloaded page. The key is not shown a second time.
        return Ok(back(state));
    }
    let made = async {
        let wanted =
            keys::NewlyNamed { id, name: checked_name(name)?, scope, expires_at: None, view: KeyView::default() };
        keys::add(state, state.settings.source_of(request), user, None, wanted).await
    };
    Ok(match made.await {
        Ok(key) => {
            log::info!("user {user} created the {} key {} on the account page", scope.as_str(), key.prefix());
            words::new_key(&key, scope, &state.settings.url("/mcp"), ACCOUNT_PATH)
        }
        Err(error) => pages::error(&error),
    })
}

/// Redirects to the account page after a form was processed.
fn back(state: &HttpState) -> HttpResponse {
    see_other(&state.settings.url(ACCOUNT_PATH), &[])
}

fn signed_out(state: &HttpState, mut response: HttpResponse) -> HttpResponse {
    remove_cookie(state, &mut response, SESSION_COOKIE);
    response
}
