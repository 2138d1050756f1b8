//! The OwnerRez client of one thread: sends a request, within its bounds on time and size, and reads the response.

use std::sync::Arc;

use awc::{
    ClientRequest,
    error::{ConnectError, PayloadError, SendRequestError},
    http::{Method as HttpMethod, header},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use futures_util::future::{Either, select};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::{
    challenge::names_token, http_client::HttpClient, reply::Reply, request_metrics::RequestMetrics,
    retry_after::read_retry_after, transport_error::TransportError, upstream_settings::UpstreamSettings,
};
use crate::{
    domain::{Method, RawJson, SharedClock, TokenKind, TokenSet, UpstreamRequest},
    metrics::Metrics,
};

/// The OwnerRez client of one thread.
#[derive(Clone)]
pub struct Upstream {
    http: HttpClient,
    pub(super) settings: Arc<UpstreamSettings>,
    pub(super) clock: SharedClock,
    pub(super) metrics: Arc<Metrics>,
}

impl Upstream {
    /// Returns a client for the calling thread.
    pub fn new(settings: Arc<UpstreamSettings>, clock: SharedClock, metrics: Arc<Metrics>) -> Self {
        Self { http: HttpClient::here(&settings), settings, clock, metrics }
    }

    /// Sends one validated request with an access token. A response with any status is `Ok`.
    pub async fn send(&self, tokens: &TokenSet, request: &UpstreamRequest) -> Result<Reply, TransportError> {
        let access = tokens.access.expose_secret();
        let authorization = Zeroizing::new(match tokens.kind {
            TokenKind::Bearer => format!("Bearer {access}"),
            TokenKind::Basic => format!("Basic {}", STANDARD.encode(access)),
        });
        let call = self
            .request(http_method(request.method), &request.path_and_query)
            .insert_header((header::AUTHORIZATION, authorization.as_str()))
            .insert_header((header::ACCEPT, "application/json"));
        let body = request.body.as_ref().map(|body| ("application/json", body.to_string()));
        let reply = self.exchange(&request.operation, call, body).await?;
        // A successful read has content (RFC 9110 15.3.1); an empty response is not the requested record.
        if request.method == Method::Get && (200..300).contains(&reply.status) && reply.body.is_empty() {
            return Err(TransportError::Empty { status: reply.status });
        }
        Ok(reply)
    }

    /// Requests the API host without a token and returns the status of the response.
    pub async fn ping(&self) -> Result<u16, TransportError> {
        match self.exchange("reach", self.request(HttpMethod::GET, "/"), None).await {
            Ok(Reply { status, .. }) | Err(TransportError::NotJson { status }) => Ok(status),
            // A response that exceeds the limit still shows that the host is reachable.
            Err(TransportError::TooLarge { .. }) => Ok(200),
            Err(error) => Err(error),
        }
    }

    pub(super) fn request(&self, method: HttpMethod, path_and_query: &str) -> ClientRequest {
        self.http.request(method, path_and_query)
    }

    /// Sends one request and reads its complete response. `operation` is its name in the metrics.
    pub(super) async fn exchange(
        &self,
        operation: &str,
        call: ClientRequest,
        body: Option<(&str, String)>,
    ) -> Result<Reply, TransportError> {
        let metrics = RequestMetrics::start(&self.clock, &self.metrics, operation);
        let outcome = self.bounded(call, body, metrics.since + self.settings.answer_timeout).await;
        metrics.end(&outcome);
        outcome
    }

    async fn bounded(
        &self,
        call: ClientRequest,
        body: Option<(&str, String)>,
        deadline: DateTime<Utc>,
    ) -> Result<Reply, TransportError> {
        let work = async {
            let sent = match body {
                Some((kind, text)) => call.insert_header((header::CONTENT_TYPE, kind)).send_body(text),
                None => call.send(),
            };
            let mut response = sent.await.map_err(|error| sending_failed(&error))?;
            let status = response.status().as_u16();
            let retry_after = response.headers().get(header::RETRY_AFTER);
            let retry_after = retry_after.and_then(|value| read_retry_after(value.to_str().ok()?, self.clock.now()));
            let mut challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
            let names_token = challenges.any(|value| value.to_str().is_ok_and(names_token));
            let limit = self.settings.answer_limit;
            let bytes = response.body().limit(limit).await.map_err(|error| match error {
                PayloadError::Overflow => TransportError::TooLarge { limit },
                _ => TransportError::Broken,
            })?;
            let body = match RawJson::new(bytes) {
                Some(body) => body,
                // An error page of a proxy in front of OwnerRez is still a response; its text is useless.
                None if status >= 400 => RawJson::default(),
                None => return Err(TransportError::NotJson { status }),
            };
            Ok(Reply { status, body, retry_after, names_token })
        };
        match select(Box::pin(work), self.clock.sleep_until(deadline)).await {
            Either::Left((reply, _)) => reply,
            Either::Right(_) => Err(TransportError::TimedOut),
        }
    }
}

fn http_method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::GET,
        Method::Post => HttpMethod::POST,
        Method::Patch => HttpMethod::PATCH,
        Method::Delete => HttpMethod::DELETE,
    }
}

fn sending_failed(error: &SendRequestError) -> TransportError {
    match error {
        // awc's name for a connection that was closed after the request was sent: OwnerRez may have processed it.
        SendRequestError::Connect(ConnectError::Disconnected) => TransportError::Broken,
        SendRequestError::Connect(_) => TransportError::Unreachable,
        SendRequestError::Timeout => TransportError::TimedOut,
        SendRequestError::Url(_) | SendRequestError::Http(_) => TransportError::Invalid,
        _ => TransportError::Broken,
    }
}
