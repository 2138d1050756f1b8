//! Settings of the HTTP server: its addresses and limits.

use std::net::{IpAddr, SocketAddr};

use url::Url;

use super::{
    address::{base_address, host_name, is_loopback_address, web_origin},
    errors::Problem,
    layers::Layers,
    network::{Network, network},
    size::MEBIBYTE,
};

/// The maximum length in bytes of `server.contact`.
const CONTACT_LENGTH: usize = 200;

/// How the gateway is reached.
#[derive(Clone, Debug)]
pub struct ServerSection {
    /// The address to listen on. The privileges of loopback depend on this, never on `url`.
    pub bind: IpAddr,
    /// The port to listen on; 0 selects a free one.
    pub port: u16,
    /// The public address, with the path "/"; `None` only if `bind` is loopback. See [`ServerSection::public_url`].
    pub url: Option<Url>,
    /// The allowed values of the Host header, if the operator listed them. See [`ServerSection::hosts`].
    pub allowed_hosts: Option<Vec<String>>,
    /// Other origins that may call the gateway. See [`ServerSection::origins`].
    pub allowed_origins: Vec<String>,
    /// Reverse proxies whose forwarded client addresses are believed.
    pub trusted_proxies: Vec<Network>,
    /// How users reach the operator, as shown on pages.
    pub contact: Option<String>,
    /// The largest message to `/mcp` in bytes.
    pub max_body_bytes: usize,
    /// The limit in bytes on all request bodies that are being received.
    pub max_body_bytes_under_way: usize,
    /// How long a client may take to send a request head.
    pub header_timeout_seconds: u32,
    /// How long a client may take to send a request body.
    pub body_timeout_seconds: u32,
    /// How long a client may go without accepting any part of a response.
    pub send_timeout_seconds: u32,
    /// The maximum number of open connections.
    pub max_connections: usize,
    /// The same for one source: an IPv4 address or an IPv6 /64.
    pub max_connections_per_source: usize,
    /// The maximum number of requests from one source without a verified credential whose body has not arrived
    /// completely.
    pub max_unfinished_requests_per_source: usize,
    /// Messages to `/mcp` of more than 16 KiB that one user may send in a minute.
    pub large_requests_per_minute: u32,
    /// How long a shutdown waits for calls in flight.
    pub shutdown_seconds: u32,
    /// Threads that serve requests and run the sessions; at least one.
    pub workers: usize,
}

impl ServerSection {
    /// Returns whether only this machine can reach the gateway: the single condition for every privilege of loopback.
    pub fn is_loopback_only(&self) -> bool {
        is_loopback_address(self.bind)
    }

    /// Returns the address that users and OwnerRez use, with the path "/". `bound_port` is the port actually listened
    /// on.
    pub fn public_url(&self, bound_port: u16) -> Url {
        self.url.clone().unwrap_or_else(|| {
            #[expect(clippy::expect_used, reason = "http:// and a socket address always make a URL")]
            Url::parse(&format!("http://{}", SocketAddr::new(self.bind, bound_port))).expect("a URL")
        })
    }

    /// Returns the allowed values of the Host header, each with a port or for any port; never empty.
    pub fn hosts(&self) -> Vec<String> {
        self.allowed_hosts.clone().unwrap_or_else(|| {
            let own = self.url.as_ref().and_then(Url::host_str).map(str::to_owned);
            let bound = self.is_loopback_only().then(|| host_of(self.bind));
            let loopback = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
            let mut hosts: Vec<String> = own.into_iter().chain(bound).chain(loopback).collect();
            hosts.sort();
            hosts.dedup();
            hosts
        })
    }

    /// Returns the allowed values of the Origin header; never empty.
    pub fn origins(&self, bound_port: u16) -> Vec<String> {
        let own = self.public_url(bound_port).origin().ascii_serialization();
        std::iter::once(own).chain(self.allowed_origins.iter().cloned()).collect()
    }
}

fn host_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

pub(super) fn server(layers: &mut Layers) -> Option<ServerSection> {
    let server = ServerSection {
        bind: layers.text("server.bind", bind_address)?,
        port: layers.number("server.port", 0..=65535),
        url: layers.text("server.url", base_address),
        allowed_hosts: layers.list("server.allowed_hosts", host_name),
        allowed_origins: layers.list("server.allowed_origins", web_origin).unwrap_or_default(),
        trusted_proxies: layers.list("server.trusted_proxies", network).unwrap_or_default(),
        contact: layers.text("server.contact", contact),
        max_body_bytes: layers.number("server.max_body_bytes", 1024..=64 * MEBIBYTE),
        max_body_bytes_under_way: layers.number("server.max_body_bytes_under_way", MEBIBYTE..=64 * 1024 * MEBIBYTE),
        header_timeout_seconds: layers.number("server.header_timeout_seconds", 1..=600),
        body_timeout_seconds: layers.number("server.body_timeout_seconds", 1..=600),
        send_timeout_seconds: layers.number("server.send_timeout_seconds", 1..=600),
        max_connections: layers.number("server.max_connections", 16..=1_000_000),
        max_connections_per_source: layers.number("server.max_connections_per_source", 1..=1_000_000),
        max_unfinished_requests_per_source: layers.number("server.max_unfinished_requests_per_source", 1..=1_000_000),
        large_requests_per_minute: layers.number("server.large_requests_per_minute", 1..=1_000_000),
        shutdown_seconds: layers.number("server.shutdown_seconds", 1..=600),
        workers: layers.number("server.workers", 1..=256),
    };
    if !server.is_loopback_only() && !layers.is_set("server.url") {
        layers.refuse(
            "server.url",
            "it is not set, but server.bind (BIND) is not loopback",
            "set it to the public address of the gateway, like https://gateway.example.com",
        );
    }
    Some(server)
}

/// Parses an e-mail address, a telephone number or an https address: something that users can act on.
fn contact(text: &str) -> Result<String, Problem> {
    let is_page = || Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.username().is_empty());
    let is_number = || text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | ' ' | '(' | ')'));
    let is_mailbox =
        || text.split_once('@').is_some() && !text.contains(|c: char| c.is_whitespace() || "/:".contains(c));
    let shown = text.len() <= CONTACT_LENGTH && !text.chars().any(char::is_control);
    if shown && (is_page() || is_number() || is_mailbox()) {
        return Ok(text.to_owned());
    }
    let remedy = "set it to an e-mail address, a telephone number or an https URL";
    Err(Problem::new("it is not a contact address", remedy))
}

fn bind_address(text: &str) -> Result<IpAddr, Problem> {
    let remedy =
        "set it to 127.0.0.1 for this machine only, 0.0.0.0 for every network, or one of this machine's addresses";
    text.parse().map_err(|_| Problem::new("it is not an IP address", remedy))
}
