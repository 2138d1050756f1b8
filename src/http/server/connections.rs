//! Limits the connections of the process and of each source.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::rt::net::TcpStream;

use super::{
    head::HeadTimeouts,
    open_files,
    quota::Exhausted,
    source_quota::{SourceQuota, SourceReservation},
    watched_stream::{Timeouts, WatchedStream},
};
use crate::{auth::SourceAddress, config::Network};

/// Sent on a rejected connection. A client that retries later gets a connection.
const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n";
/// The minimum time between two warnings about rejected connections.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

/// The limits on connections. Cloning is cheap; clones share the counts.
#[derive(Clone)]
pub struct Connections {
    total: usize,
    shares: SourceQuota,
    trusted: Arc<[Network]>,
    timeouts: Timeouts,
    warned: Arc<Mutex<Option<Instant>>>,
}

/// The settings for connections and for the time that their clients may take.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// Limits the open connections.
    pub max_connections: usize,
    /// Limits the open connections of one source: an IPv4 address or an IPv6 /64.
    pub per_source: usize,
    /// The number of database connections, for which open files are reserved.
    pub database_connections: usize,
    /// The time from the first byte of a request head to its last.
    pub head_timeout: Duration,
    /// How long an idle connection stays open.
    pub keep_alive: Duration,
    /// How long a client may take to accept any more of a response.
    pub send_timeout: Duration,
    /// Peers without a limit per source: proxies that forward requests of many clients.
    pub trusted_proxies: Arc<[Network]>,
}

impl Connections {
    /// Raises the limit of open files if the system allows it, and reduces the number of connections to fit it.
    pub fn new(settings: &ConnectionSettings) -> Self {
        let limit = open_files::raise_limit();
        let possible = open_files::connections_below(limit, settings.database_connections);
        let total = settings.max_connections.min(possible);
        if total < settings.max_connections {
            log::info!(
                "accepting at most {total} connections instead of {}: the limit of open files is {limit}",
                settings.max_connections
            );
        }
        Self {
            total,
            shares: SourceQuota::new(total, settings.per_source),
            trusted: settings.trusted_proxies.clone(),
            timeouts: Timeouts {
                head: HeadTimeouts { head: settings.head_timeout, idle: settings.keep_alive },
                send: settings.send_timeout,
            },
            warned: Arc::default(),
        }
    }

    /// Returns how many connections may be open.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Returns how long a client may take for a request head.
    pub(super) fn head_timeout(&self) -> Duration {
        self.timeouts.head.head
    }

    /// Returns how long an idle connection stays open.
    pub(super) fn keep_alive(&self) -> Duration {
        self.timeouts.head.idle
    }

    /// Accepts a connection and returns it with its peer.
    ///
    /// # Errors
    /// If a limit is reached. The client was sent 503, and the connection is closed.
    pub(super) fn admit(&self, io: TcpStream) -> io::Result<(WatchedStream, SocketAddr)> {
        let peer = io.peer_addr()?;
        match self.reserve_for(peer) {
            Ok(share) => Ok((WatchedStream::new(io, self.timeouts, share), peer)),
            Err(exhausted) => {
                // A new connection accepts these few bytes. If not, the client sees a closed connection.
                let _ = io.try_write(REFUSAL);
                self.warn(peer, exhausted);
                Err(io::ErrorKind::ConnectionRefused.into())
            }
        }
    }

    fn reserve_for(&self, peer: SocketAddr) -> Result<SourceReservation, Exhausted> {
        if self.trusted.iter().any(|network| network.contains(peer.ip())) {
            return self.shares.take_exempt(1);
        }
        self.shares.take(peer.ip().into(), 1)
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
        let (of_source, of_network) = self.shares.held_by(SourceAddress::from(peer.ip()));
        match exhausted {
            Exhausted::Holder => log::warn!(
                "rejected a connection from {}: {of_source} are open from this address, and {of_network} from its \
                 network. If this is your proxy, add it to TRUSTED_PROXIES; otherwise see \
                 server.max_connections_per_source",
                peer.ip()
            ),
            Exhausted::Process => log::warn!(
                "rejected a connection from {}: this process has reached its limit of connections. See \
                 server.max_connections and the limit of open files",
                peer.ip()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    fn connections(trusted: &[Network]) -> Connections {
        Connections::new(&ConnectionSettings {
            max_connections: 16,
            per_source: 3,
            database_connections: 0,
            head_timeout: Duration::from_secs(1),
            keep_alive: Duration::from_secs(1),
            send_timeout: Duration::from_secs(1),
            trusted_proxies: trusted.into(),
        })
    }

    fn peer(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 50_000)
    }

    /// Returns the shares of the peers that get a connection.
    fn taken(connections: &Connections, peers: impl IntoIterator<Item = String>) -> Vec<SourceReservation> {
        peers.into_iter().filter_map(|address| connections.reserve_for(peer(&address)).ok()).collect()
    }

    #[test]
    fn one_ipv6_network_holds_twice_what_one_source_may() {
        let connections = connections(&[]);
        let one_source = taken(&connections, (0..5).map(|host| format!("2001:db8:1:1::{host:x}")));
        assert_eq!(one_source.len(), 3);
        let its_network = taken(&connections, (2..9).map(|subnet| format!("2001:db8:1:{subnet:x}::1")));
        assert_eq!(its_network.len(), 3, "six in all");
        assert_eq!(connections.reserve_for(peer("2001:db8:1:ffff::1")).unwrap_err(), Exhausted::Holder);
        let another = taken(&connections, (0..5).map(|host| format!("2001:db8:2:1::{host:x}")));
        assert_eq!(another.len(), 3, "of another network");
        drop(one_source);
        assert!(connections.reserve_for(peer("2001:db8:1:ffff::1")).is_ok());
    }

    #[test]
    fn a_trusted_proxy_is_bounded_by_the_process_alone() {
        let environment = [("TRUSTED_PROXIES".to_owned(), "2001:db8:1::/48".to_owned())].into();
        let config = Config::load(Sources { file: None, environment }).unwrap();
        let connections = connections(&config.server.trusted_proxies);
        let proxied = taken(&connections, (0..99).map(|host| format!("2001:db8:1:1::{host:x}")));
        assert_eq!(proxied.len(), connections.total());
        assert_eq!(connections.reserve_for(peer("203.0.113.1")).unwrap_err(), Exhausted::Process);
    }
}
