//! Which connections are taken: bounded for the process and for each source.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::rt::net::TcpStream;

use super::{
    connection_share::ConnectionShare,
    open_files,
    shares::{Exhausted, Shares},
    watched_stream::{Timeouts, WatchedStream},
};
use crate::{
    config::Network,
    http::source_address::{Network48, SourceAddress},
};

/// What is sent on a connection that is not taken. A client that comes back later finds a free one.
const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n";
/// The least time between two warnings of refused connections.
const WARNING_PAUSE: Duration = Duration::from_secs(60);
/// How many times the bound of one source all sources of one IPv6 /48 may have. One customer often has a whole /48.
const SOURCES_PER_NETWORK: usize = 2;

/// The bounds on connections. Cloning is cheap; clones share the counts.
#[derive(Clone)]
pub struct Connections {
    total: usize,
    sources: Arc<Shares<SourceAddress>>,
    networks: Arc<Shares<Network48>>,
    trusted: Arc<[Network]>,
    timeouts: Timeouts,
    warned: Arc<Mutex<Option<Instant>>>,
}

/// How many connections are taken, and how long their clients may take.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// Open connections at once.
    pub max_connections: usize,
    /// Of these from one source: an IPv4 address or an IPv6 /64.
    pub per_source: usize,
    /// Connections to the database, for which open files are reserved.
    pub database_connections: usize,
    /// From the first byte of a request head to its last.
    pub head_timeout: Duration,
    /// To accept any more of an answer.
    pub send_timeout: Duration,
    /// Peers without a bound per source: proxies that pass on requests of many clients.
    pub trusted_proxies: Arc<[Network]>,
}

impl Connections {
    /// Raises the limit of open files if the system allows it, and keeps the bounds below it.
    pub fn new(settings: &ConnectionSettings) -> Self {
        let limit = open_files::raise_limit();
        let possible = open_files::connections_below(limit, settings.database_connections);
        let total = settings.max_connections.min(possible);
        if total < settings.max_connections {
            log::info!(
                "{total} connections are taken at once instead of {}: the limit of open files is {limit}",
                settings.max_connections
            );
        }
        Self {
            total,
            sources: Shares::new(total, settings.per_source),
            networks: Shares::new(total, settings.per_source.saturating_mul(SOURCES_PER_NETWORK)),
            trusted: settings.trusted_proxies.clone(),
            timeouts: Timeouts { head: settings.head_timeout, send: settings.send_timeout },
            warned: Arc::default(),
        }
    }

    /// Returns how many connections are taken at once.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Returns how long a client may take for a request head.
    pub(super) fn head_timeout(&self) -> Duration {
        self.timeouts.head
    }

    /// Takes a connection, with its peer.
    ///
    /// # Errors
    /// A bound is reached. The client was sent 503 and the connection is closed.
    pub(super) fn admit(&self, io: TcpStream) -> io::Result<(WatchedStream, SocketAddr)> {
        let peer = io.peer_addr()?;
        match self.share_of(peer) {
            Ok(share) => Ok((WatchedStream::new(io, self.timeouts, share), peer)),
            Err(exhausted) => {
                // A new connection accepts so few bytes. Without an answer the client sees a closed connection.
                let _ = io.try_write(REFUSAL);
                self.warn(peer, exhausted);
                Err(io::ErrorKind::ConnectionRefused.into())
            }
        }
    }

    fn share_of(&self, peer: SocketAddr) -> Result<ConnectionShare, Exhausted> {
        if self.trusted.iter().any(|network| network.contains(peer.ip())) {
            let source = self.sources.take_exempt(1).ok_or(Exhausted::Process)?;
            return Ok(ConnectionShare::of_proxy(source));
        }
        let source = SourceAddress::from(peer.ip());
        let network = self.networks.take(source.network(), 1)?;
        Ok(ConnectionShare::of_client(self.sources.take(source, 1)?, network))
    }

    fn warn(&self, peer: SocketAddr, exhausted: Exhausted) {
        let now = Instant::now();
        {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if warned.is_some_and(|warned| now.duration_since(warned) < WARNING_PAUSE) {
                return;
            }
            *warned = Some(now);
        }
        let held = self.sources.held_by(&peer.ip().into());
        match exhausted {
            Exhausted::Holder => log::warn!(
                "a connection from {} was refused: {held} are open from there. If your proxy is there, name it in \
                 TRUSTED_PROXIES; else see server.max_connections_per_source",
                peer.ip()
            ),
            Exhausted::Process => log::warn!(
                "a connection from {} was refused: as many are open as this process takes. See server.max_connections \
                 and the limit of open files",
                peer.ip()
            ),
        }
    }
}
