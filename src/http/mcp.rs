//! `/mcp`: connects actix-web to rmcp, which calls the tools.
//!
//! rmcp uses `http` 1 types and actix-web `http` 0.2 types: methods, URIs and headers are converted by bytes. No state
//! outlives a request, so any process can answer any request.

pub(super) mod accept;
pub(super) mod batch;
pub(super) mod mcp_caller;
pub(super) mod mcp_failure;
pub(super) mod tool_selection;

use std::{convert::Infallible, sync::Arc};

use self::{
    accept::{Accepted, EVENT_STREAM, JSON},
    mcp_caller::McpCaller,
    tool_selection::tool_selection,
};
use super::{
    error::{ApiError, ErrorLogInfo},
    middleware::request_logger::RequestContext,
    resource::method_not_allowed,
    state::HttpState,
};
use crate::{
    domain::{Credential, ErrorCode, Principal, UserId},
    mcp::{CallObserver, Incoming, Malformed, Message, Revision, Server, reword_unknown_method},
    tools::{ToolSelection, Toolbox},
};

use actix_web::{
    HttpRequest, HttpResponse,
    error::InternalError,
    http::{Method, StatusCode, header as actix_header},
    web,
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http_body_util::{BodyExt, BodyStream, Full, combinators::BoxBody};
use rmcp::{
    ServerHandler,
    model::ProtocolVersion,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::{Value, json};

/// The largest body, in bytes, that is read with a refused request.
const DRAIN_LIMIT: usize = 8 * 1024;
/// The log's code for a body that is no message, or a message with wrong parameters.
const MALFORMED: ErrorCode = ErrorCode::MalformedMessage;

/// rmcp's error code for an unknown method.
const METHOD_NOT_FOUND: i64 = -32601;

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
    // Boxed because moving a future copies everything that it contains.
    let asks_for_more = matches!(caller.credential, Credential::Grant(_));
    let answer = Box::pin(endpoint.answer_incoming(&request, accepted, Some((caller, selection)), incoming)).await?;
    // An OAuth client learns from the status that its scope is too small, and may ask its user for a larger one (RFC
    // 6750 section 3.1). The scope of a key cannot be extended, so its user gets the text of the tool.
    let error = RequestContext::of(&request).and_then(|context| context.error_code());
    if asks_for_more && error == Some(ErrorCode::InsufficientScope) {
        return Err(mcp_caller::error_with_challenge(&state, &request, ApiError::GrantTooSmall));
    }
    Ok(answer)
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

/// Answers a body that contains no message with 400, as the transport requires for input that cannot be accepted.
fn malformed_response(malformed: &Malformed) -> HttpResponse {
    with_log_info(HttpResponse::BadRequest().json(malformed.to_json()))
}

fn with_log_info(mut answer: HttpResponse) -> HttpResponse {
    answer.extensions_mut().insert(ErrorLogInfo { code: MALFORMED, cause: None });
    answer
}

/// Returns whether a `Content-Type` is JSON, whatever its parameters.
fn is_json(content_type: Option<&[u8]>) -> bool {
    let essence = content_type.and_then(|kind| kind.split(|&byte| byte == b';').next());
    essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(JSON.as_bytes()))
}

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

fn to_rmcp_request(
    request: &HttpRequest,
    caller_and_selection: Option<(Principal, ToolSelection)>,
    body: Bytes,
) -> Result<http::Request<Full<Bytes>>, ApiError> {
    let mut builder = http::Request::builder().method(request.method().as_str()).uri(request.uri().to_string());
    for (name, value) in request.headers() {
        // rmcp needs no credentials, so it does not get them, and its body differs from the original one.
        let kept_back =
            [actix_header::AUTHORIZATION, actix_header::COOKIE, actix_header::CONTENT_LENGTH, actix_header::ACCEPT];
        if !kept_back.contains(name) {
            builder = builder.header(name.as_str(), value.as_bytes());
        }
    }
    // rmcp requires both media types. The client's own `Accept` was evaluated before.
    builder = builder.header(http::header::ACCEPT, "application/json, text/event-stream");
    if let Some(context) = RequestContext::of(request) {
        let context: Arc<dyn CallObserver> = context;
        builder = builder.extension(context);
    }
    if let Some((caller, selection)) = caller_and_selection {
        builder = builder.extension(caller).extension(selection);
    }
    builder
        .body(Full::new(body))
        .map_err(|_| ApiError::BadRequest("The request line or a header cannot be read.".to_owned()))
}

async fn from_rmcp_response(
    request: &HttpRequest,
    response: http::Response<BoxBody<Bytes, Infallible>>,
    accepted: Accepted,
    message: &Message,
) -> HttpResponse {
    let (parts, body) = response.into_parts();
    let status = StatusCode::from_u16(parts.status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = parts.headers.get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let is_stream = content_type.is_some_and(|kind| kind.starts_with(EVENT_STREAM.as_bytes()));
    let is_text = !is_stream && !is_json(content_type);
    let mut answer = HttpResponse::build(status);
    for (name, value) in &parts.headers {
        answer.append_header((name.as_str(), value.as_bytes()));
    }
    if is_stream && accepted != Accepted::Json {
        let frames = BodyStream::new(body).filter_map(|frame| async {
            let Ok(frame) = frame;
            frame.into_data().ok().map(Ok::<_, Infallible>)
        });
        return answer.streaming(Box::pin(frames));
    }
    let Ok(collected) = body.collect().await;
    let collected = reworded(request, message, collected.to_bytes());
    if is_stream {
        // The earlier events are notifications, which this client cannot receive.
        return HttpResponse::build(status).content_type(JSON).body(last_event(&collected));
    }
    if is_text && status.is_client_error() {
        let id = message.id().cloned().unwrap_or_default();
        return malformed_response(&Malformed::invalid_request(id, String::from_utf8_lossy(&collected)));
    }
    answer.body(collected)
}

/// Records the failure if rmcp's answer is an error, and returns the answer, with a reworded message if needed.
fn reworded(request: &HttpRequest, message: &Message, answer: Bytes) -> Bytes {
    match mcp_failure::note_failure(request, message.method(), &answer) {
        Some(METHOD_NOT_FOUND) => {
            reword_unknown_method(&answer).map_or(answer, |answer| Bytes::from(answer.to_string()))
        }
        _ => answer,
    }
}

/// Returns the data of the last event with data in a stream.
fn last_event(stream: &Bytes) -> Bytes {
    let lines = stream.split(|&byte| byte == b'\n');
    let mut data = lines.filter_map(|line| line.strip_prefix(b"data:")).map(<[u8]>::trim_ascii);
    data.rfind(|data| !data.is_empty()).map_or_else(Bytes::new, |data| stream.slice_ref(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_last_event_of_a_stream() {
        let stream = Bytes::from_static(b"data: {\"a\":1}\n\nevent: message\ndata: {\"b\":2}\n\nid: 7\ndata:\n\n");
        assert_eq!(last_event(&stream), Bytes::from_static(b"{\"b\":2}"));
        assert!(last_event(&Bytes::new()).is_empty());
    }

    #[test]
    fn parameters_do_not_change_a_content_type() {
        for json in ["application/json", "Application/JSON; charset=utf-8", " application/json ;x=y"] {
            assert!(is_json(Some(json.as_bytes())), "{json}");
        }
        for other in ["text/plain", "application/jsonx", "application/json, text/plain", ""] {
            assert!(!is_json(Some(other.as_bytes())), "{other}");
        }
        assert!(!is_json(None));
    }
}
