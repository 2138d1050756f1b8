//! `GET /metrics`: on a listener of its own, or on the main one behind a token; otherwise there is no such path.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use subtle::ConstantTimeEq;

use super::{at, error::ApiError, key_check::bearer, limits::WrongTokens, source_address::SourceAddress};
use crate::{
    config::Network,
    crypto,
    domain::SharedClock,
    metrics::{CONTENT_TYPE, Metrics},
    session::Sessions,
};

/// What a scrape needs.
#[derive(Clone)]
pub struct Scrape {
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Holds the figures that are asked for.
    pub sessions: Sessions,
    /// `METRICS_TOKEN`, hashed: who has it may look. Without one everybody may who reaches the listener.
    pub token_digest: Option<String>,
    /// Sources that sent wrong tokens; shared by all listeners.
    pub failures: Arc<WrongTokens>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<Network>,
    /// Time.
    pub clock: SharedClock,
}

/// The route, for either listener.
pub(crate) fn route(config: &mut web::ServiceConfig, scrape: Scrape) {
    config.app_data(web::Data::new(scrape)).service(at("/metrics", "GET").route(web::get().to(show)));
}

/// Everything that the listener for metrics alone serves.
pub fn metrics_routes(config: &mut web::ServiceConfig, scrape: Scrape) {
    route(config, scrape);
    config.default_service(web::to(|| async { HttpResponse::from_error(ApiError::NotFound) }));
}

async fn show(scrape: web::Data<Scrape>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if let Some(expected) = &scrape.token_digest {
        let offered = bearer(&request).map_err(|_| ApiError::BadMetricsToken)?;
        // Digests are compared, so that not even the token's length shows in the time it takes.
        if !bool::from(crypto::digest_hex(offered).as_bytes().ct_eq(expected.as_bytes())) {
            let source = SourceAddress::of(&request, &scrape.trusted_proxies);
            return Err(scrape.failures.refuse(source, scrape.clock.now()));
        }
    }
    scrape.metrics.observe(scrape.sessions.observed().await);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, CONTENT_TYPE))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(scrape.metrics.text()))
}
