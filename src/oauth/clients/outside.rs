//! How the clients' documents are reached: who looks up names, which addresses may be dialled, whose certificates
//! count. The addresses are judged where the connection is made, so the one that was judged is the one that is used.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use actix_tls::connect::rustls_0_23::reexports::ClientConfig;
use tokio::sync::Semaphore;

use super::public::is_public;
use crate::{domain::BoxFuture, outgoing::TlsTrust};

/// Of a name's addresses this many are tried.
const ADDRESSES: usize = 4;

/// Look-ups that the system runs at the same time. One that hangs keeps its thread after its fetch was given up, so there
/// are as many as fetches.
const LOOKUPS: usize = 64;

/// Looks up the addresses of hosts.
pub trait Names: Send + Sync + 'static {
    /// The addresses of this host, each with this port. Nothing is filtered here.
    fn lookup(&self, host: &str, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>>;
}

/// The world outside, as far as clients' documents are fetched from it.
#[derive(Clone)]
pub struct Outside {
    names: Arc<dyn Names>,
    admits: fn(IpAddr) -> bool,
    pub(super) tls: TlsTrust,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outside")
    }
}

/// No address of the host may be dialled.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public address")]
pub(super) struct NoPublicAddress;

impl Outside {
    /// The Internet: the system's resolver, public addresses only, the certificate authorities that browsers trust.
    pub fn internet() -> Self {
        let names = Arc::new(SystemNames { running: Arc::new(Semaphore::new(LOOKUPS)) });
        Self { names, admits: is_public, tls: TlsTrust::public() }
    }

    /// Another world, for tests. No setting leads here.
    pub fn imitated(names: Arc<dyn Names>, admits: fn(IpAddr) -> bool, tls: ClientConfig) -> Self {
        Self { names, admits, tls: tls.into() }
    }

    /// The addresses of a URI's host that may be dialled, some of them at most. An IP address in place of a name is
    /// judged like one that was looked up.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, AddressError> {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let found = match literal {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self.names.lookup(host, port).await.map_err(AddressError::Lookup)?,
        };
        if found.is_empty() {
            return Err(AddressError::Lookup(io::ErrorKind::NotFound.into()));
        }
        let admitted: Vec<_> = found.into_iter().filter(|at| (self.admits)(at.ip())).take(ADDRESSES).collect();
        if admitted.is_empty() { Err(AddressError::Refused(NoPublicAddress)) } else { Ok(admitted) }
    }
}

/// Why there is nothing to dial.
#[derive(Debug)]
pub(super) enum AddressError {
    /// The name cannot be looked up now, or there is no such name.
    Lookup(io::Error),
    /// All its addresses are none of ours to dial.
    Refused(NoPublicAddress),
}

struct SystemNames {
    running: Arc<Semaphore>,
}

impl Names for SystemNames {
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

    /// The filter that production has, at the place where it dials: by literal, and by the system's resolver.
    #[actix_web::test]
    async fn the_internet_is_not_this_machine() {
        let internet = Outside::internet();
        for host in ["127.0.0.1", "[::1]", "::1", "10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]", "localhost"] {
            let found = internet.addresses(host, 443).await;
            assert!(matches!(found, Err(AddressError::Refused(_))), "{host}: {found:?}");
        }
        let found = internet.addresses("1.1.1.1", 443).await.unwrap();
        assert_eq!(found, ["1.1.1.1:443".parse().unwrap()]);
    }
}
