//! A running gateway and its stop.

use std::{
    net::{Shutdown, SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::dev::ServerHandle;
use chrono::TimeDelta;
use futures_util::future::{Either, select};
use socket2::SockRef;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use url::Url;

use super::logging;
use crate::{
    auth::ApiKeyAuthenticator,
    domain::SharedClock,
    http::RequestBounds,
    session::Sessions,
    store::{InvalidationListener, Store},
};

/// The stop was orderly except for these tokens. The log reports them as well.
#[derive(Debug, thiserror::Error)]
#[error("new OwnerRez tokens of {0} users were not stored before the shutdown timeout; they may have to connect again")]
pub struct TokensNotStored(usize);

/// A running gateway.
pub struct App {
    pub(super) url: Url,
    pub(super) address: SocketAddr,
    pub(super) server: ServerHandle,
    /// The metrics listener, if it is separate.
    pub(super) metrics_server: Option<(SocketAddr, ServerHandle)>,
    pub(super) sessions: Sessions,
    pub(super) keys: ApiKeyAuthenticator,
    pub(super) changes: Arc<InvalidationListener>,
    pub(super) store: Store,
    pub(super) clock: SharedClock,
    pub(super) listener: TcpListener,
    /// The requests that are being answered.
    pub(super) under_way: TaskTracker,
    /// The requests whose bodies have not arrived completely.
    pub(super) unfinished: RequestBounds,
    pub(super) shutdown_timeout: TimeDelta,
    pub(super) stopping: Arc<AtomicBool>,
    /// The temporary directory of the single-user database; removed with the process.
    pub(super) _directory: Option<TempDir>,
}

impl App {
    /// Returns the public address, with path `/`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the address that the listener is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of the metrics listener, if it is separate.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_server.as_ref().map(|(address, _)| *address)
    }

    /// Returns the sessions, for metrics and tests.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Returns the key check, for metrics and tests.
    pub fn keys(&self) -> &ApiKeyAuthenticator {
        &self.keys
    }

    /// Stops the gateway: takes no new requests, refuses calls that were not sent to OwnerRez, waits up to the drain
    /// time for calls that were sent and for tokens to be stored, and closes everything.
    pub async fn stop(self) -> Result<(), TokensNotStored> {
        self.stopping.store(true, Ordering::Release);
        self.sessions.begin_stop();
        // One deadline for all steps: the whole stop takes no longer than the drain time.
        let until = self.clock.now() + self.shutdown_timeout;
        self.server.pause().await;
        logging::silence_listener_errors();
        // Refuse new connections at once, so that clients try another process instead of waiting for this one.
        if let Err(error) = SockRef::from(&self.listener).shutdown(Shutdown::Both) {
            log::debug!("the listener stays open until the end of the shutdown: {error}");
        }
        self.under_way.close();
        self.unfinished.stop();
        // The sessions run on the server's threads. These must not end before the last write, whose client may have
        // disconnected.
        let drained = {
            let rest = Box::pin(async {
                self.under_way.wait().await;
                self.sessions.drain().await;
            });
            matches!(select(rest, self.clock.sleep_until(until)).await, Either::Left(_))
        };
        // Counted here, because tokens that are not in the database are lost when the threads end.
        let unsaved = self.sessions.unsaved();
        // Database connections end with the threads that opened them, so the threads are stopped after this.
        self.sessions.flush_usage().await;
        if !drained {
            log::warn!("some calls to OwnerRez were still running at the shutdown timeout");
            // The running calls hold database connections, and closing the store below waits for those.
            self.server.stop(false).await;
        }
        self.changes.end();
        if let Err(error) = self.store.close().await {
            log::warn!("the database was not closed cleanly: {error}");
        }
        if drained {
            // A client that does not read its response gets no more time than the running calls did.
            select(Box::pin(self.server.stop(true)), self.clock.sleep_until(until)).await;
        }
        // Stopped last, so that the metrics also show the stop.
        if let Some((_, metrics_server)) = &self.metrics_server {
            metrics_server.stop(false).await;
        }
        self.sessions.stop().await;
        if unsaved > 0 {
            let lost = TokensNotStored(unsaved);
            log::error!("{lost}");
            return Err(lost);
        }
        Ok(())
    }
}
