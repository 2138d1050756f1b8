//! The webhook endpoint for OwnerRez. Only one notification matters: a user revoked the app's access to the account.
//!
//! The notification is only a hint; OwnerRez's response to the stored tokens decides. A notification may come late or
//! twice (OwnerRez repeats those that were not answered), when its user has long reconnected.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{connect, notices::MERGED_WITHIN};
use crate::{
    crypto,
    domain::{AccountId, ErrorCode, JsonObject},
    http::{
        error::{ApiError, ErrorLogInfo},
        middleware::request_logger::RequestContext,
        resource::resource_at,
        state::HttpState,
    },
};

const PATH: &str = "/api/webhooks/ownerrez";
const REVOKED: &str = "application_authorization_revoked";

/// Adds the route. `credentials` are `user:password`, as OwnerRez sends them.
pub(in crate::http) fn route(config: &mut web::ServiceConfig, credentials: SecretString) {
    config.service(
        resource_at(PATH, "POST").app_data(web::Data::new(Credentials(credentials))).route(web::post().to(receive)),
    );
}

struct Credentials(SecretString);

/// The members that matter (article "Webhooks").
#[derive(Deserialize)]
struct Notice {
    #[serde(default)]
    action: String,
    /// The account; absent in a test notification.
    user_id: Option<i64>,
}

/// `POST /api/webhooks/ownerrez`. OwnerRez times out after 2 seconds, so the check runs after the response.
async fn receive(
    state: web::Data<HttpState>,
    credentials: web::Data<Credentials>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (source, now) = (state.settings.source_of(&request), state.clock.now());
    let failures = state.keys.failed_keys();
    failures.admit(source, None, now)?;
    if !is_from_ownerrez(&request, &credentials.0) {
        failures.record_failure(source, None, now);
        return Ok(unauthorized());
    }
    if let Some(context) = RequestContext::of(&request) {
        context.verify();
    }
    let body = body.to_bytes_limited(state.settings.max_body).await.map_err(|_| ApiError::TooLarge)?;
    let unreadable = || ApiError::BadRequest("The body is not an OwnerRez webhook notification.".to_owned());
    let body = body.map_err(|_| unreadable())?;
    let JsonObject(notice) = serde_json::from_slice::<JsonObject<Notice>>(&body).map_err(|_| unreadable())?;
    if let Some(account) = notice.user_id.filter(|_| notice.action.eq_ignore_ascii_case(REVOKED)).map(AccountId)
        && !state.store.users_with_access(account, now).await?.is_empty()
        && state.notices.take(account, now)
    {
        actix_web::rt::spawn(check_until_quiet(state, account));
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Checks the tokens of every user of the account, and repeats this after a pause while notifications arrive.
async fn check_until_quiet(state: web::Data<HttpState>, account: AccountId) {
    loop {
        check_users(&state, account).await;
        state.clock.sleep_until(state.clock.now() + MERGED_WITHIN).await;
        if !state.notices.take_repeat(account, state.clock.now()) {
            return;
        }
    }
}

async fn check_users(state: &HttpState, account: AccountId) {
    let reaching = match state.store.users_with_access(account, state.clock.now()).await {
        Ok(reaching) => reaching,
        Err(error) => {
            // The next call of each user detects the revocation.
            log::warn!("cannot read the users of a disconnected account: {error}");
            return;
        }
    };
    let questions = reaching.into_iter().map(|reached| async move {
        let outcome =
            state.sessions.call(reached.user, &connect::current_user_request(), &CancellationToken::new()).await;
        let found = if outcome.is_ok() { "the connection still works" } else { "the connection check failed" };
        log::info!("OwnerRez webhook: authorization revoked by user {} ({found})", reached.user);
    });
    join_all(questions).await;
}

fn is_from_ownerrez(request: &HttpRequest, expected: &SecretString) -> bool {
    let offered = || {
        let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        let decoded = STANDARD.decode(encoded.trim()).ok()?;
        scheme.eq_ignore_ascii_case("basic").then(|| String::from_utf8(decoded).ok()).flatten()
    };
    // Compares digests, so that the timing does not even depend on the length.
    let matches = |offered: String| {
        crypto::constant_time_eq(&crypto::sha256_hex(&offered), &crypto::sha256_hex(expected.expose_secret()))
    };
    offered().is_some_and(matches)
}

fn unauthorized() -> HttpResponse {
    const CODE: ErrorCode = ErrorCode::WebhookCredentialsRequired;
    let mut response = HttpResponse::build(StatusCode::UNAUTHORIZED).json(json!({
        "error": CODE,
        "message": "This endpoint accepts only OwnerRez webhooks, with the user and password of the app.",
        "hint": "Operators: set OWNERREZ_WEBHOOK_USER and OWNERREZ_WEBHOOK_PASSWORD to the values of the app at \
                 OwnerRez.",
    }));
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"webhooks\""));
    response.extensions_mut().insert(ErrorLogInfo { code: CODE, cause: None });
    response
}
