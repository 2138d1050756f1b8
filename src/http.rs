//! The HTTP layer: routes, pages, and the MCP endpoint. One `match` in `error` maps every error to its response.

mod accept;
mod api_key_auth;
mod authority;
mod batch;
mod body_encoding;
mod callback;
mod connect;
mod connect_queue;
mod cookies;
mod cors;
mod error;
mod fast_path;
mod guard;
mod keys;
mod legacy_routes;
mod limits;
mod mcp;
mod mcp_caller;
mod mcp_failure;
mod metrics;
mod oauth;
mod pages;
mod path;
mod quoted_string;
mod ready;
mod request_logger;
mod server;
mod single_user;
mod source_address;
mod starting;
mod tool_selection;
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

pub use api_key_auth::{ApiKeyAuthenticator, KeySettings};
pub use guard::{AllowedHosts, AllowedOrigins, Guard};
pub use limits::{LargeBodyLimiter, OAuthLimits, RegistrationLimiter, WrongTokenLimiter};
pub use mcp::McpEndpoint;
pub use metrics::{Scrape, metrics_routes};
pub use ready::Readiness;
pub use request_logger::RequestLogger;
pub use server::{ConnectionSettings, Connections, HeldBody, RequestBounds, RequestSettings, ServerSettings, serve};
pub use single_user::SingleUser;
pub use starting::{StartPhase, StartProgress, starting_routes};
pub use webhook::Notices;

use self::{error::ApiError, source_address::SourceAddress};
use crate::{
    config::{Network, PREDECESSOR_CALLBACK_PATH, RegistrationMode},
    crypto::MacKey,
    domain::SharedClock,
    metrics::Metrics,
    oauth::{AccessTokenValidator, AuthorizationServer},
    session::Sessions,
    store::Store,
    tools::{ConnectLinks, LINK_PATH},
};

/// The largest body, in bytes, that is read before a credential is verified. Also the limit of REST calls and forms.
pub const SMALL_BODY: usize = 16 * 1024;

/// The state that the handlers share. Cloning is cheap.
#[derive(Clone)]
pub struct HttpState {
    /// The database.
    pub store: Store,
    /// Sends commands to the sessions.
    pub sessions: Sessions,
    /// Creates connect links.
    pub links: ConnectLinks,
    /// Verifies the API key of a request.
    pub keys: ApiKeyAuthenticator,
    /// The single user, who needs no key; only in single-user mode.
    pub single_user: Option<Arc<SingleUser>>,
    /// Limits registrations per source address.
    pub registrations: Arc<RegistrationLimiter>,
    /// The authorization server; `None` until the operator has an OAuth app at OwnerRez.
    pub oauth: Option<AuthorizationServer>,
    /// Verifies the access tokens that the authorization server issued.
    pub access: Option<AccessTokenValidator>,
    /// Limits requests to the authorization server per source address.
    pub oauth_limits: Arc<OAuthLimits>,
    /// The webhook notifications of OwnerRez that are being processed.
    pub notices: Arc<Notices>,
    /// Limits large messages to `/mcp` per user.
    pub large_bodies: Arc<LargeBodyLimiter>,
    /// The clock.
    pub clock: SharedClock,
    /// Signs forms.
    pub signer: MacKey,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Settings that the handlers show or check.
    pub settings: Arc<HttpSettings>,
}

/// The part of the configuration that the handlers need.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `SERVER_URL`, or the bound address: an origin without a path.
    pub public_url: Url,
    /// The URL of OwnerRez's consent page: `OWNERREZ_APP_URL`.
    pub app_url: Url,
    /// `OWNERREZ_CLIENT_ID`; `None` until the operator has an OAuth app.
    pub client_id: Option<String>,
    /// The URL to which OwnerRez redirects the browser.
    pub redirect_uri: Url,
    /// The largest body of a message to `/mcp`, in bytes.
    pub max_body: usize,
    /// The contact of the operator, shown to users.
    pub contact: Option<String>,
    /// The lifetime of a connect link.
    pub link_lifetime: chrono::TimeDelta,
    /// Whether accounts may be connected with personal access tokens.
    pub personal_tokens: bool,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// The registration policy.
    pub registration: RegistrationMode,
    /// The credentials that OwnerRez's webhook requests must have: `user:password`. Without it there is no webhook.
    pub webhook: Option<SecretString>,
}

impl HttpSettings {
    /// Returns the absolute URL of a path of the gateway.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }

    /// Returns the source address of a request.
    pub(crate) fn source_of(&self, request: &HttpRequest) -> SourceAddress {
        SourceAddress::of(request, &self.trusted_proxies)
    }

    /// Returns whether browsers use TLS. Decides the names and flags of cookies.
    fn secure(&self) -> bool {
        self.public_url.scheme() == "https"
    }
}

/// The endpoints for monitoring.
#[derive(Clone)]
pub struct Probes {
    /// For `/ready`.
    pub readiness: Readiness,
    /// For `/metrics`; `None` where it is not served among the other routes.
    pub scrape: Option<Scrape>,
}

/// Configures all routes.
pub fn routes(config: &mut web::ServiceConfig, state: HttpState, mcp: McpEndpoint, probes: Probes) {
    let json = web::JsonConfig::default().limit(SMALL_BODY).error_handler(|error, _| ApiError::from(error).into());
    let query = web::QueryConfig::default().error_handler(|error, _| ApiError::from(error).into());
    let page_form = web::FormConfig::default().limit(SMALL_BODY).error_handler(|error, _| error_page(error.into()));
    let page_query = web::QueryConfig::default().error_handler(|error, _| error_page(error.into()));
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
    for path in tool_selection::PATHS {
        config.service(resource_at(path, "POST").route(web::route().to(mcp::handle)));
    }
    config
        .app_data(json)
        .app_data(query)
        .app_data(path)
        .app_data(payload)
        .app_data(web::Data::new(state))
        .app_data(web::Data::new(mcp))
        .service(resource_at("/health", "GET, HEAD").route(web::get().to(health)).route(web::head().to(health)))
        .app_data(web::Data::new(probes.readiness))
        .service(
            resource_at("/ready", "GET, HEAD").route(web::get().to(ready::ready)).route(web::head().to(ready::ready)),
        )
        .service(resource_at("/api/users/register", "POST").route(web::post().to(users::register)))
        .service(resource_at("/api/users/me", "DELETE").route(web::delete().to(keys::delete_me)))
        .service(
            resource_at("/api/keys", "GET, POST").route(web::get().to(keys::list)).route(web::post().to(keys::create)),
        )
        .service(resource_at("/api/keys/{id}", "DELETE").route(web::delete().to(keys::delete)))
        .service(resource_at("/api/connect/ownerrez/token", "POST").route(web::post().to(connect::by_token)))
        .service(resource_at("/api/connect/ownerrez/start", "GET").route(web::get().to(connect::start)))
        .service(
            resource_at(LINK_PATH, "GET, POST")
                .app_data(page_form)
                .app_data(page_query.clone())
                .route(web::get().to(connect::show_link))
                .route(web::post().to(connect::submit_link)),
        )
        .service(
            resource_at(callback::CALLBACK_PATH, "GET").app_data(page_query).route(web::get().to(callback::callback)),
        )
        .service(resource_at("/api/connect/ownerrez/status", "GET").route(web::get().to(connect::status)))
        .service(resource_at("/api/connect/ownerrez/test", "GET").route(web::get().to(connect::test)))
        .service(resource_at("/api/connect/ownerrez", "DELETE").route(web::delete().to(connect::disconnect)))
        .service(resource_at(PREDECESSOR_CALLBACK_PATH, "GET").route(web::get().to(legacy_routes::callback)))
        .service(web::resource(["/sse", "/message"]).to(legacy_routes::transport))
        .default_service(web::to(|| async { HttpResponse::from_error(ApiError::NotFound) }));
}

/// Returns an error page if a request for a page fails before its handler.
fn error_page(error: ApiError) -> actix_web::Error {
    let page = pages::error(&error);
    actix_web::error::InternalError::from_response(error, page).into()
}

/// Returns a resource that answers any other method with 405 and the allowed ones (RFC 9110 section 15.5.6).
fn resource_at(path: &str, allow: &'static str) -> Resource {
    web::resource(path)
        .default_service(web::to(move |request: HttpRequest| async move { method_not_allowed(&request, allow) }))
}

/// Answers a method that a resource does not support.
fn method_not_allowed(request: &HttpRequest, allow: &'static str) -> HttpResponse {
    if request.method() == Method::OPTIONS {
        return HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish();
    }
    let mut refusal = HttpResponse::from_error(ApiError::MethodNotAllowed(allow));
    refusal.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allow));
    refusal
}

/// Answers whether the process is alive. `/ready` reports whether it can serve.
async fn health() -> impl Responder {
    web::Json(json!({"status": "ok"}))
}
