//! `GET /metrics`: on a separate listener, or on the main listener with a token; otherwise the path does not exist.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use subtle::ConstantTimeEq;

use crate::{
    auth::WrongTokenLimiter,
    config::Network,
    crypto,
    domain::SharedClock,
    http::{
        error::ApiError,
        extract::{bearer::bearer, source_address::source_of},
        resource::resource_at,
    },
    metrics::{CONTENT_TYPE, Metrics},
    session::Sessions,
};

/// The state of the metrics endpoint.
#[derive(Clone)]
pub struct Scrape {
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Provides the gauges that are read at each scrape.
    pub sessions: Sessions,
    /// The hash of `METRICS_TOKEN`. Without a token, anyone that reaches the listener may read the metrics.
    pub token_digest: Option<String>,
    /// Counts wrong tokens by source; shared by all listeners.
    pub failures: Arc<WrongTokenLimiter>,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// The clock.
    pub clock: SharedClock,
}

/// Adds the route, on either listener.
pub(crate) fn route(config: &mut web::ServiceConfig, scrape: Scrape) {
    config.app_data(web::Data::new(scrape)).service(resource_at("/metrics", "GET").route(web::get().to(show)));
}

/// Configures the separate metrics listener.
pub fn metrics_routes(config: &mut web::ServiceConfig, scrape: Scrape) {
    route(config, scrape);
    config.default_service(web::to(|| async { HttpResponse::from_error(ApiError::NotFound) }));
}

async fn show(scrape: web::Data<Scrape>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if let Some(expected) = &scrape.token_digest {
        let offered = bearer(&request).map_err(|_| ApiError::BadMetricsToken)?;
        // Compares digests, so that the timing does not even depend on the token's length.
        if !bool::from(crypto::sha256_hex(offered).as_bytes().ct_eq(expected.as_bytes())) {
            let source = source_of(&request, &scrape.trusted_proxies);
            scrape.failures.record_failure(source, scrape.clock.now())?;
            return Err(ApiError::BadMetricsToken);
        }
    }
    scrape.metrics.observe(scrape.sessions.observed().await);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, CONTENT_TYPE))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(scrape.metrics.text()))
}
