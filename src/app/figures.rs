//! The listener that shows the metrics, where they have one of their own.

use std::net::{SocketAddr, TcpListener};

use actix_web::{App as ActixApp, HttpServer, dev::ServerHandle, middleware::from_fn};

use super::StartError;
use crate::http::{self, Observer, Scrape};

/// A listener for the metrics alone. One thread is enough for those who read them.
pub(super) fn show_metrics(
    address: SocketAddr,
    scrape: Scrape,
    observer: Observer,
) -> Result<(SocketAddr, ServerHandle), StartError> {
    let listener = TcpListener::bind(address).map_err(|source| StartError::BindMetrics { address, source })?;
    let address = listener.local_addr()?;
    let server = HttpServer::new(move || {
        let (scrape, observer) = (scrape.clone(), observer.clone());
        ActixApp::new()
            .wrap(from_fn(move |request, next| observer.clone().watch(request, next)))
            .configure(|routes| http::metrics_routes(routes, scrape))
    })
    .listen(listener)?
    .workers(1)
    .disable_signals()
    .run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok((address, handle))
}
