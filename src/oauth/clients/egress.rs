//! Network access for clients' documents: DNS resolution, permitted addresses and trusted certificates. Addresses are
//! checked where the connection is made, so the checked address is the one that is used.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use actix_tls::connect::rustls_0_23::reexports::ClientConfig;
use tokio::sync::Semaphore;

use super::global_ip::is_public;
use crate::{domain::BoxFuture, outgoing::TlsTrust};

/// The maximum number of addresses that are tried per name.
const ADDRESSES: usize = 4;

/// Maximum concurrent lookups in the system's resolver. A lookup that hangs occupies its thread even after its fetch
/// was abandoned, so the limit equals that of fetches.
const LOOKUPS: usize = 64;

/// A DNS resolver.
pub trait Resolver: Send + Sync + 'static {
    /// Returns the addresses of this host, each with this port. Does not filter them.
    fn lookup(&self, host: &str, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>>;
}

/// The network that clients' documents are fetched from.
#[derive(Clone)]
pub struct EgressPolicy {
    resolver: Arc<dyn Resolver>,
    allows: fn(IpAddr) -> bool,
    pub(super) tls: TlsTrust,
}

impl fmt::Debug for EgressPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EgressPolicy")
    }
}

/// The host has no permitted address.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public address")]
pub(super) struct NoPublicAddress;

impl EgressPolicy {
    /// Returns the Internet: the system's resolver, public addresses only, and the certificate authorities that
    /// browsers trust.
    pub fn internet() -> Self {
        let resolver = Arc::new(SystemResolver { running: Arc::new(Semaphore::new(LOOKUPS)) });
        Self { resolver, allows: is_public, tls: TlsTrust::public() }
    }

    /// Returns a simulated network for tests. No setting leads here.
    pub fn simulated(resolver: Arc<dyn Resolver>, allows: fn(IpAddr) -> bool, tls: ClientConfig) -> Self {
        Self { resolver, allows, tls: tls.into() }
    }

    /// Returns the permitted addresses of a host, up to a limit. An IP address in place of a name is checked like one
    /// that was looked up.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, AddressError> {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let found = match literal {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self.resolver.lookup(host, port).await.map_err(AddressError::Lookup)?,
        };
        if found.is_empty() {
            return Err(AddressError::Lookup(io::ErrorKind::NotFound.into()));
        }
        let allowed: Vec<_> = found.into_iter().filter(|at| (self.allows)(at.ip())).take(ADDRESSES).collect();
        if allowed.is_empty() { Err(AddressError::Refused(NoPublicAddress)) } else { Ok(allowed) }
    }
}

/// Reasons for which there is no address to dial.
#[derive(Debug)]
pub(super) enum AddressError {
    /// The lookup failed, or the name does not exist.
    Lookup(io::Error),
    /// None of the addresses is permitted.
    Refused(NoPublicAddress),
}

struct SystemResolver {
    running: Arc<Semaphore>,
}

impl Resolver for SystemResolver {
    fn lookup(&self, host: &str, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        let (running, host) = (self.running.clone(), host.to_owned());
        Box::pin(async move {
            let permit = running.acquire_owned().await.map_err(io::Error::other)?;
            let lookup = tokio::task::spawn_blocking(move || {
                let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
                drop(permit);
                found
            });
            lookup.await.map_err(io::Error::other)?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks production's filter where it is applied: for IP literals and with the system's resolver.
    #[actix_web::test]
    async fn the_internet_is_not_this_machine() {
        let internet = EgressPolicy::internet();
        for host in ["127.0.0.1", "[::1]", "::1", "10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]", "localhost"] {
            let found = internet.addresses(host, 443).await;
            assert!(matches!(found, Err(AddressError::Refused(_))), "{host}: {found:?}");
        }
        let found = internet.addresses("1.1.1.1", 443).await.unwrap();
        assert_eq!(found, ["1.1.1.1:443".parse().unwrap()]);
    }
}
