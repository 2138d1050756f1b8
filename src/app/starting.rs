//! The server that answers on the port until the gateway is ready. A start may wait long for its database, and a
//! platform treats a process whose `/health` does not answer as dead.

use std::{io, net::TcpListener, time::Duration};

use actix_web::{App as ActixApp, HttpServer, dev::ServerHandle};

use crate::http::{self, StartProgress};

/// Limits the open connections. Each is closed after its answer, and after five seconds without a request.
const MAX_CONNECTIONS: usize = 256;

/// The time within which the worker takes up an accepted connection. The other server answers meanwhile.
const ACCEPT_GRACE: Duration = Duration::from_millis(20);

/// A running starting server; stops when dropped.
pub(super) struct StartingServer {
    server: ServerHandle,
    progress: StartProgress,
}

impl StartingServer {
    /// Answers on a listener that the gateway continues to use.
    pub(super) fn start(listener: TcpListener) -> io::Result<Self> {
        let progress = StartProgress::default();
        let shown = progress.clone();
        let server = HttpServer::new(move || {
            let shown = shown.clone();
            ActixApp::new().configure(|routes| http::starting_routes(routes, shown))
        })
        .listen(listener)?
        .workers(1)
        .max_connections(MAX_CONNECTIONS)
        .keep_alive(actix_web::http::KeepAlive::Disabled)
        .shutdown_timeout(1)
        .disable_signals()
        .run();
        let handle = server.handle();
        actix_rt::spawn(server);
        Ok(Self { server: handle, progress })
    }

    /// Returns where the start records its progress.
    pub(super) fn progress(&self) -> &StartProgress {
        &self.progress
    }

    /// Leaves the listener to the server that already runs on it, and answers the connections accepted before.
    #[expect(clippy::disallowed_methods, reason = "waits for another thread, which does not use the injected clock")]
    pub(super) async fn hand_over(self) {
        self.server.pause().await;
        // A stop drops accepted connections that the worker has not taken up yet.
        actix_rt::time::sleep(ACCEPT_GRACE).await;
        self.server.stop(true).await;
    }
}

impl Drop for StartingServer {
    fn drop(&mut self) {
        // The command is sent at once; nothing has to wait for the future.
        drop(self.server.stop(false));
    }
}
