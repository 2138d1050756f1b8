//! The metrics listener, if it is separate.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{App as ActixApp, dev::ServerHandle, middleware::from_fn};

use super::{
    server_settings::{connection_settings, request_settings},
    start_error::StartError,
};
use crate::{
    config::Config,
    http::{self, ConnectionSettings, Connections, RequestBounds, RequestLogger, Scrape, ServerSettings},
};

/// Limits the open connections. The metrics have few readers.
const CONNECTIONS: usize = 64;

/// Starts a listener that serves only the metrics. One thread is enough for their readers.
pub(super) fn serve_metrics(
    address: SocketAddr,
    config: &Config,
    scrape: Scrape,
    logger: RequestLogger,
) -> Result<(SocketAddr, ServerHandle), StartError> {
    let listener = TcpListener::bind(address).map_err(|source| StartError::BindMetrics { address, source })?;
    let address = listener.local_addr()?;
    let settings = ServerSettings { workers: 1, shutdown_seconds: 1 };
    let connections = Connections::new(&ConnectionSettings {
        max_connections: CONNECTIONS,
        per_source: CONNECTIONS,
        keep_alive: Duration::from_secs(5),
        ..connection_settings(config)
    });
    let bounds = RequestBounds::new(request_settings(config));
    let server = http::serve(listener, settings, connections, move || {
        let (scrape, logger, bounds) = (scrape.clone(), logger.clone(), bounds.clone());
        ActixApp::new()
            .wrap(from_fn(move |request, next| bounds.clone().apply(request, next)))
            .wrap(from_fn(move |request, next| logger.clone().handle(request, next)))
            .configure(|routes| http::metrics_routes(routes, scrape))
    })?;
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok((address, handle))
}
