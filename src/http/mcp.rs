//! `/mcp`: rmcp's protocol engine behind actix-web, and the tools behind rmcp.
//!
//! The engine takes and gives `http` 1 messages, actix-web has `http` 0.2 types: methods, URIs and headers are carried
//! over by bytes. No state outlives a request, so any process can answer any of them.

use std::{convert::Infallible, sync::Arc};

use super::{choice::choice, error::ApiError, key_check::AnyCaller, observe::Notes};
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
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};

/// The endpoint, shared by all workers.
pub struct McpEndpoint {
    toolbox: Toolbox,
    service: StreamableHttpService<Server, NeverSessionManager>,
}

impl McpEndpoint {
    /// An endpoint over these tools.
    pub fn new(toolbox: Toolbox, max_body: usize) -> Self {
        // Host and Origin were checked for all routes by the guard; the body was bounded by actix-web.
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(max_body)
            .disable_allowed_hosts()
            .disable_allowed_origins();
        let tools = Server::new(toolbox.clone());
        let service =
            StreamableHttpService::new(move || Ok(tools.clone()), Arc::new(NeverSessionManager::default()), config);
        Self { toolbox, service }
    }
}

/// Everything that arrives at `/mcp` and below. The caller comes first: without a key nothing else is looked at.
pub(crate) async fn handle(
    endpoint: web::Data<McpEndpoint>,
    AnyCaller(caller): AnyCaller,
    request: HttpRequest,
    body: Result<Bytes, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let body = body.map_err(|error| match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => ApiError::TooLarge,
        _ => ApiError::BadRequest("The body could not be read.".to_owned()),
    })?;
    let choice = choice(&endpoint.toolbox, &caller, &request)?;
    let response = endpoint.service.handle(carried_over(&request, caller, choice, body)?).await;
    Ok(carried_back(response).await)
}

fn carried_over(
    request: &HttpRequest,
    caller: Caller,
    choice: Choice,
    body: Bytes,
) -> Result<http::Request<Full<Bytes>>, ApiError> {
    let mut builder = http::Request::builder().method(request.method().as_str()).uri(request.uri().to_string());
    for (name, value) in request.headers() {
        // The engine has no use for credentials, so it does not get them.
        if *name != actix_header::AUTHORIZATION && *name != actix_header::COOKIE {
            builder = builder.header(name.as_str(), value.as_bytes());
        }
    }
    if let Some(notes) = Notes::of(request) {
        let notes: Arc<dyn Watch> = notes;
        builder = builder.extension(notes);
    }
    builder
        .extension(caller)
        .extension(choice)
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
