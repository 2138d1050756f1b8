//! OwnerRez over HTTP: sends, exchanges a code, refreshes, revokes, and sorts what comes back. It knows no user, no
//! row and no allowance; `session` brings those together.
//!
//! Every request carries the User-Agent `ownerrez-gateway/VERSION (CLIENT_ID)`: without one OwnerRez answers 401
//! `user_agent_required`, token and revoke calls included (article "API authentication").

mod challenge;
mod counted;
mod http_client;
mod reply;
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

pub use reply::{Refused, RefusedKind};
pub use tokens::{Issued, TokenError};

use self::{challenge::names_token, counted::Counted, http_client::HttpClient, retry_after::read_retry_after};
use crate::{
    domain::{JsonText, Method, SharedClock, TokenKind, TokenSet, UpstreamRequest},
    metrics::Metrics,
    outgoing::TlsTrust,
};

/// How this deployment reaches OwnerRez.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Origin of the API host, `https://api.ownerrez.com` in production.
    pub api_url: Url,
    /// The operator's OAuth app; without one nobody can connect.
    pub client: Option<ClientCredentials>,
    /// Sent with the code exchange (RFC 6749 4.1.3).
    pub redirect_uri: Option<Url>,
    /// Bound on reaching the host, TLS included. Real time: no test waits for it.
    pub connect_timeout: Duration,
    /// Bound on a whole exchange, from the first byte sent to the last byte read.
    pub answer_timeout: TimeDelta,
    /// Bound on an answer's body, in bytes.
    pub answer_limit: usize,
    /// Whose certificates count.
    pub tls: TlsTrust,
}

/// The operator's OwnerRez OAuth app.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// `c_…`
    pub id: String,
    /// `s_…`
    pub secret: SecretString,
}

/// No usable answer came back. Whether OwnerRez acted on the request is unknown unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The host could not be reached; nothing was sent.
    #[error("OwnerRez could not be reached")]
    Unreachable,
    /// The answer did not arrive in time.
    #[error("OwnerRez did not answer in time")]
    TimedOut,
    /// The connection broke before the answer was complete.
    #[error("the connection to OwnerRez broke before its answer arrived")]
    Broken,
    /// The answer is larger than the gateway takes.
    #[error("the answer of OwnerRez is larger than {limit} bytes")]
    TooLarge {
        /// The bound that was exceeded, in bytes.
        limit: usize,
    },
    /// The answer is not JSON although it should be.
    #[error("OwnerRez answered with status {status} and something that is not JSON")]
    NotJson {
        /// HTTP status of that answer.
        status: u16,
    },
    /// The answer to a read is empty although OwnerRez says that it succeeded.
    #[error("OwnerRez answered a read with status {status} and nothing else")]
    Empty {
        /// HTTP status of that answer.
        status: u16,
    },
    /// The request could not be built. A fault of ours; nothing was sent.
    #[error("the request to OwnerRez could not be built")]
    Invalid,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body; nothing where it was none, or no JSON beside a refusal.
    pub body: JsonText,
    /// `Retry-After` in seconds, which OwnerRez rarely sends.
    pub retry_after: Option<TimeDelta>,
    /// Whether `WWW-Authenticate` names the token as the reason of a refusal.
    pub names_token: bool,
}

/// The way to OwnerRez from one thread.
#[derive(Clone)]
pub struct Upstream {
    http: HttpClient,
    settings: Arc<UpstreamSettings>,
    clock: SharedClock,
    metrics: Arc<Metrics>,
}

impl Upstream {
    /// A way for the calling thread.
    pub fn new(settings: Arc<UpstreamSettings>, clock: SharedClock, metrics: Arc<Metrics>) -> Self {
        Self { http: HttpClient::here(&settings), settings, clock, metrics }
    }

    /// Sends one checked request with an access token. Any status counts as an answer.
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
        // A success of a read has content (RFC 9110 15.3.1); without it the answer is not the record that was asked for.
        if request.method == Method::Get && (200..300).contains(&reply.status) && reply.body.is_empty() {
            return Err(TransportError::Empty { status: reply.status });
        }
        Ok(reply)
    }

    /// Whether the API host answers at all, and with which status. Costs one request, without a token.
    pub async fn reach(&self) -> Result<u16, TransportError> {
        match self.exchange("reach", self.request(HttpMethod::GET, "/"), None).await {
            Ok(Reply { status, .. }) | Err(TransportError::NotJson { status }) => Ok(status),
            // So large an answer is an answer.
            Err(TransportError::TooLarge { .. }) => Ok(200),
            Err(error) => Err(error),
        }
    }

    fn request(&self, method: HttpMethod, path_and_query: &str) -> ClientRequest {
        self.http.request(method, path_and_query)
    }

    /// One request, from its first byte to the last one of its answer. `operation` is what it is counted as.
    async fn exchange(
        &self,
        operation: &str,
        call: ClientRequest,
        body: Option<(&str, String)>,
    ) -> Result<Reply, TransportError> {
        let counted = Counted::start(self, operation);
        let outcome = self.bounded(call, body, counted.since + self.settings.answer_timeout).await;
        counted.end(&outcome);
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
            let body = match JsonText::new(bytes) {
                Some(body) => body,
                // An error page of the edge is still an answer; its text is of no use to anyone.
                None if status >= 400 => JsonText::default(),
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
        // What awc calls this is a connection that closed after the request had gone out: OwnerRez may have acted.
        SendRequestError::Connect(ConnectError::Disconnected) => TransportError::Broken,
        SendRequestError::Connect(_) => TransportError::Unreachable,
        SendRequestError::Timeout => TransportError::TimedOut,
        SendRequestError::Url(_) | SendRequestError::Http(_) => TransportError::Invalid,
        _ => TransportError::Broken,
    }
}
