//! The counters of the gateway, and their text for Prometheus (OpenMetrics 1.0). `app` creates one value per process
//! and passes it down; there is no global registry.
//!
//! The number of series is bounded: labels are route patterns, methods, statuses, operation names and fixed words. A
//! label never contains a user, a key, an account, a path or anything else that a caller can choose.

use std::{fmt::Write, sync::atomic::AtomicU64};

use chrono::TimeDelta;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// The content type of the response to a scrape.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const WAITED: [f64; 10] = [0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0];

/// An HTTP status, or a word that says why there was none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// The status of a response.
    Code(u16),
    /// No response; one of a few fixed words.
    Word(&'static str),
}

impl EncodeLabelValue for Status {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(encoder, "{code}"),
            Self::Word(word) => encoder.write_str(word),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: Status,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    method: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ToolLabels {
    tool: String,
    outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct UpstreamLabels {
    operation: String,
    status: Status,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OperationLabel {
    operation: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

type Histograms<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

/// Gauges that other modules maintain; read at each scrape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Observed {
    /// Sessions in memory.
    pub sessions: usize,
    /// Occupied slots of the allowance.
    pub allowance_used: u32,
    /// All slots of the allowance.
    pub allowance_limit: u32,
    /// Requests to OwnerRez under way.
    pub allowance_in_flight: usize,
    /// Callers waiting for a slot.
    pub allowance_waiting: usize,
    /// Whether this process has the right to use the allowance.
    pub allowance_active: bool,
}

/// All counters of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histograms<RouteLabels>,
    tool_calls: Family<ToolLabels, Counter>,
    upstream_requests: Family<UpstreamLabels, Counter>,
    upstream_seconds: Histograms<OperationLabel>,
    refreshes: Family<OutcomeLabel, Counter>,
    allowance_requests: Family<OutcomeLabel, Counter>,
    allowance_waited: Histogram,
    allowance_used: Gauge,
    allowance_limit: Gauge,
    allowance_in_flight: Gauge,
    allowance_waiting: Gauge,
    allowance_active: Gauge,
    sessions: Gauge,
    sessions_started: Counter<u64, AtomicU64>,
    queued: Gauge,
    key_checks: Family<OutcomeLabel, Counter>,
    bcrypt: Gauge,
    client_documents: Family<OutcomeLabel, Counter>,
}

/// Increments a gauge for the lifetime of this value, so that no return path can forget to decrement it.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Creates all counters, at zero.
    pub fn new() -> Self {
        let mut all = Self {
            registry: Registry::with_prefix("ownerrez_gateway"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(durations),
            tool_calls: Family::default(),
            upstream_requests: Family::default(),
            upstream_seconds: Family::new_with_constructor(durations),
            refreshes: Family::default(),
            allowance_requests: Family::default(),
            allowance_waited: Histogram::new(WAITED),
            allowance_used: Gauge::default(),
            allowance_limit: Gauge::default(),
            allowance_in_flight: Gauge::default(),
            allowance_waiting: Gauge::default(),
            allowance_active: Gauge::default(),
            sessions: Gauge::default(),
            sessions_started: Counter::default(),
            queued: Gauge::default(),
            key_checks: Family::default(),
            bcrypt: Gauge::default(),
            client_documents: Family::default(),
        };
        all.register();
        all
    }

    /// Registers the names and help texts and does nothing else, so that it can be read when writing alerts.
    fn register(&mut self) {
        let all = &mut self.registry;
        let build = Family::<VersionLabel, Gauge>::default();
        build.get_or_create(&VersionLabel { version: env!("CARGO_PKG_VERSION") }).set(1);
        all.register("build_info", "Always 1; the label is the running version", build);
        all.register("http_requests", "Requests answered; status 499: the client disconnected", self.requests.clone());
        let text = "Time from the request head to the response head";
        all.register_with_unit("http_request_duration", text, Unit::Seconds, self.request_seconds.clone());
        all.register("tool_calls", "MCP tool calls, by outcome", self.tool_calls.clone());
        let text = "Requests sent to OwnerRez, by status or transport error";
        all.register("upstream_requests", text, self.upstream_requests.clone());
        let text = "Time from sending a request to OwnerRez to the last byte of its response";
        all.register_with_unit("upstream_request_duration", text, Unit::Seconds, self.upstream_seconds.clone());
        all.register("token_refreshes", "Refreshes of access tokens, by outcome", self.refreshes.clone());
        let text = "Requests for a permit to send to OwnerRez, by outcome";
        all.register("allowance_requests", text, self.allowance_requests.clone());
        let text = "Time that a request for a permit waited";
        all.register_with_unit("allowance_wait", text, Unit::Seconds, self.allowance_waited.clone());
        let text = "Requests of the last five minutes, including those in flight, out of allowance_limit";
        all.register("allowance_used", text, self.allowance_used.clone());
        let text = "Requests this process may send to OwnerRez in five minutes";
        all.register("allowance_limit", text, self.allowance_limit.clone());
        all.register("allowance_in_flight", "Requests to OwnerRez in flight", self.allowance_in_flight.clone());
        all.register("allowance_waiting", "Callers waiting for a permit", self.allowance_waiting.clone());
        let text = "1 while this process has the rate-limit lock, 0 on standby";
        all.register("allowance_active", text, self.allowance_active.clone());
        all.register("sessions", "User sessions in memory", self.sessions.clone());
        all.register("sessions_started", "User sessions started", self.sessions_started.clone());
        all.register("session_queue_depth", "Calls waiting for earlier calls of the same user", self.queued.clone());
        let text = "API keys checked; cached: without the database and bcrypt; recognised: without bcrypt";
        all.register("key_checks", text, self.key_checks.clone());
        all.register("bcrypt_in_flight", "bcrypt computations running", self.bcrypt.clone());
        let text = "Fetches of metadata documents and keys of OAuth clients, by outcome";
        all.register("client_documents", text, self.client_documents.clone());
    }

    /// Counts an answered request of a client. `route` is a pattern, `method` a known method.
    pub fn request(&self, route: &str, method: &'static str, status: u16, took: TimeDelta) {
        let labels = RequestLabels { route: route.to_owned(), method, status: Status::Code(status) };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels { route: route.to_owned(), method };
        self.request_seconds.get_or_create(&labels).observe(seconds(took));
    }

    /// Counts a tool call that ended. `tool` must be a name from the catalogue.
    pub fn tool_call(&self, tool: &str, outcome: &'static str) {
        self.tool_calls.get_or_create(&ToolLabels { tool: tool.to_owned(), outcome }).inc();
    }

    /// Counts a request to OwnerRez that ended.
    pub fn upstream_request(&self, operation: &str, status: Status, took: TimeDelta) {
        let labels = UpstreamLabels { operation: operation.to_owned(), status };
        self.upstream_requests.get_or_create(&labels).inc();
        let labels = OperationLabel { operation: operation.to_owned() };
        self.upstream_seconds.get_or_create(&labels).observe(seconds(took));
    }

    /// Counts a request for new tokens to OwnerRez.
    pub fn refreshed(&self, outcome: &'static str) {
        self.refreshes.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts a decision of the allowance.
    pub fn allowance_asked(&self, outcome: &'static str, waited: TimeDelta) {
        self.allowance_requests.get_or_create(&OutcomeLabel { outcome }).inc();
        self.allowance_waited.observe(seconds(waited));
    }

    /// Counts a user's session that started.
    pub fn session_started(&self) {
        self.sessions_started.inc();
    }

    /// Counts a call that waits in its session, until the returned value is dropped.
    pub fn queued(&self) -> Counted {
        Counted::new(&self.queued)
    }

    /// Counts a check of an API key.
    pub fn key_checked(&self, outcome: &'static str) {
        self.key_checks.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts a running bcrypt computation, until the returned value is dropped.
    pub fn bcrypt(&self) -> Counted {
        Counted::new(&self.bcrypt)
    }

    /// Counts a fetch of an OAuth client's document.
    pub fn client_document(&self, outcome: &'static str) {
        self.client_documents.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Sets the gauges that other modules maintain.
    pub fn observe(&self, observed: Observed) {
        let Observed {
            sessions,
            allowance_used,
            allowance_limit,
            allowance_in_flight,
            allowance_waiting,
            allowance_active,
        } = observed;
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.sessions.set(count(sessions));
        self.allowance_used.set(i64::from(allowance_used));
        self.allowance_limit.set(i64::from(allowance_limit));
        self.allowance_in_flight.set(count(allowance_in_flight));
        self.allowance_waiting.set(count(allowance_waiting));
        self.allowance_active.set(i64::from(allowance_active));
    }

    /// Returns all metrics in the format that Prometheus reads ([`CONTENT_TYPE`]).
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn durations() -> Histogram {
    Histogram::new(SECONDS)
}

fn seconds(span: TimeDelta) -> f64 {
    span.max(TimeDelta::zero()).to_std().unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_in_the_text() {
        let metrics = Metrics::new();
        metrics.request("/mcp", "POST", 200, TimeDelta::milliseconds(3));
        metrics.request("/mcp", "POST", 200, TimeDelta::milliseconds(7));
        metrics.upstream_request("list_owners", Status::Word("timed_out"), TimeDelta::seconds(20));
        metrics.observe(Observed { allowance_used: 7, allowance_limit: 300, ..Observed::default() });
        let text = metrics.text();
        for line in [
            r#"ownerrez_gateway_http_requests_total{route="/mcp",method="POST",status="200"} 2"#,
            r#"ownerrez_gateway_http_request_duration_seconds_bucket{le="0.005",route="/mcp",method="POST"} 1"#,
            r#"ownerrez_gateway_upstream_requests_total{operation="list_owners",status="timed_out"} 1"#,
            "ownerrez_gateway_allowance_used 7",
            "ownerrez_gateway_allowance_limit 300",
            "# EOF",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn what_is_under_way_is_counted_back() {
        let metrics = Metrics::new();
        let (one, two) = (metrics.queued(), metrics.queued());
        assert!(metrics.text().contains("session_queue_depth 2\n"));
        drop((one, two));
        assert!(metrics.text().contains("session_queue_depth 0\n"));
    }

    #[test]
    fn a_span_that_runs_backwards_is_none() {
        assert!(seconds(TimeDelta::seconds(-1)).abs() < f64::EPSILON);
    }
}
