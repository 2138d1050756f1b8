//! The HTTP server: the actix-web pipeline over streams with deadlines, and limits on connections and requests.
//!
//! The `HttpServer` of actix-web accepts no other stream type, so the same pipeline is built here.

mod bounds;
mod connection;
mod connections;
mod head;
mod open_files;
mod quota;
mod request_body;
mod request_bounds;
mod source_quota;
mod watched_stream;

use std::{fmt, future::ready, io, net::TcpListener, rc::Rc, time::Duration};

use actix_http::{HttpService, Protocol, Request, Response, error::DispatchError};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{
    Error,
    body::MessageBody,
    dev::{AppConfig, Server},
    rt::net::TcpStream,
};

use self::watched_stream::WatchedStream;
pub use self::{
    bounds::RequestSettings,
    connections::{ConnectionSettings, Connections},
    request_bounds::{HeldBody, RequestBounds},
};

/// How long a rejected client may continue to send its body before the connection is closed. Without this time the
/// client might not receive the response.
const LINGER: Duration = Duration::from_secs(1);

/// The number of connections that may wait for their rejection.
const PENDING_REJECTIONS: usize = 64;

/// The settings of the server.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// The number of threads; at least one.
    pub workers: usize,
    /// How long a graceful stop waits for connections, in seconds.
    pub shutdown_seconds: u64,
}

/// Serves an actix-web application. The application must be wrapped in [`RequestBounds::apply`], which signals to a
/// connection when its requests begin and end.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve<F, I, S, B>(
    listener: TcpListener,
    settings: ServerSettings,
    connections: Connections,
    application: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let address = listener.local_addr()?;
    let builder = Server::build()
        .workers(settings.workers)
        // At its own limit actix-server stops accepting connections of all clients. The limit of `connections` is
        // lower, and rejects them instead. Without actix-server's limit, a burst could use up all open files before the
        // first rejection.
        .max_concurrent_connections((connections.total() + PENDING_REJECTIONS).div_ceil(settings.workers))
        .shutdown_timeout(settings.shutdown_seconds)
        .disable_signals();
    let stop = builder.graceful_shutdown_signal();
    let builder = builder.listen(format!("http at {address}"), listener, move || {
        let (stop, connections) = (stop.clone(), connections.clone());
        let application = application().into_factory().map_err(|error: S::Error| error.into().error_response());
        let http = HttpService::build()
            // Idle connections close early when the gateway stops.
            .graceful_shutdown_signal(move || {
                let stop = stop.clone();
                async move { stop.notified().await }
            })
            .keep_alive(connections.keep_alive())
            .client_request_timeout(connections.head_timeout())
            .client_disconnect_timeout(LINGER)
            // Required to notice a client that disconnects during a call.
            .h1_allow_half_closed(false)
            .local_addr(address)
            .on_connect_ext(|stream: &WatchedStream, data| {
                data.insert::<Rc<connection::Connection>>(stream.connection());
            })
            .finish(map_config(application, |()| AppConfig::default()));
        fn_service(move |io: TcpStream| {
            let admitted = connections.admit(io);
            ready(match admitted {
                Ok((stream, peer)) => Ok((stream, Protocol::Http1, Some(peer))),
                Err(error) => Err(DispatchError::Io(error)),
            })
        })
        .and_then(http)
    })?;
    Ok(builder.run())
}
