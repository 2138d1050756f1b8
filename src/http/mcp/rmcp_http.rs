//! Converts requests and responses between actix-web and rmcp. rmcp uses `http` 1 types and actix-web `http` 0.2 types:
//! methods, URIs and headers are converted by bytes.

use std::{convert::Infallible, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header as actix_header},
};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, BodyStream, Full, combinators::BoxBody};

use super::{
    accept::{Accepted, EVENT_STREAM, JSON, is_json},
    malformed_response::malformed_response,
    mcp_failure,
};
use crate::{
    domain::Principal,
    http::{error::ApiError, middleware::request_logger::RequestContext},
    mcp::{CallObserver, Malformed, Message, reword_unknown_method},
    tools::ToolSelection,
};

/// rmcp's error code for an unknown method.
const METHOD_NOT_FOUND: i64 = -32601;

/// Returns a message as the request that rmcp reads.
pub(in crate::http) fn to_rmcp_request(
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

/// Returns the response of rmcp as one of actix-web, in the form that the client accepts.
pub(in crate::http) async fn from_rmcp_response(
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
pub(in crate::http) fn reworded(request: &HttpRequest, message: &Message, answer: Bytes) -> Bytes {
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
}
