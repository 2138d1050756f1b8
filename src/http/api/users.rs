//! Registration: creates a user with an API key.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::keys;
use crate::{
    auth::{SourceAddress, validate_name},
    config::RegistrationMode,
    crypto,
    domain::JsonObject,
    http::{error::ApiError, extract::bearer::bearer, state::HttpState},
};

/// `{name}`: the name of the key in lists and on the connect page.
#[derive(Deserialize)]
pub(crate) struct Registration {
    #[serde(default, deserialize_with = "keys::name")]
    name: Option<String>,
}

/// 201 `{user_id, api_key, message, …}`. The key is shown only in this response.
#[derive(Serialize)]
struct Registered<'a> {
    user_id: Uuid,
    api_key: &'a str,
    key_prefix: &'a str,
    mcp_url: String,
    message: &'static str,
}

/// `POST /api/users/register`
pub(crate) async fn register(
    state: web::Data<HttpState>,
    request: HttpRequest,
    body: Result<web::Json<JsonObject<Registration>>, actix_web::Error>,
) -> Result<HttpResponse, actix_web::Error> {
    let source = state.settings.source_of(&request);
    // Checked before the body: a caller that may not register needs no error about its body.
    check_registration_allowed(&state, &request, source)?;
    let JsonObject(Registration { name }) = body?.into_inner();
    let name = validate_name(name).map_err(ApiError::from)?;
    state.registrations.admit(source, state.clock.now()).map_err(ApiError::from)?;
    let (user, key) = match state.keys.register_user(source, name).await {
        Ok(made) => made,
        Err(error) => {
            state.registrations.refund(source);
            return Err(ApiError::from(error).into());
        }
    };
    log::info!("user {user} registered, key {}", key.prefix());
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(Registered {
        user_id: user.0,
        api_key: key.expose().expose_secret(),
        key_prefix: key.prefix(),
        mcp_url: state.settings.url("/mcp"),
        message: "Store this API key now: it is not shown again. Next, call GET /api/connect/ownerrez/start with it to \
                  get the link that connects your OwnerRez account.",
    }))
}

fn check_registration_allowed(state: &HttpState, request: &HttpRequest, source: SourceAddress) -> Result<(), ApiError> {
    let expected = match &state.settings.registration {
        RegistrationMode::Open => return Ok(()),
        RegistrationMode::Closed => return Err(ApiError::RegistrationClosed),
        RegistrationMode::Token(expected) => expected,
    };
    let offered = bearer(request).map_err(|_| ApiError::RegistrationTokenRequired)?;
    let (failures, now) = (state.keys.failed_keys(), state.clock.now());
    failures.admit(source, None, now)?;
    // Compares digests, so that the timing does not even depend on the token's length.
    if crypto::constant_time_eq(&crypto::sha256_hex(offered), &crypto::sha256_hex(expected.expose_secret())) {
        return Ok(());
    }
    failures.record_failure(source, None, now);
    Err(ApiError::RegistrationTokenRequired)
}
