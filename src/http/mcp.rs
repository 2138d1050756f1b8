//! `/mcp`: rmcp's protocol engine behind actix-web, and the tools behind rmcp.
//!
//! The engine takes and gives `http` 1 messages, actix-web has `http` 0.2 types: methods, URIs and headers are carried
//! over by bytes. No state outlives a request, so any process can answer any of them.

use std::{convert::Infallible, sync::Arc};

use super::{batch, choice::choice, error::ApiError, observe::Notes, single_user::ProtocolCaller};
use crate::{
    domain::Caller,
    mcp::{Server, Watch},
    tools::{Choice, Toolbox},
};
use actix_web::{
    HttpRequest, HttpResponse,
    error::PayloadError,
    http::{StatusCode, header as actix_header},
    web,
};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, BodyStream, Full, combinators::BoxBody};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::Value;

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

    /// The answer to a request: the engine's, or a refusal if it cannot be carried over. The caller and what they chose,
    /// where there is one, stand among the extensions of the request that the server sees.
    pub async fn answer(
        &self,
        request: &HttpRequest,
        caller: Option<(Caller, Choice)>,
        body: Bytes,
    ) -> Result<HttpResponse, actix_web::Error> {
        match batch::messages(request, &body) {
            Some(Ok(messages)) => Ok(self.answer_batch(request, caller, messages).await?),
            Some(Err(refusal)) => Ok(refusal),
            None => Ok(carried_back(self.service.handle(carried_over(request, caller, body)?).await).await),
        }
    }

    /// One message after the other: in order, and never more of one user's at once than one message would make.
    async fn answer_batch(
        &self,
        request: &HttpRequest,
        caller: Option<(Caller, Choice)>,
        messages: Vec<Value>,
    ) -> Result<HttpResponse, ApiError> {
        let mut answers = Vec::new();
        for message in messages {
            if let Some(refusal) = batch::refused(&message) {
                answers.push(refusal);
                continue;
            }
            let carried = carried_over(request, caller.clone(), Bytes::from(message.to_string()))?;
            let Ok(collected) = self.service.handle(carried).await.into_body().collect().await;
            answers.extend(batch::entry(&message, &collected.to_bytes()));
        }
        if answers.is_empty() { Ok(HttpResponse::Accepted().finish()) } else { Ok(HttpResponse::Ok().json(answers)) }
    }
}

/// Everything that arrives at `/mcp` and below. The caller comes first: without a key nothing else is looked at.
pub(crate) async fn handle(
    endpoint: web::Data<McpEndpoint>,
    ProtocolCaller(caller): ProtocolCaller,
    request: HttpRequest,
    body: Result<Bytes, actix_web::Error>,
) -> Result<HttpResponse, actix_web::Error> {
    let body = body.map_err(|error| match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => ApiError::TooLarge,
        _ => ApiError::BadRequest("The body could not be read.".to_owned()),
    })?;
    let choice = choice(&endpoint.server, &caller, &request)?;
    endpoint.answer(&request, Some((caller, choice)), body).await
}

fn carried_over(
    request: &HttpRequest,
    caller: Option<(Caller, Choice)>,
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
    if let Some((caller, choice)) = caller {
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
