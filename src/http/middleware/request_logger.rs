//! Writes one log line per request, updates the counters, and sets its `X-Request-Id`.
//!
//! The line contains no path and no query, which may contain states, codes and guests' data: only the route pattern.

use std::sync::{Arc, OnceLock};

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, Method,
        header::{HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
};
use chrono::{DateTime, Utc};
use log::{
    Level,
    kv::{self, Key, Source, ToValue, Value, VisitSource},
};
use tokio_util::task::TaskTracker;
use uuid::Builder;

use super::path;
use crate::{
    domain::{ErrorCode, Principal, SharedClock, UserId},
    http::error::ErrorLogInfo,
    mcp::CallObserver,
    metrics::{Metrics, Status},
    tools::CallLogInfo,
};

/// The log target of the request lines, for filters such as `RUST_LOG=ownerrez_gateway::request=warn`.
const TARGET: &str = "ownerrez_gateway::request";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest client-supplied id that is used.
const MAX_ID_LENGTH: usize = 128;
/// Routes that monitoring requests every few seconds; logged at debug level only.
const DEBUG_LEVEL_ROUTES: [&str; 3] = ["/health", "/ready", "/metrics"];
/// nginx's status for a client that disconnected before the answer.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The information that is collected about a request while it is processed.
#[derive(Debug)]
pub(crate) struct RequestContext {
    id: String,
    key: OnceLock<Arc<str>>,
    user: OnceLock<UserId>,
    tool: OnceLock<String>,
    upstream: OnceLock<Status>,
    error: OnceLock<ErrorCode>,
    failure: OnceLock<String>,
    /// Set if a valid credential that belongs to no user was found.
    verified: OnceLock<()>,
    /// The method and error code of the first message that failed.
    message: OnceLock<(&'static str, i64)>,
}

impl RequestContext {
    fn new(offered: Option<&HeaderValue>, now: DateTime<Utc>) -> Self {
        let id = offered.and_then(|value| value.to_str().ok()).filter(|id| is_sane(id));
        Self {
            id: id.map_or_else(|| new_id(now), str::to_owned),
            key: OnceLock::new(),
            user: OnceLock::new(),
            tool: OnceLock::new(),
            upstream: OnceLock::new(),
            error: OnceLock::new(),
            failure: OnceLock::new(),
            message: OnceLock::new(),
            verified: OnceLock::new(),
        }
    }

    /// Returns the context of a request; `None` if the middleware is missing.
    pub(crate) fn of(request: &HttpRequest) -> Option<Arc<Self>> {
        request.extensions().get::<Arc<Self>>().cloned()
    }

    /// Records the caller: the label of its key or token as lists show it, and its user.
    pub(crate) fn caller(&self, caller: &Principal) {
        let _ = self.key.set(caller.label.clone());
        let _ = self.user.set(caller.user);
    }

    /// Records that the request has a valid credential that belongs to no user.
    pub(crate) fn verify(&self) {
        let _ = self.verified.set(());
    }

    /// Returns whether the request has a credential that was verified.
    pub(crate) fn is_verified(&self) -> bool {
        self.user.get().is_some() || self.verified.get().is_some()
    }

    /// Returns the user of the request's credential, if it was verified.
    pub(crate) fn user(&self) -> Option<UserId> {
        self.user.get().copied()
    }

    /// Records the stable code of an error.
    pub(crate) fn error(&self, code: ErrorCode) {
        let _ = self.error.set(code);
    }

    /// Records that an MCP message was answered with an error.
    pub(crate) fn message_failed(&self, method: &'static str, code: i64) {
        let _ = self.message.set((method, code));
    }

    /// Records how a call to OwnerRez ended.
    pub(crate) fn call(&self, log_info: CallLogInfo) {
        if let Some(status) = log_info.upstream {
            let _ = self.upstream.set(status);
        }
        if let Some(code) = log_info.error {
            self.error(code);
        }
        if let Some(failure) = log_info.failure {
            let _ = self.failure.set(failure);
        }
    }

    fn record_error(&self, log_info: ErrorLogInfo) {
        self.error(log_info.code);
        if let Some(cause) = log_info.cause {
            let _ = self.failure.set(cause);
        }
    }
}

impl CallObserver for RequestContext {
    fn tool_called(&self, tool: &str, log_info: CallLogInfo) {
        let _ = self.tool.set(tool.to_owned());
        self.call(log_info);
    }
}

/// Returns a UUID of version 7. The id is not a secret, so it does not need random numbers of the system.
fn new_id(now: DateTime<Utc>) -> String {
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
}

/// Returns whether an id is safe in a header and in a log.
fn is_sane(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns a method as a metrics label. Clients can invent methods, and every new label would be kept.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::POST, Method::DELETE, Method::PUT, Method::PATCH, Method::HEAD, Method::OPTIONS];
    const NAMES: [&str; 7] = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"];
    KNOWN.iter().position(|known| known == method).map_or("other", |at| NAMES[at])
}

/// The log line of a request. Written when this is dropped, however the request ends.
struct AccessLogEntry {
    context: Arc<RequestContext>,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    since: DateTime<Utc>,
    route: Option<String>,
    method: &'static str,
    status: Option<u16>,
}

impl Drop for AccessLogEntry {
    fn drop(&mut self) {
        let left = if std::thread::panicking() { 500 } else { CLIENT_CLOSED_REQUEST };
        let status = self.status.unwrap_or(left);
        let took = self.clock.now() - self.since;
        let route = self.route.as_deref().unwrap_or("none");
        self.metrics.request(route, self.method, status, took);
        let failure = self.context.failure.get();
        let level = match status {
            _ if DEBUG_LEVEL_ROUTES.contains(&route) => Level::Debug,
            500 => Level::Error,
            501.. => Level::Warn,
            _ if failure.is_some() => Level::Error,
            _ => Level::Info,
        };
        if level > log::max_level() {
            return;
        }
        let fields = AccessLogFields { entry: self, route, status, ms: took.num_milliseconds() };
        let write = |sentence: std::fmt::Arguments<'_>| {
            let mut record = log::Record::builder();
            record.target(TARGET).level(level).module_path(Some(TARGET)).key_values(&fields);
            log::logger().log(&record.args(sentence).build());
        };
        match failure {
            Some(cause) => write(format_args!("request failed: {cause}")),
            None if self.status.is_none() => write(format_args!("request without an answer")),
            None => write(format_args!("request answered")),
        }
    }
}

/// The structured fields of a line. Unknown ones are left out.
struct AccessLogFields<'a> {
    entry: &'a AccessLogEntry,
    route: &'a str,
    status: u16,
    ms: i64,
}

impl Source for AccessLogFields<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        let RequestContext { id, key, user, tool, upstream, error, failure: _, verified: _, message } =
            &*self.entry.context;
        let mut pair = |name: &'static str, value: Value<'kvs>| visitor.visit_pair(Key::from_str(name), value);
        pair("id", id.to_value())?;
        pair("method", self.entry.method.to_value())?;
        pair("route", self.route.to_value())?;
        pair("status", self.status.to_value())?;
        pair("ms", self.ms.to_value())?;
        if let Some(key) = key.get() {
            pair("key", Value::from(&**key))?;
        }
        if let Some(user) = user.get() {
            pair("user", Value::from_display(user))?;
        }
        if let Some(tool) = tool.get() {
            pair("tool", Value::from(tool.as_str()))?;
        }
        match upstream.get() {
            Some(Status::Code(code)) => pair("upstream", Value::from(*code))?,
            Some(Status::Word(word)) => pair("upstream", Value::from(*word))?,
            None => {}
        }
        if let Some(error) = error.get() {
            pair("error", Value::from(error.as_str()))?;
        }
        if let Some((method, code)) = message.get() {
            pair("mcp_method", Value::from(*method))?;
            pair("mcp_error", Value::from(*code))?;
        }
        Ok(())
    }
}

/// The middleware. The outermost one, so that it sees what others refuse, and all see the normalised path.
#[derive(Clone)]
pub struct RequestLogger {
    /// The counters of requests.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: SharedClock,
    /// The requests that are being answered; closed when the gateway stops.
    pub under_way: TaskTracker,
}

impl RequestLogger {
    /// Processes one request.
    pub async fn handle<B: MessageBody + 'static>(
        self,
        request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<B>, Error> {
        let Self { metrics, clock, under_way } = self;
        let request = path::normalise(request);
        let (_under_way, since) = (under_way.token(), clock.now());
        let context = Arc::new(RequestContext::new(request.headers().get(REQUEST_ID), since));
        request.extensions_mut().insert(context.clone());
        let mut entry = AccessLogEntry {
            since,
            route: request.match_pattern(),
            method: method_label(request.method()),
            status: None,
            context,
            metrics,
            clock,
        };
        let outcome = next.call(request).await;
        match &outcome {
            Ok(response) => entry.status = Some(response.status().as_u16()),
            Err(error) => entry.status = Some(error.as_response_error().status_code().as_u16()),
        }
        let mut response = outcome?;
        // A separate statement, so that the borrow of the extensions ends here.
        let log_info = response.response_mut().extensions_mut().remove::<ErrorLogInfo>();
        if let Some(log_info) = log_info {
            entry.context.record_error(log_info);
        }
        if under_way.is_closed() {
            // The next connection of the client reaches another process, or the restarted one.
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        // On every response, from any handler: browsers must not interpret a guest's text as a page or a script.
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(id) = HeaderValue::from_str(&entry.context.id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_a_sane_id_is_taken_over() {
        let taken = |offered: &[u8]| {
            RequestContext::new(HeaderValue::from_bytes(offered).ok().as_ref(), DateTime::UNIX_EPOCH).id
        };
        for sane in ["7", "4bf92f3577b34da6a3ce929d0e0e4736", "a/b:c=d", &"x".repeat(128)] {
            assert_eq!(taken(sane.as_bytes()), sane);
        }
        for odd in [&b""[..], b"a b", b"a\tb", "ü".as_bytes(), &[b'x'; 129]] {
            assert!(taken(odd).parse::<Uuid>().is_ok(), "{odd:?}");
        }
        assert_ne!(taken(b""), taken(b""));
    }

    #[test]
    fn made_up_methods_share_a_label() {
        assert_eq!(method_label(&Method::DELETE), "DELETE");
        assert_eq!(method_label(&Method::from_bytes(b"BREW").unwrap()), "other");
    }
}
