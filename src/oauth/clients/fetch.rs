//! Fetches a client's document or keys with one GET, under these limits: public addresses only, TLS, no redirects, 5
//! KB, 10 seconds, JSON. The only file of this module that uses awc.
//!
//! Each fetch opens a new connection. Fetches are rare, and a new connection always goes to an address that was just
//! checked. The guard of `outgoing` checks the response.

use std::{cell::Cell, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use actix_rt::net::TcpStream;
use actix_service::{Service, always_ready};
use actix_tls::connect::{ConnectError as DialError, ConnectInfo, Connection, tcp::TcpConnectorService};
use awc::{
    Connector,
    error::{ConnectError, PayloadError, SendRequestError},
    http::{
        Uri,
        header::{self, HeaderMap},
    },
};
use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::future::{Either, LocalBoxFuture, select};
use tokio::sync::{AcquireError, Semaphore};
use url::{Position, Url};

use super::{
    concurrency::{ConcurrencyLimits, SlotHolder, domain, network},
    egress::{AddressError, EgressPolicy, NoPublicAddress},
};
use crate::{
    domain::SharedClock,
    metrics::Metrics,
    outgoing::{Dialer, host_header, plain_origin},
};

/// The maximum size of a document, in bytes.
pub(super) const SIZE_LIMIT: usize = 5 * 1024;
/// The maximum duration of a fetch, from the call to the last byte.
const TIME_LIMIT: TimeDelta = TimeDelta::seconds(10);
/// The maximum numbers of running and waiting fetches in this process. Further fetches are rejected.
const MAX_RUNNING: usize = 64;
const MAX_WAITING: usize = 256;
/// The same limits per host, so that an unresponsive host does not block others.
const MAX_RUNNING_PER_HOST: usize = 2;
const MAX_WAITING_PER_HOST: usize = 8;
/// The same limits per domain, because the owner of a domain can have any number of hosts and DNS lookups that never
/// finish.
const MAX_RUNNING_PER_DOMAIN: usize = 16;
const MAX_WAITING_PER_DOMAIN: usize = 48;
/// The maximum number of running fetches per network, because one owner can have many domains. Many unrelated hosts
/// share the networks of large providers, so this is not much smaller than [`MAX_RUNNING`].
const MAX_RUNNING_PER_NETWORK: usize = 16;
/// awc uses real time. [`TIME_LIMIT`], measured with the injected clock, is the effective limit.
const BACKSTOP: Duration = Duration::from_secs(60);

/// The lifetime of a response without `Cache-Control`, and the limits on the value of that header.
const DEFAULT_LIFETIME: TimeDelta = TimeDelta::hours(1);
const MIN_LIFETIME: TimeDelta = TimeDelta::minutes(5);
const MAX_LIFETIME: TimeDelta = TimeDelta::hours(24);

/// A response that passed the HTTP checks.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The body, whose media type is JSON.
    pub(super) body: Bytes,
    /// How long the body may be used without fetching it again.
    pub(super) lifetime: TimeDelta,
}

/// Reasons for which a fetch fails.
///
/// A host that must not be dialled, one that cannot be reached, and one that does not respond have the same text and
/// the same consequence. Otherwise the error would reveal which internal names exist. Logs and metrics distinguish
/// them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FetchProblem {
    /// The host has no public address.
    #[error("cannot be fetched: no public host responded over TLS within 10 seconds")]
    NotPublic,
    /// A status other than 200, for example a redirect.
    #[error("was served with status {0} instead of 200; redirects are not followed")]
    Status(u16),
    /// The media type is not JSON.
    #[error("is not served as application/json")]
    ContentType,
    /// The body exceeds the limit.
    #[error("is larger than {SIZE_LIMIT} bytes")]
    TooLarge,
    /// The name is unknown, the port is closed, or the certificate is invalid.
    #[error("cannot be fetched: no public host responded over TLS within 10 seconds")]
    Unreachable,
    /// The response was not complete in time.
    #[error("cannot be fetched: no public host responded over TLS within 10 seconds")]
    TimedOut,
    /// The connection was closed before the response was complete.
    #[error("was not received completely")]
    Broken,
    /// A server error.
    #[error("was served with status {0}, a server error")]
    Fault(u16),
    /// Too many fetches are running or waiting.
    #[error("cannot be fetched now, because too many documents are being fetched")]
    Busy,
}

impl FetchProblem {
    /// Returns whether the same fetch may succeed later without a change to the document.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Status(_) | Self::ContentType | Self::TooLarge => false,
            Self::NotPublic | Self::Unreachable | Self::TimedOut | Self::Broken | Self::Fault(_) | Self::Busy => true,
        }
    }

    /// Returns a short fixed label for metrics and logs.
    pub(super) fn metric_label(&self) -> &'static str {
        match self {
            Self::NotPublic => "not_public",
            Self::Status(_) => "status",
            Self::ContentType => "content_type",
            Self::TooLarge => "too_large",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::Fault(_) => "fault",
            Self::Busy => "busy",
        }
    }
}

/// Fetches documents; clones share the limits.
#[derive(Clone)]
pub(super) struct Fetcher {
    egress: EgressPolicy,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    slots: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    hosts: Arc<ConcurrencyLimits<String>>,
    domains: Arc<ConcurrencyLimits<String>>,
    networks: Arc<ConcurrencyLimits<IpAddr>>,
}

impl Fetcher {
    pub(super) fn new(egress: EgressPolicy, clock: SharedClock, metrics: Arc<Metrics>) -> Self {
        let (slots, queue) =
            (Arc::new(Semaphore::new(MAX_RUNNING)), Arc::new(Semaphore::new(MAX_RUNNING + MAX_WAITING)));
        let hosts = ConcurrencyLimits::new(MAX_RUNNING_PER_HOST, MAX_WAITING_PER_HOST);
        let domains = ConcurrencyLimits::new(MAX_RUNNING_PER_DOMAIN, MAX_WAITING_PER_DOMAIN);
        let networks = ConcurrencyLimits::new(MAX_RUNNING_PER_NETWORK, 0);
        Self { egress, clock, metrics, slots, queue, hosts, domains, networks }
    }

    pub(super) async fn get(&self, url: &Url) -> Result<Fetched, FetchProblem> {
        let outcome = self.bounded(url).await;
        self.metrics.client_document(outcome.as_ref().map_or_else(FetchProblem::metric_label, |_| "fetched"));
        outcome
    }

    async fn bounded(&self, url: &Url) -> Result<Fetched, FetchProblem> {
        let name = url.host_str().unwrap_or_default();
        let host = self.hosts.join(&name.to_owned()).ok_or(FetchProblem::Busy)?;
        let domain = self.domains.join(&domain(name).to_owned()).ok_or(FetchProblem::Busy)?;
        let _place = self.queue.try_acquire().map_err(|_| FetchProblem::Busy)?;
        let deadline = self.clock.now() + TIME_LIMIT;
        // Acquires the host's slot first, so that a fetch that waits for its host occupies no other slot.
        let slots = async {
            let of_host = host.slots.acquire().await?;
            let of_domain = domain.slots.acquire().await?;
            Ok::<_, AcquireError>((of_host, of_domain, self.slots.acquire().await?))
        };
        let _slots = match select(Box::pin(slots), self.clock.sleep_until(deadline)).await {
            Either::Left((slots, _)) => slots.map_err(|_| FetchProblem::Busy)?,
            // The host was not contacted.
            Either::Right(_) => return Err(FetchProblem::Busy),
        };
        // The slot may have been granted at the very moment of the deadline.
        if self.clock.now() >= deadline {
            return Err(FetchProblem::Busy);
        }
        match select(Box::pin(self.exchange(url)), self.clock.sleep_until(deadline)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err(FetchProblem::TimedOut),
        }
    }

    async fn exchange(&self, url: &Url) -> Result<Fetched, FetchProblem> {
        // Held until the end of the fetch.
        let network = Rc::new(Cell::new(None));
        let (egress, networks) = (self.egress.clone(), self.networks.clone());
        let tcp = EgressConnector { egress, networks, network: network.clone() };
        let dialer = Dialer { tcp, tls: Some(self.egress.tls.clone()) };
        let connector = Connector::new().connector(dialer).timeout(BACKSTOP);
        let http = awc::Client::builder().connector(connector).disable_redirects().disable_timeout().finish();
        let call = http
            .get(format!("{}{}", plain_origin(url), &url[Position::BeforePath..Position::AfterQuery]))
            .force_close()
            .insert_header((header::HOST, host_header(url)))
            .insert_header((header::USER_AGENT, concat!("ownerrez-gateway/", env!("CARGO_PKG_VERSION"))))
            .insert_header((header::ACCEPT, "application/json"));
        let mut response = call.send().await.map_err(|error| sending_failed(&error))?;
        match response.status().as_u16() {
            200 => {}
            status @ (408 | 429 | 500..) => return Err(FetchProblem::Fault(status)),
            status => return Err(FetchProblem::Status(status)),
        }
        if !is_json(response.headers()) {
            return Err(FetchProblem::ContentType);
        }
        let lifetime = lifetime(response.headers());
        let body = response.body().limit(SIZE_LIMIT).await.map_err(|error| match error {
            PayloadError::Overflow => FetchProblem::TooLarge,
            _ => FetchProblem::Broken,
        })?;
        Ok(Fetched { body, lifetime })
    }
}

fn sending_failed(error: &SendRequestError) -> FetchProblem {
    match error {
        SendRequestError::Connect(ConnectError::Resolver(cause)) if cause.is::<NoPublicAddress>() => {
            FetchProblem::NotPublic
        }
        SendRequestError::Connect(ConnectError::Resolver(cause)) if cause.is::<NetworkLimitReached>() => {
            FetchProblem::Busy
        }
        SendRequestError::Connect(_) => FetchProblem::Unreachable,
        SendRequestError::Timeout => FetchProblem::TimedOut,
        _ => FetchProblem::Broken,
    }
}

/// Returns whether the media type is `application/json` or based on it, such as `application/jwk-set+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Returns the lifetime from `Cache-Control`, within the limits. The minimum applies even to `no-store`, so that one
/// sign-in does not fetch the same document at each step.
fn lifetime(headers: &HeaderMap) -> TimeDelta {
    let directives = headers.get_all(header::CACHE_CONTROL).filter_map(|value| value.to_str().ok());
    let mut lifetime = DEFAULT_LIFETIME;
    for directive in directives.flat_map(|value| value.split(',')) {
        let directive = directive.trim().to_ascii_lowercase();
        match directive.split_once('=').map_or((directive.as_str(), ""), |(name, value)| (name, value)) {
            ("no-store" | "no-cache", _) => return MIN_LIFETIME,
            ("max-age", seconds) => {
                // A value that is not a number, or too large, is limited to the maximum.
                let seconds = seconds.trim_matches('"').parse().unwrap_or(i64::MAX);
                lifetime = TimeDelta::try_seconds(seconds).unwrap_or(MAX_LIFETIME);
            }
            _ => {}
        }
    }
    lifetime.clamp(MIN_LIFETIME, MAX_LIFETIME)
}

/// Opens the connections: checks the addresses and dials one of them.
#[derive(Clone)]
struct EgressConnector {
    egress: EgressPolicy,
    networks: Arc<ConcurrencyLimits<IpAddr>>,
    network: Rc<Cell<Option<SlotHolder<IpAddr>>>>,
}

/// The network has reached its limit of running fetches.
#[derive(Debug, thiserror::Error)]
#[error("too many documents are being fetched from this network")]
struct NetworkLimitReached;

impl Service<ConnectInfo<Uri>> for EgressConnector {
    type Response = Connection<Uri, TcpStream>;
    type Error = DialError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, DialError>>;

    always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let Self { egress, networks, network: held } = self.clone();
        Box::pin(async move {
            let addresses = egress.addresses(info.hostname(), info.port()).await.map_err(|error| match error {
                AddressError::Lookup(error) => DialError::Io(error),
                AddressError::Refused(refused) => DialError::Resolver(Box::new(refused)),
            })?;
            if let Some(first) = addresses.first() {
                let member = networks.join(&network(first.ip()));
                held.set(Some(member.ok_or_else(|| DialError::Resolver(Box::new(NetworkLimitReached)))?));
            }
            TcpConnectorService::default().call(info.set_addrs(addresses)).await
        })
    }
}

#[cfg(test)]
mod tests {
    use awc::http::header::HeaderValue;

    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        std::iter::once((name, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_life_of_a_document_stays_within_bounds() {
        for (value, seconds) in [
            ("max-age=7200", 7200),
            ("public, Max-Age=\"7200\"", 7200),
            ("max-age=0", 300),
            ("max-age=10", 300),
            ("max-age=-5", 300),
            ("max-age=31536000", 86_400),
            ("max-age=99999999999999999999", 86_400),
            ("max-age=7200, no-store", 300),
            ("no-cache", 300),
            ("private", 3600),
            ("", 3600),
        ] {
            assert_eq!(lifetime(&headers(header::CACHE_CONTROL, value)).num_seconds(), seconds, "{value}");
        }
        assert_eq!(lifetime(&HeaderMap::new()), DEFAULT_LIFETIME);
    }

    #[test]
    fn json_is_told_from_the_rest() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/jwk-set+json", true),
            ("text/html", false),
            ("text/json+json", false),
            ("text/html; a=application/json", false),
            ("application/jsonp", false),
        ] {
            assert_eq!(is_json(&headers(header::CONTENT_TYPE, value)), expected, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
