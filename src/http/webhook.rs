//! What OwnerRez says unasked. One thing matters here: somebody took the app away from their account.
//!
//! It is taken as a hint, and OwnerRez's own answer to the tokens decides. A notice may come late or twice (OwnerRez
//! repeats those that were not answered), when its user has long connected again.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{HttpState, at, connect, error::ApiError, failure::Failure};
use crate::{crypto, domain::AccountId};

const PATH: &str = "/api/webhooks/ownerrez";
/// Larger notices are about entities with long texts, and none of ours.
const LIMIT: usize = 256 * 1024;
const REVOKED: &str = "application_authorization_revoked";

/// Adds the route. `credentials` are `user:password`, as OwnerRez sends them.
pub(super) fn route(config: &mut web::ServiceConfig, credentials: SecretString) {
    config.service(
        at(PATH, "POST")
            .app_data(web::PayloadConfig::new(LIMIT))
            .app_data(web::Data::new(Credentials(credentials)))
            .route(web::post().to(receive)),
    );
}

struct Credentials(SecretString);

/// The members that matter (article "Webhooks").
#[derive(Deserialize)]
struct Notice {
    #[serde(default)]
    action: String,
    /// The account; absent from a test.
    user_id: Option<i64>,
}

/// `POST /api/webhooks/ownerrez`. OwnerRez gives up after 2 seconds, so what follows is done afterwards.
async fn receive(
    state: web::Data<HttpState>,
    credentials: web::Data<Credentials>,
    request: HttpRequest,
    body: Result<Bytes, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let (source, now) = (state.settings.source_of(&request), state.clock.now());
    let failures = state.keys.failures();
    failures.admit(source, None, now)?;
    if !is_from_ownerrez(&request, &credentials.0) {
        failures.failed(source, None, now);
        return Ok(refused());
    }
    let unreadable = || ApiError::BadRequest("The body is no notice of OwnerRez's.".to_owned());
    let notice: Notice = serde_json::from_slice(&body.map_err(|_| unreadable())?).map_err(|_| unreadable())?;
    if let Some(account) = notice.user_id.filter(|_| notice.action.eq_ignore_ascii_case(REVOKED)) {
        for reached in state.store.reaching(AccountId(account), now).await? {
            let (state, user) = (state.clone(), reached.user);
            actix_web::rt::spawn(async move {
                let outcome = state.sessions.call(user, &connect::who_am_i(), &CancellationToken::new()).await;
                let found =
                    if outcome.is_ok() { "the connection still works" } else { "the connection is looked after" };
                log::info!("OwnerRez says that user {user} ended the authorization: {found}");
            });
        }
    }
    Ok(HttpResponse::NoContent().finish())
}

fn is_from_ownerrez(request: &HttpRequest, expected: &SecretString) -> bool {
    let offered = || {
        let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        let decoded = STANDARD.decode(encoded.trim()).ok()?;
        scheme.eq_ignore_ascii_case("basic").then(|| String::from_utf8(decoded).ok()).flatten()
    };
    // Digests are compared, so that not even the length shows in the time it takes.
    let matches = |offered: String| {
        crypto::same_secret(&crypto::digest_hex(&offered), &crypto::digest_hex(expected.expose_secret()))
    };
    offered().is_some_and(matches)
}

fn refused() -> HttpResponse {
    const CODE: &str = "webhook_credentials_required";
    let mut response = HttpResponse::build(StatusCode::UNAUTHORIZED).json(json!({
        "error": CODE,
        "message": "Only OwnerRez may send this, with the user and password of the app's webhooks.",
        "hint": "Operators: give OWNERREZ_WEBHOOK_USER and OWNERREZ_WEBHOOK_PASSWORD what the app at OwnerRez has.",
    }));
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"webhooks\""));
    response.extensions_mut().insert(Failure { code: CODE, cause: None });
    response
}
