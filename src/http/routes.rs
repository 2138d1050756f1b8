//! The table of all routes.

use actix_web::{HttpResponse, web};

use super::{
    api::{
        connect,
        health::health,
        keys, legacy_routes,
        metrics::{self, Scrape},
        ready::{self, Readiness},
        users, webhook,
    },
    callback,
    connecting::connect_link,
    error::ApiError,
    mcp::{self, McpEndpoint, tool_selection},
    oauth, pages,
    resource::resource_at,
    state::{HttpState, SMALL_BODY},
};
use crate::{config::PREDECESSOR_CALLBACK_PATH, tools::LINK_PATH};

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
                .route(web::get().to(connect_link::show_link))
                .route(web::post().to(connect_link::submit_link)),
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
