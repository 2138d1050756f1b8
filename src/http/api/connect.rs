//! The endpoints for the connection of an OwnerRez account. The page of a connect link is in `connect_link`.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    allowance::AttemptOrigin,
    domain::{JsonObject, Method, UpstreamRequest, in_minutes, member},
    http::{
        connecting::{connect_queue::queue_key, connection_check::is_connected},
        error::ApiError,
        extract::callers::{AnyCaller, FullCaller},
        middleware::request_logger::RequestContext,
        state::HttpState,
    },
    session::{ConnectError, Turn},
    tools::CallLogInfo,
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
pub(in crate::http) fn current_user_request() -> Arc<UpstreamRequest> {
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
        context.call(CallLogInfo::of(&outcome));
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
