//! The callback of a connect link: OwnerRez redirected the browser back with a code or an error.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;

use super::{
    connect_link::link_gone,
    connect_queue::{QueueOutcome, ReturnedBrowser, request_turn},
    connection_check::is_connected,
};
use crate::{
    crypto,
    http::{
        browser::cookies::CONNECT_COOKIES,
        callback_query::CallbackQuery,
        error::ApiError,
        pages::{self, connect as connect_pages},
        state::HttpState,
    },
    session::{Admitted, ConnectError},
    store::{CallbackState, ConnectLink},
    tools::LINK_PATH,
    upstream::TokenError,
};

/// Limits the lifetime of a connect link that is extended because its code expired before its turn.
const MAX_LINK_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// Handles OwnerRez's response to a connect link.
pub(in crate::http) async fn finish_callback(
    state: &HttpState,
    request: &HttpRequest,
    query: CallbackQuery,
) -> HttpResponse {
    let flow = query.state.clone();
    let mut response = match finish_connect(state, request, query).await {
        Ok(CallbackOutcome::Finished(response)) => response,
        // The cookie is kept for a browser that waits, and for one that another site sent here, because its own attempt
        // may be under way.
        Ok(CallbackOutcome::Waiting(page)) => return page,
        Ok(CallbackOutcome::OtherBrowser) => {
            return pages::notice(StatusCode::FORBIDDEN, connect_pages::other_browser(state.settings.link_lifetime));
        }
        // The database was unavailable. Nothing was consumed, so a reload continues.
        Err(error) => return pages::error(&error),
    };
    CONNECT_COOKIES.remove(state, &mut response, &flow);
    response
}

/// The result of a callback.
enum CallbackOutcome {
    /// The link was consumed.
    Finished(HttpResponse),
    /// The browser must wait: other attempts are ahead of it.
    Waiting(HttpResponse),
    /// The state does not belong to this browser.
    OtherBrowser,
}

async fn finish_connect(
    state: &HttpState,
    request: &HttpRequest,
    query: CallbackQuery,
) -> Result<CallbackOutcome, ApiError> {
    let Some(browser) = CONNECT_COOKIES.get(state, request, &query.state) else {
        return Ok(CallbackOutcome::OtherBrowser);
    };
    let (state_hash, browser_hash) = (crypto::sha256_hex(&query.state), crypto::sha256_hex(&browser));
    let found = state.store.link_callback_state(&state_hash, &browser_hash, state.clock.now()).await?;
    let Some(CallbackState { to: link, created_at, returned_at, expires_at }) = found else {
        return Ok(CallbackOutcome::OtherBrowser);
    };
    let is_denied = query.error.is_some() || query.code.expose_secret().is_empty();
    let admitted = if is_denied || is_connected(state, link.user).await? {
        None
    } else {
        let returned = ReturnedBrowser {
            bound: (&query.state, &browser),
            code: &query.code,
            user: Some(link.user),
            returned_at,
            expires_at,
        };
        match request_turn(state, request, &returned).await {
            QueueOutcome::Admitted(admitted) => Some(admitted),
            QueueOutcome::Wait(mut page, first) => {
                if let Some(first) = first {
                    state.store.mark_link_waiting(&state_hash, &browser_hash, first).await?;
                }
                CONNECT_COOKIES.set(state, request, &mut page, &query.state, browser);
                return Ok(CallbackOutcome::Waiting(page));
            }
            QueueOutcome::CodeExpired => {
                return Ok(CallbackOutcome::Finished(code_expired(state, &query, &browser_hash, created_at).await?));
            }
            QueueOutcome::InvalidCode => None,
        }
    };
    // The link is consumed only now: until its turn, the browser may call again.
    let Some(link) = state.store.take_link(&state_hash, &browser_hash, state.clock.now()).await? else {
        return Ok(CallbackOutcome::OtherBrowser);
    };
    let redeemed = redeem(state, link, query, is_denied, admitted).await;
    Ok(CallbackOutcome::Finished(redeemed.unwrap_or_else(|error| pages::error(&error))))
}

/// Finishes a link that was consumed.
async fn redeem(
    state: &HttpState,
    link: ConnectLink,
    query: CallbackQuery,
    is_denied: bool,
    admitted: Option<Admitted>,
) -> Result<HttpResponse, ApiError> {
    if is_denied {
        // The error text is not repeated: it may come from anyone.
        return Ok(pages::notice(StatusCode::OK, connect_pages::DENIED));
    }
    let Some(key) = state.store.key(link.user, link.key).await? else {
        return Ok(link_gone(state));
    };
    let Some(admitted) = admitted else {
        let is_connected = is_connected(state, link.user).await?;
        return Err(if is_connected { ApiError::AlreadyConnected } else { refused_code() });
    };
    let account = state.sessions.connect(link.user, query.code, admitted).await?;
    log::info!("user {} connected an OwnerRez account, key {}", link.user, key.prefix);
    Ok(connect_pages::connected(account, &key, &state.settings.url("/mcp")))
}

fn refused_code() -> ApiError {
    ApiError::Connect(ConnectError::Token(TokenError::InvalidGrant))
}

/// Returns the page for a browser whose code expired before its turn. The link stays valid for another approval, up to
/// [`MAX_LINK_LIFETIME`].
async fn code_expired(
    state: &HttpState,
    query: &CallbackQuery,
    browser_hash: &str,
    created_at: DateTime<Utc>,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    if now > created_at + MAX_LINK_LIFETIME {
        return Ok(pages::waiting::code_expired(None));
    }
    let until = now + state.settings.link_lifetime;
    state.store.extend_link(&crypto::sha256_hex(&query.state), browser_hash, until).await?;
    let mut url = state.settings.public_url.clone();
    url.set_path(LINK_PATH);
    url.query_pairs_mut().append_pair("state", &query.state);
    Ok(pages::waiting::code_expired(Some(url.as_str())))
}
