//! The processing of one request by the simulator, from the web framework and back to it.

use std::{convert::Infallible, io};

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodyStream, SizedStream},
    http::{StatusCode, header},
    web,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::Value;

use super::{
    api,
    call::Call,
    control::Controls,
    control_http, oauth,
    reply::{Code, Reply},
    script::ScriptedAnswer,
    state::{Arrival, Shared},
};
use crate::domain::{BoxFuture, Clock};

/// Answers one request.
pub(super) async fn serve(request: HttpRequest, body: Bytes, controls: web::Data<Controls>) -> HttpResponse {
    let call = Call::read(&request, body);
    if !call.host_is_loopback() {
        return response(Reply::html(403, "Only reachable as localhost.".to_owned()));
    }
    if call.path == "/_control" || call.path.starts_with("/_control/") {
        return response(control_http::answer(&controls, &call).await);
    }
    let shared = &controls.0;
    let Arrival { number, at, admitted, gates, rule } = shared.arrive(&call);
    if !admitted {
        shared.answered(number, 429);
        return response(Reply::over_the_limit());
    }
    for gate in gates {
        gate.pass().await;
    }
    let Some(rule) = rule else {
        let reply = process(shared, &call);
        shared.answered(number, reply.status);
        return response(reply);
    };
    // Delays count from the arrival: a test that advances a manual clock once the request is in the log cannot be too
    // early.
    let processed_at = at + rule.wait();
    shared.clock.sleep_until(processed_at).await;
    let body_at = processed_at + rule.body_wait();
    let reply = match rule.answer {
        ScriptedAnswer::Process => process(shared, &call),
        ScriptedAnswer::Reply { status, headers, body } => scripted(status, headers, &body),
        ScriptedAnswer::LoseReply => {
            process(shared, &call);
            return cut();
        }
        ScriptedAnswer::Reset => return cut(),
        ScriptedAnswer::GiantBody(bytes) => {
            shared.answered(number, 200);
            return giant(bytes);
        }
        ScriptedAnswer::InvalidJson => scripted(200, Vec::new(), &Value::from("{\"items\": [{\"id\": 1,")),
    };
    shared.answered(number, reply.status);
    if body_at > processed_at { late_body(reply, shared.clock.sleep_until(body_at)) } else { response(reply) }
}

fn process(shared: &Shared, call: &Call) -> Reply {
    if call.path.starts_with("/v2/") {
        api::answer(shared, call)
    } else if call.path.starts_with("/oauth/") {
        oauth::answer(shared, call)
    } else {
        Reply::error(Code::NotFound, &["The resource was not found.".to_owned()])
    }
}

fn scripted(status: u16, headers: Vec<(String, String)>, body: &Value) -> Reply {
    let mut reply = match body {
        Value::Null => Reply::empty(status),
        Value::String(text) => Reply { body: text.clone().into_bytes(), ..Reply::json(status, body) },
        body => Reply::json(status, body),
    };
    let replaced = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    reply.headers.retain(|(name, _)| !replaced(name));
    reply.headers.extend(headers);
    reply
}

fn head(reply: &Reply) -> actix_web::HttpResponseBuilder {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    for (name, value) in &reply.headers {
        builder.append_header((name.as_str(), value.as_str()));
    }
    builder
}

fn response(reply: Reply) -> HttpResponse {
    head(&reply).body(reply.body)
}

/// Sends the head at once, and the body when `wait` is over.
fn late_body(reply: Reply, wait: BoxFuture<()>) -> HttpResponse {
    let mut builder = head(&reply);
    let length = reply.body.len() as u64;
    let body = stream::once(async move {
        wait.await;
        Ok::<_, Infallible>(Bytes::from(reply.body))
    });
    builder.body(SizedStream::new(length, body))
}

/// Closes the connection without a byte: if the body fails before the head was flushed, the head is not sent.
fn cut() -> HttpResponse {
    let failed = io::Error::from(io::ErrorKind::ConnectionReset);
    HttpResponse::Ok().body(BodyStream::new(stream::once(async move { Err::<Bytes, _>(failed) })))
}

/// Sends a JSON string of `bytes` bytes, generated piece by piece to limit the simulator's memory use.
fn giant(bytes: usize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json; charset=utf-8"))
        .body(BodyStream::new(giant_pieces(bytes)))
}

fn giant_pieces(bytes: usize) -> impl Stream<Item = Result<Bytes, Infallible>> {
    const PIECE: &[u8] = &[b'x'; 32 * 1024];
    let quote = || Bytes::from_static(b"\"");
    let filling = stream::unfold(bytes.saturating_sub(2), |left| async move {
        let length = left.min(PIECE.len());
        let piece = PIECE.get(..length).filter(|piece| !piece.is_empty())?;
        Some((Bytes::from_static(piece), left - length))
    });
    let start = stream::once(async move { quote() });
    let end = stream::once(async move { quote() });
    start.chain(filling).chain(end).map(Ok)
}
