//! The wire: routes, pages, and the MCP endpoint. Every error leaves through one match in `error`.

mod accept;
mod authority;
mod batch;
mod body_form;
mod callback;
mod choice;
mod connect;
mod connect_turn;
mod cookies;
mod cors;
mod error;
mod failure;
mod guard;
mod key_check;
mod keys;
mod limits;
mod mcp;
mod mcp_caller;
mod mcp_failure;
mod metrics;
mod moved;
mod oauth;
mod observe;
mod pages;
mod path;
mod plain_call;
mod quoted_string;
mod ready;
mod server;
mod single_user;
mod source_address;
mod starting;
mod users;
mod wait_reason;
mod webhook;

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse, Resource, Responder,
    http::{Method, header},
    web,
};
use secrecy::SecretString;
use serde_json::json;
use url::Url;

pub use guard::{AllowedHosts, AllowedOrigins, Guard};
pub use key_check::{KeyCheck, KeySettings};
pub use limits::{LargeBodies, OAuthLimits, Registrations, WrongTokens};
pub use mcp::McpEndpoint;
pub use metrics::{Scrape, metrics_routes};
pub use observe::Observer;
pub use ready::Readiness;
pub use server::{ConnectionSettings, Connections, HeldBody, RequestBounds, RequestSettings, ServerSettings, serve};
pub use single_user::SingleUser;
pub use starting::{StartPhase, StartProgress, starting_routes};
pub use webhook::Notices;

use self::{error::ApiError, source_address::SourceAddress};
use crate::{
    config::{Network, PREDECESSOR_CALLBACK_PATH, RegistrationMode},
    crypto::Signer,
    domain::SharedClock,
    metrics::Metrics,
    oauth::{AccessCheck, AuthorizationServer},
    session::Sessions,
    store::Store,
    tools::{ConnectLinks, LINK_PATH},
};

/// The largest body in bytes that is read before a credential is verified, and the largest of the REST endpoints and forms.
pub const SMALL_BODY: usize = 16 * 1024;

/// What the handlers share. Cloning is cheap.
#[derive(Clone)]
pub struct HttpState {
    /// The database.
    pub store: Store,
    /// The way to the actors.
    pub sessions: Sessions,
    /// Makes connect links.
    pub links: ConnectLinks,
    /// Tells whose key a request bears.
    pub keys: KeyCheck,
    /// Who needs no key, where the gateway serves one person only.
    pub single_user: Option<Arc<SingleUser>>,
    /// Who registered from where of late.
    pub registrations: Arc<Registrations>,
    /// The authorization server; none until the operator has an OAuth app at OwnerRez.
    pub oauth: Option<AuthorizationServer>,
    /// Checks the access tokens that it gave out.
    pub access: Option<AccessCheck>,
    /// Who asked it from where of late.
    pub oauth_limits: Arc<OAuthLimits>,
    /// Notices of OwnerRez that are being looked after.
    pub notices: Arc<Notices>,
    /// Who sent large messages to `/mcp` of late.
    pub large_bodies: Arc<LargeBodies>,
    /// Time.
    pub clock: SharedClock,
    /// Signs forms.
    pub signer: Signer,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Settings that the handlers show or check.
    pub settings: Arc<HttpSettings>,
}

/// What the handlers need of the configuration.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `SERVER_URL`, or the bound address: an origin without a path.
    pub public_url: Url,
    /// Where OwnerRez shows its consent page: `OWNERREZ_APP_URL`.
    pub app_url: Url,
    /// `OWNERREZ_CLIENT_ID`; `None` until the operator has an OAuth app.
    pub client_id: Option<String>,
    /// Where OwnerRez sends the browser back to.
    pub redirect_uri: Url,
    /// Largest body of a message to `/mcp`, in bytes.
    pub max_body: usize,
    /// How people reach the operator.
    pub contact: Option<String>,
    /// How long a connect link is good.
    pub link_life: chrono::TimeDelta,
    /// Whether accounts may be connected by personal access tokens.
    pub personal_tokens: bool,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Who may register.
    pub registration: RegistrationMode,
    /// What OwnerRez's notices bear, `user:password`; without it none are taken.
    pub webhook: Option<SecretString>,
}

impl HttpSettings {
    /// An absolute URL of ours.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }

    /// Where a request comes from.
    pub(crate) fn source_of(&self, request: &HttpRequest) -> SourceAddress {
        SourceAddress::of(request, &self.trusted_proxies)
    }

    /// Whether browsers reach us over TLS: decides the names and flags of cookies.
    fn secure(&self) -> bool {
        self.public_url.scheme() == "https"
    }
}

/// What machines ask to watch the gateway.
#[derive(Clone)]
pub struct Probes {
    /// For `/ready`.
    pub readiness: Readiness,
    /// For `/metrics`; `None` where it is not served among the other routes.
    pub scrape: Option<Scrape>,
}

/// The whole route table.
pub fn routes(config: &mut web::ServiceConfig, state: HttpState, mcp: McpEndpoint, probes: Probes) {
    let json = web::JsonConfig::default().limit(SMALL_BODY).error_handler(|error, _| ApiError::from(error).into());
    let query = web::QueryConfig::default().error_handler(|error, _| ApiError::from(error).into());
    let page_form = web::FormConfig::default().limit(SMALL_BODY).error_handler(|error, _| page_error(error.into()));
    let page_query = web::QueryConfig::default().error_handler(|error, _| page_error(error.into()));
    let path = web::PathConfig::default().error_handler(|_, _| ApiError::NotFound.into());
    let payload = web::PayloadConfig::new(SMALL_BODY);
    if let Some(server) = state.oauth.clone() {
        oauth::routes(config, server, page_form.clone(), page_query.clone());
    }
    if let Some(scrape) = probes.scrape {
        metrics::route(config, scrape);
    }
    if let Some(credentials) = state.settings.webhook.clone() {
        webhook::route(config, credentials);
    }
    for path in choice::PATHS {
        config.service(at(path, "POST").route(web::route().to(mcp::handle)));
    }
    config
        .app_data(json)
        .app_data(query)
        .app_data(path)
        .app_data(payload)
        .app_data(web::Data::new(state))
        .app_data(web::Data::new(mcp))
        .service(at("/health", "GET, HEAD").route(web::get().to(health)).route(web::head().to(health)))
        .app_data(web::Data::new(probes.readiness))
        .service(at("/ready", "GET, HEAD").route(web::get().to(ready::ready)).route(web::head().to(ready::ready)))
        .service(at("/api/users/register", "POST").route(web::post().to(users::register)))
        .service(at("/api/users/me", "DELETE").route(web::delete().to(keys::delete_me)))
        .service(at("/api/keys", "GET, POST").route(web::get().to(keys::list)).route(web::post().to(keys::create)))
        .service(at("/api/keys/{id}", "DELETE").route(web::delete().to(keys::delete)))
        .service(at("/api/connect/ownerrez/token", "POST").route(web::post().to(connect::by_token)))
        .service(at("/api/connect/ownerrez/start", "GET").route(web::get().to(connect::start)))
        .service(
            at(LINK_PATH, "GET, POST")
                .app_data(page_form)
                .app_data(page_query.clone())
                .route(web::get().to(connect::show_link))
                .route(web::post().to(connect::submit_link)),
        )
        .service(at(callback::CALLBACK_PATH, "GET").app_data(page_query).route(web::get().to(callback::callback)))
        .service(at("/api/connect/ownerrez/status", "GET").route(web::get().to(connect::status)))
        .service(at("/api/connect/ownerrez/test", "GET").route(web::get().to(connect::test)))
        .service(at("/api/connect/ownerrez", "DELETE").route(web::delete().to(connect::disconnect)))
        .service(at(PREDECESSOR_CALLBACK_PATH, "GET").route(web::get().to(moved::callback)))
        .service(web::resource(["/sse", "/message"]).to(moved::transport))
        .default_service(web::to(|| async { HttpResponse::from_error(ApiError::NotFound) }));
}

/// What browsers get where a handler of pages was not reached.
fn page_error(error: ApiError) -> actix_web::Error {
    let page = pages::error(&error);
    actix_web::error::InternalError::from_response(error, page).into()
}

/// A resource that answers any other method with 405 and says which ones it takes (RFC 9110 section 15.5.6).
fn at(path: &str, allow: &'static str) -> Resource {
    web::resource(path)
        .default_service(web::to(move |request: HttpRequest| async move { other_method(&request, allow) }))
}

/// Answers a method that a resource does not take.
fn other_method(request: &HttpRequest, allow: &'static str) -> HttpResponse {
    if request.method() == Method::OPTIONS {
        return HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish();
    }
    let mut refusal = HttpResponse::from_error(ApiError::MethodNotAllowed(allow));
    refusal.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allow));
    refusal
}

/// The process lives. Whether it can serve is what `/ready` tells.
async fn health() -> impl Responder {
    web::Json(json!({"status": "ok"}))
}
