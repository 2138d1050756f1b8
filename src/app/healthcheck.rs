//! `healthcheck`: requests `/health` from the gateway on this machine, for containers that have no other HTTP client.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use crate::config::Config;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Checks whether the gateway that these settings describe is alive.
///
/// # Errors
/// If it does not answer, or does not answer 200.
pub fn check_health(config: &Config) -> io::Result<()> {
    let address = SocketAddr::new(reachable(config.server.bind), config.server.port);
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let expected = b"HTTP/1.1 200 ";
    let mut answer = [0; 13];
    stream.read_exact(&mut answer)?;
    if answer == *expected {
        return Ok(());
    }
    Err(io::Error::other(format!("{address} returned {:?}", String::from_utf8_lossy(&answer))))
}

/// Returns the address under which a listener of this machine is reached.
fn reachable(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}
