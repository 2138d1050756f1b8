//! The HTTP server: actix-web's pipeline over streams with deadlines, and bounds on connections and requests.
//!
//! actix-web's own `HttpServer` cannot take another type of stream, so the same pipeline is built here by hand.

mod bounds;
mod connection;
mod connections;
mod head;
mod open_files;
mod request_body;
mod request_bounds;
mod shares;
mod source_shares;
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

/// How long a client that is refused may go on sending its body before the connection is closed. Without this time it
/// might not receive the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Connections that may wait for their refusal.
const BEING_REFUSED: usize = 64;

/// How requests are served.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// Threads; at least one.
    pub workers: usize,
    /// How long an orderly stop waits for connections, in seconds.
    pub shutdown_seconds: u64,
}

/// Serves an application of actix-web. The application must be wrapped in [`RequestBounds::apply`], which signals to a
/// connection when its requests begin and end.
///
/// # Errors
/// The listener cannot be used.
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
        // Over its own bound actix-server stops to accept, for everyone. `connections` is below it, and refuses. Without
        // the bound a burst could take all open files before the first of it is refused.
        .max_concurrent_connections((connections.total() + BEING_REFUSED).div_ceil(settings.workers))
        .shutdown_timeout(settings.shutdown_seconds)
        .disable_signals();
    let stop = builder.graceful_shutdown_signal();
    let builder = builder.listen(format!("http at {address}"), listener, move || {
        let (stop, connections) = (stop.clone(), connections.clone());
        let application = application().into_factory().map_err(|error: S::Error| error.into().error_response());
        let http = HttpService::build()
            // Connections on which nothing is asked end early at a stop.
            .graceful_shutdown_signal(move || {
                let stop = stop.clone();
                async move { stop.notified().await }
            })
            .keep_alive(connections.keep_alive())
            .client_request_timeout(connections.head_timeout())
            .client_disconnect_timeout(LINGER)
            // A client that hangs up in the middle of a call is noticed only this way.
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
