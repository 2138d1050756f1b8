//! `/mcp`: connects actix-web to rmcp, which calls the tools.
//!
//! No state outlives a request, so any process can answer any request.

pub(super) mod accept;
pub(super) mod batch;
pub(super) mod malformed_response;
pub(super) mod mcp_caller;
pub(super) mod mcp_failure;
pub(super) mod rmcp_http;
pub(super) mod tool_selection;

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    error::InternalError,
    http::{Method, header as actix_header},
    web,
};
use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use rmcp::{
    ServerHandler,
    model::ProtocolVersion,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::{Map, Value, json};

use self::{
    accept::{Accepted, is_json},
    malformed_response::{malformed_response, with_log_info},
    mcp_caller::McpCaller,
    rmcp_http::{from_rmcp_response, reworded, to_rmcp_request},
    tool_selection::tool_selection,
};
use super::{error::ApiError, resource::method_not_allowed, state::HttpState};
use crate::{
    domain::{Credential, Principal, UserId},
    mcp::{Incoming, Malformed, Message, Revision, Server},
    tools::{ToolSelection, Toolbox},
};

/// The largest body, in bytes, that is read with a refused request.
const DRAIN_LIMIT: usize = 8 * 1024;

/// The endpoint. Generic over the server, because the conformance suite needs another one (`tests/conformance`).
pub struct McpEndpoint<S = Server> {
    server: S,
    service: StreamableHttpService<S, NeverSessionManager>,
    max_body: usize,
}

impl McpEndpoint {
    /// Creates an endpoint for these tools.
    pub fn new(toolbox: Toolbox, max_body: usize) -> Self {
        Self::with_server(Server::new(toolbox), max_body)
    }
}

impl<S: ServerHandler + Clone> McpEndpoint<S> {
    /// Creates an endpoint for any MCP server, of which each clone answers one request.
    pub fn with_server(server: S, max_body: usize) -> Self {
        // The guard has checked Host and Origin for all routes, and the body was bounded when it was read. rmcp gets
        // the message as it was parsed, whose text may be longer.
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(usize::MAX)
            .disable_allowed_hosts()
            .disable_allowed_origins();
        let each = server.clone();
        let service =
            StreamableHttpService::new(move || Ok(each.clone()), Arc::new(NeverSessionManager::default()), config);
        Self { server, service, max_body }
    }

    /// Answers a request whose body was read. The server finds the caller and the tool selection, if given, among the
    /// extensions of its request.
    ///
    /// # Errors
    /// If the request itself is refused, for its method (405), `Accept` (406), size (413) or `Content-Type` (415).
    pub async fn answer(
        &self,
        request: &HttpRequest,
        caller_and_selection: Option<(Principal, ToolSelection)>,
        body: Bytes,
    ) -> Result<HttpResponse, actix_web::Error> {
        let accepted = self.admit(request)?;
        match Incoming::parse(&body) {
            Ok(incoming) => self.answer_incoming(request, accepted, caller_and_selection, incoming).await,
            Err(malformed) => Ok(malformed_response(&malformed)),
        }
    }

    /// Checks everything that can be checked before the body is read. Returns the form that the answer must have.
    fn admit(&self, request: &HttpRequest) -> Result<Accepted, actix_web::Error> {
        if request.method() != Method::POST {
            let error = ApiError::MethodNotAllowed("POST");
            return Err(InternalError::from_response(error, method_not_allowed(request, "POST")).into());
        }
        let headers = request.headers();
        let accepted = Accepted::of(headers)?;
        if !is_json(headers.get(actix_header::CONTENT_TYPE).map(actix_header::HeaderValue::as_bytes)) {
            return Err(ApiError::WrongContentType.into());
        }
        let length = headers.get(actix_header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        if length.and_then(|length| length.parse().ok()).is_some_and(|length: usize| length > self.max_body) {
            return Err(ApiError::TooLarge.into());
        }
        Ok(accepted)
    }

    async fn answer_incoming(
        &self,
        request: &HttpRequest,
        accepted: Accepted,
        caller_and_selection: Option<(Principal, ToolSelection)>,
        incoming: Incoming,
    ) -> Result<HttpResponse, actix_web::Error> {
        let answer = match incoming {
            Incoming::Message(message) => {
                self.answer_message(request, accepted, caller_and_selection, &message).await?
            }
            Incoming::Batch(messages) => match batch::check(request, &messages) {
                Ok(()) => self.answer_batch(request, caller_and_selection, messages).await?,
                Err(malformed) => malformed_response(&malformed),
            },
        };
        Ok(accepted.shape(answer).await)
    }

    async fn answer_message(
        &self,
        request: &HttpRequest,
        accepted: Accepted,
        caller_and_selection: Option<(Principal, ToolSelection)>,
        message: &Message,
    ) -> Result<HttpResponse, actix_web::Error> {
        if message.method().is_none() {
            let id = message.id().cloned().unwrap_or_default();
            let reason = "Invalid request: the gateway sends no requests over HTTP, so it accepts no responses.";
            return Ok(malformed_response(&Malformed::invalid_request(id, reason)));
        }
        // 2026-07-28 requires 400 for wrong metadata and defines no status for other wrong parameters.
        if let Err(malformed) = message.check_meta() {
            return Ok(malformed_response(&malformed));
        }
        if let Err(malformed) = message.check_params() {
            let answer = malformed.to_json();
            mcp_failure::note_failure(request, message.method(), answer.to_string().as_bytes());
            return Ok(with_log_info(HttpResponse::Ok().json(answer)));
        }
        if let Err(malformed) = check_revision(request, message) {
            return Ok(malformed_response(&malformed));
        }
        if is_ping_between_revisions(request, message) {
            return Ok(HttpResponse::Ok().json(json!({"jsonrpc": "2.0", "id": message.id(), "result": {}})));
        }
        let response =
            self.service.handle(to_rmcp_request(request, caller_and_selection, Bytes::from(message.to_text()))?).await;
        Ok(from_rmcp_response(request, response, accepted, message).await)
    }

    /// Processes the messages one after the other: in order, and a user never has more running than with one message.
    async fn answer_batch(
        &self,
        request: &HttpRequest,
        caller_and_selection: Option<(Principal, ToolSelection)>,
        messages: Vec<Value>,
    ) -> Result<HttpResponse, actix_web::Error> {
        let mut answers = Vec::new();
        for value in messages {
            let message = match batch::entry(value) {
                Ok(message) if message.method().is_some() => message,
                // An answer to a request that the gateway never sent.
                Ok(_) => continue,
                Err(malformed) => {
                    answers.push(malformed.to_json());
                    continue;
                }
            };
            let converted = to_rmcp_request(request, caller_and_selection.clone(), Bytes::from(message.to_text()))?;
            let Ok(collected) = self.service.handle(converted).await.into_body().collect().await;
            let collected = reworded(request, &message, collected.to_bytes());
            answers.extend(batch::answer(&message, &collected));
        }
        if answers.is_empty() { Ok(HttpResponse::Accepted().finish()) } else { Ok(HttpResponse::Ok().json(answers)) }
    }
}

/// Handles all requests to `/mcp` and below. The caller is checked first: without a key nothing else is examined.
pub(crate) async fn handle(
    state: web::Data<HttpState>,
    endpoint: web::Data<McpEndpoint>,
    caller: Result<McpCaller, actix_web::Error>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let admitted = caller.and_then(|McpCaller(caller)| Ok((caller, endpoint.admit(&request)?)));
    let (caller, accepted) = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => {
            drain_body(body).await;
            return Err(refusal);
        }
    };
    let body = read_message(&state, caller.user, &request, body).await?;
    let toolbox = endpoint.server.toolbox();
    let selection = tool_selection(toolbox, &caller, &request)?;
    let incoming = match Incoming::parse(&body) {
        Ok(incoming) => incoming,
        Err(malformed) => return Ok(malformed_response(&malformed)),
    };
    if needs_larger_scope(toolbox, &caller, &incoming) {
        return Err(mcp_caller::error_with_challenge(&state, &request, ApiError::GrantTooSmall));
    }
    // Boxed because moving a future copies everything that it contains.
    Box::pin(endpoint.answer_incoming(&request, accepted, Some((caller, selection)), incoming)).await
}

/// Returns whether an OAuth client calls a tool that changes more than its scope allows. The client learns this from
/// the response status and may ask its user for a larger scope (RFC 6750 section 3.1). So this is checked before
/// anything runs, for a batch as a whole. The scope of a key cannot be extended, so its user gets the text of the tool.
fn needs_larger_scope(toolbox: &Toolbox, caller: &Principal, incoming: &Incoming) -> bool {
    if !matches!(caller.credential, Credential::Grant(_)) {
        return false;
    }
    let exceeds_scope = |params: Option<&Map<String, Value>>| {
        let name = params.and_then(|params| params.get("name")?.as_str()).unwrap_or_default();
        let arguments = params.and_then(|params| params.get("arguments")?.as_object());
        toolbox.exceeds_scope(name, arguments.unwrap_or(&Map::new()), caller.scope)
    };
    match incoming {
        Incoming::Message(message) => message.method() == Some("tools/call") && exceeds_scope(message.params()),
        Incoming::Batch(messages) => messages
            .iter()
            .any(|message| message["method"] == "tools/call" && exceeds_scope(message["params"].as_object())),
    }
}

/// Checks that the header names a known revision. For a complete request of 2026-07-28 or later, rmcp checks this, with
/// the error that those revisions define.
fn check_revision(request: &HttpRequest, message: &Message) -> Result<(), Malformed> {
    let Some(named) = request.headers().get("mcp-protocol-version") else { return Ok(()) };
    let named = named.to_str().unwrap_or_default();
    if message.meta_version().is_some() || Revision::named(named).is_some() {
        return Ok(());
    }
    let id = message.id().cloned().unwrap_or_default();
    let reason = format!(
        "Invalid request: the header MCP-Protocol-Version is `{named:.40}`, which this gateway does not support. It \
         supports {}.",
        Revision::names()
    );
    Err(Malformed::invalid_request(id, reason))
}

/// Returns whether this is a ping with the version header of a revision that has no ping any more, from a client that
/// otherwise follows an older one. It is answered, since clients treat an error as the end of the connection. A
/// complete request of that revision repeats the version in its `_meta`. That one is left to rmcp, which refuses it, as
/// the revision requires for a removed method (conformance suite, `server-stateless`).
fn is_ping_between_revisions(request: &HttpRequest, message: &Message) -> bool {
    message.method() == Some("ping")
        && message.is_request()
        && message.meta_version().is_none()
        && request.headers().get("mcp-protocol-version").is_some_and(|version| version == NO_PING.as_str())
}

/// The first revision without `ping`.
const NO_PING: ProtocolVersion = ProtocolVersion::V_2026_07_28;

/// Reads a complete message. A large one is counted for its user before it is read, or at least before it is parsed.
async fn read_message(
    state: &HttpState,
    user: UserId,
    request: &HttpRequest,
    body: web::Payload,
) -> Result<Bytes, ApiError> {
    let limit = state.settings.max_body;
    let length = request.headers().get(actix_header::CONTENT_LENGTH);
    let declared = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > limit) {
        return Err(ApiError::TooLarge);
    }
    let admit = |bytes| state.large_bodies.admit(user, bytes, state.clock.now());
    admit(declared.unwrap_or_default())?;
    let body = body.to_bytes_limited(limit).await.map_err(|_| ApiError::TooLarge)?;
    let body = body.map_err(|_| ApiError::BadRequest("The body could not be read.".to_owned()))?;
    if declared.is_none() {
        admit(body.len())?;
    }
    Ok(body)
}

/// Reads what has arrived of a refused request's body, without waiting for more. If that is the complete body, the
/// connection stays open: a new connection per refusal would cost more than the refusal.
async fn drain_body(body: web::Payload) {
    // The head was passed on before the data that arrived with it was processed.
    tokio::task::yield_now().await;
    let _ = body.to_bytes_limited(DRAIN_LIMIT).now_or_never();
}
