//! One GET for a client's document or keys, under all the rules at once: public addresses only, TLS, no redirects,
//! 5 KB, 10 seconds, JSON. The only file here that names awc.
//!
//! Each fetch makes a connection of its own. They are rare, and so a connection always goes to an address that was judged just now. The guard
//! over the answer is the one of `outgoing`.

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
    crowd::{Crowds, Member, domain, network},
    outside::{AddressError, NoPublicAddress, Outside},
};
use crate::{
    domain::SharedClock,
    metrics::Metrics,
    outgoing::{Dialer, host_header, plain_origin},
};

/// The largest document, in bytes.
pub(super) const SIZE_LIMIT: usize = 5 * 1024;
/// From the wish to the last byte.
const TIME_LIMIT: TimeDelta = TimeDelta::seconds(10);
/// Fetches at the same time, in this process, and those that wait for a slot; more are refused for now.
const AT_ONCE: usize = 64;
const WAITING: usize = 256;
/// The same for one host. A host that stays silent holds up no other.
const AT_ONCE_PER_HOST: usize = 2;
const WAITING_PER_HOST: usize = 8;
/// The same for one domain, because one owner can have any number of hosts in it, and look-ups of names that never end.
const AT_ONCE_PER_DOMAIN: usize = 16;
const WAITING_PER_DOMAIN: usize = 48;
/// Fetches at the same time from one network, because one owner can have many domains. Many unrelated hosts
/// share the networks of large providers, so this is not much smaller than [`AT_ONCE`].
const AT_ONCE_PER_NETWORK: usize = 16;
/// awc counts in real time; what bounds a fetch is [`TIME_LIMIT`] by the clock.
const BACKSTOP: Duration = Duration::from_secs(60);

/// How long an answer counts that does not say, and the bounds on what it may say.
const LIFE: TimeDelta = TimeDelta::hours(1);
const SHORTEST_LIFE: TimeDelta = TimeDelta::minutes(5);
const LONGEST_LIFE: TimeDelta = TimeDelta::hours(24);

/// An answer that was good so far.
#[derive(Debug)]
pub(super) struct Fetched {
    /// JSON, by its own account.
    pub(super) body: Bytes,
    /// How long it may be used without asking again.
    pub(super) life: TimeDelta,
}

/// Why there is no document.
///
/// A host that may not be dialled, one that cannot be reached, and one that stays silent have the same text and the same
/// consequence. Otherwise the answer would say which internal names exist. Logs and metrics name the difference.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FetchProblem {
    /// Nothing may be dialled there.
    #[error("cannot be fetched: no public host answers there over TLS within 10 seconds")]
    NotPublic,
    /// An answer that is not the document, a redirect for instance.
    #[error("answered with status {0} where 200 is needed; redirects are not followed")]
    Status(u16),
    /// Something else than JSON.
    #[error("is not sent as application/json")]
    ContentType,
    /// Beyond the bound.
    #[error("is larger than {SIZE_LIMIT} bytes")]
    TooLarge,
    /// The name is unknown, nothing listens, or the certificate is not good.
    #[error("cannot be fetched: no public host answers there over TLS within 10 seconds")]
    Unreachable,
    /// Not complete in time.
    #[error("cannot be fetched: no public host answers there over TLS within 10 seconds")]
    TimedOut,
    /// The connection ended early.
    #[error("broke off its answer")]
    Broken,
    /// A fault on the other side.
    #[error("answered with status {0}, a fault of its own")]
    Fault(u16),
    /// Too much to do here.
    #[error("cannot be asked now, because too many documents are being fetched")]
    Busy,
}

impl FetchProblem {
    /// Whether the same fetch may succeed in a while, without anybody repairing the document.
    pub fn passes(&self) -> bool {
        match self {
            Self::Status(_) | Self::ContentType | Self::TooLarge => false,
            Self::NotPublic | Self::Unreachable | Self::TimedOut | Self::Broken | Self::Fault(_) | Self::Busy => true,
        }
    }

    /// One word of few, for counters and logs.
    pub(super) fn word(&self) -> &'static str {
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

/// Fetches; clones share the bounds.
#[derive(Clone)]
pub(super) struct Fetcher {
    outside: Outside,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    slots: Arc<Semaphore>,
    line: Arc<Semaphore>,
    hosts: Arc<Crowds<String>>,
    domains: Arc<Crowds<String>>,
    networks: Arc<Crowds<IpAddr>>,
}

impl Fetcher {
    pub(super) fn new(outside: Outside, clock: SharedClock, metrics: Arc<Metrics>) -> Self {
        let (slots, line) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Semaphore::new(AT_ONCE + WAITING)));
        let hosts = Crowds::new(AT_ONCE_PER_HOST, WAITING_PER_HOST);
        let domains = Crowds::new(AT_ONCE_PER_DOMAIN, WAITING_PER_DOMAIN);
        let networks = Crowds::new(AT_ONCE_PER_NETWORK, 0);
        Self { outside, clock, metrics, slots, line, hosts, domains, networks }
    }

    pub(super) async fn get(&self, url: &Url) -> Result<Fetched, FetchProblem> {
        let outcome = self.bounded(url).await;
        self.metrics.client_document(outcome.as_ref().map_or_else(FetchProblem::word, |_| "fetched"));
        outcome
    }

    async fn bounded(&self, url: &Url) -> Result<Fetched, FetchProblem> {
        let name = url.host_str().unwrap_or_default();
        let host = self.hosts.join(&name.to_owned()).ok_or(FetchProblem::Busy)?;
        let domain = self.domains.join(&domain(name).to_owned()).ok_or(FetchProblem::Busy)?;
        let _place = self.line.try_acquire().map_err(|_| FetchProblem::Busy)?;
        let deadline = self.clock.now() + TIME_LIMIT;
        // First the host's slot: what waits for that takes none from others.
        let slots = async {
            let of_host = host.slots.acquire().await?;
            let of_domain = domain.slots.acquire().await?;
            Ok::<_, AcquireError>((of_host, of_domain, self.slots.acquire().await?))
        };
        let _slots = match select(Box::pin(slots), self.clock.sleep_until(deadline)).await {
            Either::Left((slots, _)) => slots.map_err(|_| FetchProblem::Busy)?,
            // Its host was not even asked.
            Either::Right(_) => return Err(FetchProblem::Busy),
        };
        // The slot may have come in the very moment that ended the wait.
        if self.clock.now() >= deadline {
            return Err(FetchProblem::Busy);
        }
        match select(Box::pin(self.exchange(url)), self.clock.sleep_until(deadline)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err(FetchProblem::TimedOut),
        }
    }

    async fn exchange(&self, url: &Url) -> Result<Fetched, FetchProblem> {
        // Held to the end of the fetch.
        let network = Rc::new(Cell::new(None));
        let (outside, networks) = (self.outside.clone(), self.networks.clone());
        let tcp = OutsideConnector { outside, networks, network: network.clone() };
        let dialer = Dialer { tcp, tls: Some(self.outside.tls.clone()) };
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
        let life = life(response.headers());
        let body = response.body().limit(SIZE_LIMIT).await.map_err(|error| match error {
            PayloadError::Overflow => FetchProblem::TooLarge,
            _ => FetchProblem::Broken,
        })?;
        Ok(Fetched { body, life })
    }
}

fn sending_failed(error: &SendRequestError) -> FetchProblem {
    match error {
        SendRequestError::Connect(ConnectError::Resolver(cause)) if cause.is::<NoPublicAddress>() => {
            FetchProblem::NotPublic
        }
        SendRequestError::Connect(ConnectError::Resolver(cause)) if cause.is::<CrowdedNetwork>() => FetchProblem::Busy,
        SendRequestError::Connect(_) => FetchProblem::Unreachable,
        SendRequestError::Timeout => FetchProblem::TimedOut,
        _ => FetchProblem::Broken,
    }
}

/// `application/json` or a type that is built on it, like `application/jwk-set+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// `Cache-Control` within our bounds: a client that says `no-store` is still not fetched at each step of one sign-in.
fn life(headers: &HeaderMap) -> TimeDelta {
    let directives = headers.get_all(header::CACHE_CONTROL).filter_map(|value| value.to_str().ok());
    let mut life = LIFE;
    for directive in directives.flat_map(|value| value.split(',')) {
        let directive = directive.trim().to_ascii_lowercase();
        match directive.split_once('=').map_or((directive.as_str(), ""), |(name, value)| (name, value)) {
            ("no-store" | "no-cache", _) => return SHORTEST_LIFE,
            ("max-age", seconds) => {
                // What is no number, or too large for one, is bounded like the rest.
                let seconds = seconds.trim_matches('"').parse().unwrap_or(i64::MAX);
                life = TimeDelta::try_seconds(seconds).unwrap_or(LONGEST_LIFE);
            }
            _ => {}
        }
    }
    life.clamp(SHORTEST_LIFE, LONGEST_LIFE)
}

/// Makes the connections: judges the addresses and dials one of them.
#[derive(Clone)]
struct OutsideConnector {
    outside: Outside,
    networks: Arc<Crowds<IpAddr>>,
    network: Rc<Cell<Option<Member<IpAddr>>>>,
}

/// As many fetches from this network run as may.
#[derive(Debug, thiserror::Error)]
#[error("too many documents are being fetched from this network")]
struct CrowdedNetwork;

impl Service<ConnectInfo<Uri>> for OutsideConnector {
    type Response = Connection<Uri, TcpStream>;
    type Error = DialError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, DialError>>;

    always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let Self { outside, networks, network: held } = self.clone();
        Box::pin(async move {
            let addresses = outside.addresses(info.hostname(), info.port()).await.map_err(|error| match error {
                AddressError::Lookup(error) => DialError::Io(error),
                AddressError::Refused(refused) => DialError::Resolver(Box::new(refused)),
            })?;
            if let Some(first) = addresses.first() {
                let member = networks.join(&network(first.ip()));
                held.set(Some(member.ok_or_else(|| DialError::Resolver(Box::new(CrowdedNetwork)))?));
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
            assert_eq!(life(&headers(header::CACHE_CONTROL, value)).num_seconds(), seconds, "{value}");
        }
        assert_eq!(life(&HeaderMap::new()), LIFE);
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
