//! The way back from OwnerRez: with a code or an error, to a connect link or to a sign-in.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    HttpState,
    connect::{is_connected, link_gone},
    connect_turn::{Next, Returned, turn},
    cookies::CONNECT_COOKIES,
    error::ApiError,
    oauth::sign_in,
    pages,
};
use crate::{
    crypto,
    oauth::AuthorizationServer,
    session::{Admitted, ConnectError},
    store::{Link, Returning},
    tools::LINK_PATH,
    upstream::TokenError,
};

/// Where OwnerRez sends the browser back to.
pub(crate) const CALLBACK_PATH: &str = "/api/connect/ownerrez/callback";

/// A link that has to wait, and to start again, does not outlive this.
const LONGEST_LIFE: TimeDelta = TimeDelta::hours(1);

#[derive(Deserialize)]
pub(crate) struct CallbackQuery {
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) code: SecretString,
    pub(super) error: Option<String>,
}

/// `GET /api/connect/ownerrez/callback`: OwnerRez sends the browser here with a code or an error.
pub(crate) async fn callback(
    state: web::Data<HttpState>,
    request: HttpRequest,
    query: web::Query<CallbackQuery>,
) -> HttpResponse {
    let query = query.into_inner();
    if let Some(server) = &state.oauth
        && AuthorizationServer::is_sign_in(&query.state)
    {
        return sign_in::come_back(&state, server, &request, query).await;
    }
    let flow = query.state.clone();
    let mut response = match come_back(&state, &request, query).await {
        Ok(Came::Ended(response)) => response,
        // The cookie stays with a browser that waits, and with one that another site sent here, because its own
        // attempt may be under way.
        Ok(Came::Waits(page)) => return page,
        Ok(Came::FromElsewhere) => {
            return pages::notice(StatusCode::FORBIDDEN, pages::other_browser(state.settings.link_life));
        }
        // The database was away: nothing is used up, and a reload goes on.
        Err(error) => return pages::error(&error),
    };
    CONNECT_COOKIES.remove(&state, &mut response, &flow);
    response
}

/// What became of a browser that came back.
enum Came {
    /// Its link is used up.
    Ended(HttpResponse),
    /// Others go first.
    Waits(HttpResponse),
    /// The state is not one of this browser.
    FromElsewhere,
}

async fn come_back(state: &HttpState, request: &HttpRequest, query: CallbackQuery) -> Result<Came, ApiError> {
    let Some(browser) = CONNECT_COOKIES.get(state, request, &query.state) else { return Ok(Came::FromElsewhere) };
    let (state_hash, browser_hash) = (crypto::digest_hex(&query.state), crypto::digest_hex(&browser));
    let found = state.store.returning_to_link(&state_hash, &browser_hash, state.clock.now()).await?;
    let Some(Returning { to: link, created_at, returned_at, expires_at }) = found else {
        return Ok(Came::FromElsewhere);
    };
    let is_denied = query.error.is_some() || query.code.expose_secret().is_empty();
    let admitted = if is_denied || is_connected(state, link.user).await? {
        None
    } else {
        let returned = Returned {
            bound: (&query.state, &browser),
            code: &query.code,
            user: Some(link.user),
            returned_at,
            expires_at,
        };
        match turn(state, request, &returned).await {
            Next::Go(admitted) => Some(admitted),
            Next::Wait(mut page, first) => {
                if let Some(first) = first {
                    state.store.link_waits(&state_hash, &browser_hash, first).await?;
                }
                CONNECT_COOKIES.set(state, request, &mut page, &query.state, browser);
                return Ok(Came::Waits(page));
            }
            Next::TooLate => return Ok(Came::Ended(too_late(state, &query, &browser_hash, created_at).await?)),
            Next::NoCode => None,
        }
    };
    // Used up only now: until its turn the browser may come again.
    let Some(link) = state.store.take_link(&state_hash, &browser_hash, state.clock.now()).await? else {
        return Ok(Came::FromElsewhere);
    };
    let redeemed = redeem(state, link, query, is_denied, admitted).await;
    Ok(Came::Ended(redeemed.unwrap_or_else(|error| pages::error(&error))))
}

/// The end of a link that is used up.
async fn redeem(
    state: &HttpState,
    link: Link,
    query: CallbackQuery,
    is_denied: bool,
    admitted: Option<Admitted>,
) -> Result<HttpResponse, ApiError> {
    if is_denied {
        // Its text is not repeated: anyone may have written it.
        return Ok(pages::notice(StatusCode::OK, pages::DENIED));
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
    Ok(pages::connected(account, &key, &state.settings.url("/mcp")))
}

fn refused_code() -> ApiError {
    ApiError::Connect(ConnectError::Token(TokenError::Refused))
}

/// The page of a browser whose code ended before its turn. Its link lives on for another approval, within bounds.
async fn too_late(
    state: &HttpState,
    query: &CallbackQuery,
    browser_hash: &str,
    created_at: DateTime<Utc>,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    if now > created_at + LONGEST_LIFE {
        return Ok(pages::waiting::too_late(None));
    }
    let until = now + state.settings.link_life;
    state.store.prolong_link(&crypto::digest_hex(&query.state), browser_hash, until).await?;
    let mut url = state.settings.public_url.clone();
    url.set_path(LINK_PATH);
    url.query_pairs_mut().append_pair("state", &query.state);
    Ok(pages::waiting::too_late(Some(url.as_str())))
}
