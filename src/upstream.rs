//! OwnerRez over HTTP: sends requests, exchanges codes, refreshes and revokes tokens, and classifies responses. It does
//! not know users, rows or the allowance; `session` brings those together.
//!
//! Every request has the User-Agent `ownerrez-gateway/VERSION (CLIENT_ID)`. Without one, OwnerRez answers 401
//! `user_agent_required`, also to token and revocation requests (article "API authentication").

mod challenge;
mod http_client;
mod reply;
mod request_metrics;
mod retry_after;
mod tokens;

use std::{sync::Arc, time::Duration};

use awc::{
    ClientRequest,
    error::{ConnectError, PayloadError, SendRequestError},
    http::{Method as HttpMethod, header},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::{Either, select};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zeroize::Zeroizing;

pub use reply::{UpstreamError, UpstreamErrorKind};
pub use tokens::{TokenError, TokenResponse};

use self::{
    challenge::names_token, http_client::HttpClient, request_metrics::RequestMetrics, retry_after::read_retry_after,
};
use crate::{
    domain::{Method, RawJson, SharedClock, TokenKind, TokenSet, UpstreamRequest},
    metrics::Metrics,
    outgoing::TlsTrust,
};

/// The settings for reaching OwnerRez.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Origin of the API host, `https://api.ownerrez.com` in production.
    pub api_url: Url,
    /// The operator's OAuth app. Without one, no user can connect.
    pub client: Option<ClientCredentials>,
    /// Sent with the code exchange (RFC 6749 4.1.3).
    pub redirect_uri: Option<Url>,
    /// Timeout for connecting to the host, TLS included. Uses real time; no test waits for it.
    pub connect_timeout: Duration,
    /// Timeout for a whole exchange, from the first byte sent to the last byte read.
    pub answer_timeout: TimeDelta,
    /// The maximum size of a response body, in bytes.
    pub answer_limit: usize,
    /// The trusted certificate authorities.
    pub tls: TlsTrust,
}

/// The operator's OwnerRez OAuth app.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The client id, `c_…`.
    pub id: String,
    /// The client secret, `s_…`.
    pub secret: SecretString,
}

/// No usable response was received. Whether OwnerRez processed the request is unknown unless the variant says
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The host could not be reached; nothing was sent.
    #[error("OwnerRez could not be reached")]
    Unreachable,
    /// The response did not arrive in time.
    #[error("OwnerRez did not respond in time")]
    TimedOut,
    /// The connection broke before the response was complete.
    #[error("the connection to OwnerRez broke before its response arrived")]
    Broken,
    /// The response exceeds the size limit.
    #[error("the response of OwnerRez is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The response is not JSON although it should be.
    #[error("OwnerRez returned status {status} and a body that is not JSON")]
    NotJson {
        /// HTTP status of the response.
        status: u16,
    },
    /// The response to a read has a success status but an empty body.
    #[error("OwnerRez returned status {status} and an empty body for a read")]
    Empty {
        /// HTTP status of the response.
        status: u16,
    },
    /// The request could not be built, which is a bug of the gateway. Nothing was sent.
    #[error("the request to OwnerRez could not be built")]
    Invalid,
}

/// A response of OwnerRez with any status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body; empty if the response had none, or if an error response had no JSON body.
    pub body: RawJson,
    /// The wait from `Retry-After`, which OwnerRez rarely sends.
    pub retry_after: Option<TimeDelta>,
    /// Whether `WWW-Authenticate` names the token as the reason of the error.
    pub names_token: bool,
}

/// The OwnerRez client of one thread.
#[derive(Clone)]
pub struct Upstream {
    http: HttpClient,
    settings: Arc<UpstreamSettings>,
    clock: SharedClock,
    metrics: Arc<Metrics>,
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

    fn request(&self, method: HttpMethod, path_and_query: &str) -> ClientRequest {
        self.http.request(method, path_and_query)
    }

    /// Sends one request and reads its complete response. `operation` is its name in the metrics.
    async fn exchange(
        &self,
        operation: &str,
        call: ClientRequest,
        body: Option<(&str, String)>,
    ) -> Result<Reply, TransportError> {
        let metrics = RequestMetrics::start(self, operation);
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
