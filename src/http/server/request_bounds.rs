//! The middleware that limits requests: the time, the bytes and the number of their bodies.

use std::{
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage, HttpResponse, ResponseError,
    body::{BodySize, EitherBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
    web::Bytes,
};

use super::{
    bounds::{Bounds, RequestSettings},
    connection::{BodyState, Connection, InFlight},
    request_body::{BodyStatus, RequestBody},
};
use crate::http::{
    error::ApiError,
    extract::source_address::source_of,
    middleware::{body_encoding::UnsupportedEncoding, request_logger::RequestContext},
    pages,
};

/// The limits on requests. Cloning is cheap; clones share the counts.
#[derive(Clone)]
pub struct RequestBounds(Arc<Bounds>);

impl RequestBounds {
    /// Creates the limits, with all counts at zero.
    pub fn new(settings: RequestSettings) -> Self {
        Self(Arc::new(Bounds::new(settings)))
    }

    /// Stops waiting for incomplete bodies, now and from now on: their clients get 503.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Applies the limits to one request.
    pub async fn apply<B: MessageBody + Unpin + 'static>(
        self,
        mut request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<HeldBody<EitherBody<B>>>, Error> {
        let connection = request.conn_data::<Rc<Connection>>().cloned();
        let payload = request.take_payload();
        if matches!(payload, Payload::None) {
            let under_way = connection.map(|connection| connection.begin(BodyState::Complete));
            let response = next.call(request).await?.map_into_left_body();
            return Ok(response.map_body(|_, body| HeldBody { body, _under_way: under_way, _fate: None }));
        }
        let status = Rc::<BodyStatus>::default();
        let body = self.body(&request, payload, connection.clone(), status.clone());
        let state = BodyState::Incomplete { chunked: body.declared.is_none() };
        let under_way = connection.map(|connection| connection.begin(state));
        request.set_payload(Payload::Stream { payload: Box::pin(body) });
        let response = next.call(request).await?;
        let response = match status.refused.get() {
            // Handlers answer 400 if a body could not be read. Only this middleware knows the reason.
            Some(refusal) if response.status() == StatusCode::BAD_REQUEST => {
                let refused = refused(&refusal.into_error(&self.0), &response);
                response.into_response(refused).map_into_right_body()
            }
            _ => response.map_into_left_body(),
        };
        Ok(response.map_body(|_, body| HeldBody { body, _under_way: under_way, _fate: Some(status) }))
    }

    fn body(
        &self,
        request: &ServiceRequest,
        payload: Payload,
        connection: Option<Rc<Connection>>,
        status: Rc<BodyStatus>,
    ) -> RequestBody {
        let length = request.headers().get(header::CONTENT_LENGTH);
        RequestBody {
            payload,
            bounds: self.0.clone(),
            context: RequestContext::of(request.request()),
            source: source_of(request.request(), &self.0.trusted_proxies),
            unsupported: UnsupportedEncoding::of(request.headers()),
            declared: length.and_then(|length| length.to_str().ok()?.parse().ok()),
            received: 0,
            connection,
            status,
            wanted: false,
            waiting: None,
        }
    }
}

/// Returns the error in the form of the response that it replaces: a page instead of a page, and with its CORS headers.
fn refused<B>(error: &ApiError, replaced: &ServiceResponse<B>) -> HttpResponse {
    let is_page =
        replaced.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let mut response = if is_page { pages::error(error) } else { error.error_response() };
    for (name, value) in replaced.headers() {
        if name.as_str().starts_with("access-control-") || *name == header::VARY {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    if let ApiError::UnsupportedEncoding(encoding) = error {
        encoding.add_to(response.headers_mut());
    }
    response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    response
}

/// The body of a response. Its request is under way until the body is sent or dropped.
pub struct HeldBody<B> {
    body: B,
    _under_way: Option<InFlight>,
    _fate: Option<Rc<BodyStatus>>,
}

impl<B: MessageBody + Unpin> MessageBody for HeldBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, _under_way, _fate } = self;
        body.try_into_bytes().map_err(|body| Self { body, _under_way, _fate })
    }
}
