//! `/mcp`: rmcp's protocol engine behind actix-web, and the tools behind rmcp.
//!
//! The engine takes and gives `http` 1 messages, actix-web has `http` 0.2 types: methods, URIs and headers are carried
//! over by bytes. No state outlives a request, so any process can answer any of them.

use std::{convert::Infallible, sync::Arc};

use super::{
    HttpState, batch,
    choice::choice,
    error::ApiError,
    mcp_caller::{self, McpCaller},
    observe::Notes,
    plain_call::PlainCall,
};
use crate::{
    domain::{Caller, Credential, Scope, UserId},
    mcp::{Server, Watch},
    tools::{Choice, Toolbox},
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header as actix_header},
    web,
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http_body_util::{BodyExt, BodyStream, Full, combinators::BoxBody};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::{Map, Value};

/// The largest body, in bytes, that is read from somebody who is refused.
const READ_AWAY: usize = 8 * 1024;

/// The endpoint. The gateway's server is behind it; what the conformance suite asks for is another
/// (`tests/conformance`).
pub struct McpEndpoint<S = Server> {
    server: S,
    service: StreamableHttpService<S, NeverSessionManager>,
}

impl McpEndpoint {
    /// An endpoint over these tools.
    pub fn new(toolbox: Toolbox, max_body: usize) -> Self {
        Self::over(Server::new(toolbox), max_body)
    }
}

impl<S: ServerHandler + Clone> McpEndpoint<S> {
    /// An endpoint over any server of the protocol, whose clones answer one request each.
    pub fn over(server: S, max_body: usize) -> Self {
        // Host and Origin were checked for all routes by the guard; the body was bounded by actix-web.
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(max_body)
            .disable_allowed_hosts()
            .disable_allowed_origins();
        let each = server.clone();
        let service =
            StreamableHttpService::new(move || Ok(each.clone()), Arc::new(NeverSessionManager::default()), config);
        Self { server, service }
    }

    /// The answer to a request: the engine's, or a refusal if it cannot be carried over. Who asks, where
    /// that is known, and what they chose stand among the extensions of the request that the server sees.
    pub async fn answer(
        &self,
        request: &HttpRequest,
        asks: Option<(Caller, Choice)>,
        body: Bytes,
    ) -> Result<HttpResponse, actix_web::Error> {
        let response = self.service.handle(carried_over(request, asks, body)?).await;
        Ok(carried_back(response).await)
    }
}

/// Everything that arrives at `/mcp` and below. The caller comes first: without a key nothing else is looked at.
pub(crate) async fn handle(
    state: web::Data<HttpState>,
    endpoint: web::Data<McpEndpoint>,
    caller: Result<McpCaller, actix_web::Error>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let McpCaller(caller) = match caller {
        Ok(caller) => caller,
        Err(refusal) => {
            read_away(body).await;
            return Err(refusal);
        }
    };
    let body = read_message(&state, caller.user, &request, body).await?;
    if is_too_much(endpoint.server.toolbox(), &caller, &body) {
        return Err(mcp_caller::refused(&state, &request, ApiError::GrantTooSmall));
    }
    let choice = choice(endpoint.server.toolbox(), &caller, &request)?;
    if let Some(call) = PlainCall::of(&request, &body, &endpoint.server) {
        return Ok(call.answer(&request, &endpoint.server, &caller, &choice).await);
    }
    let asks = Some((caller, choice));
    match batch::messages(&request, &body) {
        // Boxed, as whatever most requests do not come to: what stands in a future takes room and is moved with it.
        Some(Ok(messages)) => Box::pin(answer_batch(&endpoint, &request, asks, messages)).await,
        Some(Err(refusal)) => Ok(refusal),
        None => Box::pin(endpoint.answer(&request, asks, body)).await,
    }
}

/// Reads a message whole. Large ones are counted for their user before they are read, or at least before they are parsed.
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

/// Reads away what has arrived of the body of somebody who is refused. If that is all of it their connection stays open,
/// and making a new one for each refusal costs more than the refusal itself; nobody waits for what has not.
async fn read_away(body: web::Payload) {
    // The head was passed on before the rest of what came with it was looked at.
    tokio::task::yield_now().await;
    let _ = body.to_bytes_limited(READ_AWAY).now_or_never();
}

/// One message after the other: in order, and never more of one user's at once than one message would make.
async fn answer_batch(
    endpoint: &McpEndpoint,
    request: &HttpRequest,
    asks: Option<(Caller, Choice)>,
    messages: Vec<Value>,
) -> Result<HttpResponse, actix_web::Error> {
    let mut answers = Vec::new();
    for message in messages {
        if let Some(refusal) = batch::refused(&message) {
            answers.push(refusal);
            continue;
        }
        let carried = carried_over(request, asks.clone(), Bytes::from(message.to_string()))?;
        let Ok(collected) = endpoint.service.handle(carried).await.into_body().collect().await;
        answers.extend(batch::entry(&message, &collected.to_bytes()));
    }
    if answers.is_empty() { Ok(HttpResponse::Accepted().finish()) } else { Ok(HttpResponse::Ok().json(answers)) }
}

/// Whether a client that may only read calls a tool that changes something. Clients learn that from the status of the
/// answer and may ask their user for more (RFC 6750 section 3.1); a key's owner is told in words, since nobody can step up
/// from a key. The tool itself refuses besides.
fn is_too_much(toolbox: &Toolbox, caller: &Caller, body: &[u8]) -> bool {
    if !matches!(caller.credential, Credential::Grant(_)) || caller.scope == Scope::Full {
        return false;
    }
    let Ok(message) = serde_json::from_slice::<Value>(body) else { return false };
    let messages = message.as_array().map_or(std::slice::from_ref(&message), Vec::as_slice);
    messages.iter().filter(|message| message["method"] == "tools/call").any(|call| {
        let name = call["params"]["name"].as_str().unwrap_or_default();
        let arguments = call["params"]["arguments"].as_object();
        toolbox.is_beyond(name, arguments.unwrap_or(&Map::new()), caller.scope)
    })
}

fn carried_over(
    request: &HttpRequest,
    asks: Option<(Caller, Choice)>,
    body: Bytes,
) -> Result<http::Request<Full<Bytes>>, ApiError> {
    let mut builder = http::Request::builder().method(request.method().as_str()).uri(request.uri().to_string());
    for (name, value) in request.headers() {
        // The engine has no use for credentials, so it does not get them; and its body may be a part of this one.
        let kept_back = [actix_header::AUTHORIZATION, actix_header::COOKIE, actix_header::CONTENT_LENGTH];
        if !kept_back.contains(name) {
            builder = builder.header(name.as_str(), value.as_bytes());
        }
    }
    if let Some(notes) = Notes::of(request) {
        let notes: Arc<dyn Watch> = notes;
        builder = builder.extension(notes);
    }
    if let Some((caller, choice)) = asks {
        builder = builder.extension(caller).extension(choice);
    }
    builder
        .body(Full::new(body))
        .map_err(|_| ApiError::BadRequest("The request line or a header cannot be read.".to_owned()))
}

async fn carried_back(response: http::Response<BoxBody<Bytes, Infallible>>) -> HttpResponse {
    let (parts, body) = response.into_parts();
    let status = StatusCode::from_u16(parts.status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    for (name, value) in &parts.headers {
        answer.append_header((name.as_str(), value.as_bytes()));
    }
    let is_stream = parts
        .headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if is_stream {
        let frames = BodyStream::new(body).filter_map(|frame| async {
            let Ok(frame) = frame;
            frame.into_data().ok().map(Ok::<_, Infallible>)
        });
        return answer.streaming(Box::pin(frames));
    }
    let Ok(collected) = body.collect().await;
    answer.body(collected.to_bytes())
}
