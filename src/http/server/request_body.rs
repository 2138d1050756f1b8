//! The body of a request as its handler reads it: with a deadline, and counted while it is incomplete.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_web::{dev::Payload, error::PayloadError, web::Bytes};
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    bounds::{Bounds, Holder},
    connection::Connection,
    quota::{Exhausted, Reservation},
    source_quota::SourceReservation,
};
use crate::{
    auth::SourceAddress,
    http::{
        error::ApiError,
        middleware::{body_encoding::UnsupportedEncoding, request_logger::RequestContext},
    },
};

/// The reasons why a body is not read to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// The body took too long.
    TimedOut,
    /// The body is larger than allowed.
    TooLarge,
    /// The body is in a form that the gateway does not read.
    Encoding(UnsupportedEncoding),
    /// The source has reached its limit of unfinished requests.
    TooManyUnfinished,
    /// The bodies under way have reached the process's limit of bytes.
    TooManyBytes,
    /// The process is stopping.
    Stopping,
}

impl Refusal {
    /// Returns the error as the client receives it.
    pub(super) fn into_error(self, bounds: &Bounds) -> ApiError {
        match self {
            Self::TimedOut => ApiError::BodyTimedOut(bounds.body_timeout),
            Self::TooLarge => ApiError::TooLarge,
            Self::Encoding(encoding) => ApiError::UnsupportedEncoding(encoding),
            Self::TooManyUnfinished => ApiError::TooManyUnfinished(bounds.body_timeout),
            Self::TooManyBytes => ApiError::TooManyBytes,
            Self::Stopping => ApiError::Stopping,
        }
    }
}

impl From<Exhausted> for Refusal {
    fn from(exhausted: Exhausted) -> Self {
        match exhausted {
            Exhausted::Holder => Self::TooManyUnfinished,
            Exhausted::Process => Self::TooManyBytes,
        }
    }
}

/// The state of a body that the middleware reads. Exists as long as the request.
#[derive(Default)]
pub(super) struct BodyStatus {
    pub(super) refused: Cell<Option<Refusal>>,
    /// The bytes reserved for the body, if the caller's credential is verified.
    bytes: RefCell<Option<Reservation<Holder>>>,
}

/// A body with limits.
pub(super) struct RequestBody {
    pub(super) payload: Payload,
    pub(super) bounds: Arc<Bounds>,
    pub(super) context: Option<Arc<RequestContext>>,
    pub(super) source: SourceAddress,
    /// `Content-Length`.
    pub(super) declared: Option<usize>,
    /// The reason why the body is rejected unread, if it is.
    pub(super) unsupported: Option<UnsupportedEncoding>,
    pub(super) received: usize,
    pub(super) connection: Option<Rc<Connection>>,
    pub(super) status: Rc<BodyStatus>,
    /// Whether a handler has polled the body.
    pub(super) wanted: bool,
    /// Set as soon as the body has to be waited for.
    pub(super) waiting: Option<Box<IncompleteBody>>,
}

/// The state of a body that has not arrived completely.
pub(super) struct IncompleteBody {
    deadline: Pin<Box<Sleep>>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    _unfinished: Option<(SourceReservation, SourceReservation)>,
}

impl RequestBody {
    /// Returns the largest body that this caller may send. It is larger once the caller's credential is verified.
    fn limit(&self) -> usize {
        let verified = self.context.as_ref().is_some_and(|context| context.is_verified());
        if verified { self.bounds.verified_limit } else { self.bounds.unverified_limit }
    }

    /// Counts the body as unfinished from now on.
    #[expect(clippy::disallowed_methods, reason = "the deadline protects a real socket")]
    fn wait(&self) -> Result<Box<IncompleteBody>, Refusal> {
        let most = self.declared.unwrap_or_else(|| self.limit());
        let context = self.context.as_ref().filter(|context| context.is_verified());
        let unfinished = if let Some(context) = context {
            let holder = context.user().map_or(Holder::Source(self.source), Holder::User);
            *self.status.bytes.borrow_mut() = Some(self.bounds.verified_bytes.take(holder, most)?);
            None
        } else {
            Some((self.bounds.unfinished.take(self.source, 1)?, self.bounds.unverified_bytes.take(self.source, most)?))
        };
        Ok(Box::new(IncompleteBody {
            deadline: Box::pin(sleep_until(Instant::now() + self.bounds.body_timeout)),
            stop: Box::pin(self.bounds.stop.clone().cancelled_owned()),
            _unfinished: unfinished,
        }))
    }

    fn refuse(&mut self, refusal: Refusal) -> Poll<Option<Result<Bytes, PayloadError>>> {
        self.status.refused.set(Some(refusal));
        self.waiting = None;
        // The rest is not read. actix-http closes the connection after the response.
        self.payload = Payload::None;
        Poll::Ready(Some(Err(match refusal {
            Refusal::TooLarge => PayloadError::Overflow,
            _ => PayloadError::Incomplete(None),
        })))
    }
}

impl Stream for RequestBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.status.refused.get().is_some() {
            return Poll::Ready(None);
        }
        if let Some(encoding) = this.unsupported {
            return this.refuse(Refusal::Encoding(encoding));
        }
        if this.declared.is_some_and(|declared| declared > this.limit()) {
            return this.refuse(Refusal::TooLarge);
        }
        if let Poll::Ready(part) = Pin::new(&mut this.payload).poll_next(context) {
            match &part {
                Some(Ok(bytes)) => {
                    this.received += bytes.len();
                    if this.received > this.limit() {
                        return this.refuse(Refusal::TooLarge);
                    }
                }
                Some(Err(_)) => {}
                None => {
                    this.waiting = None;
                    if let Some(connection) = &this.connection {
                        connection.complete_body();
                    }
                }
            }
            return Poll::Ready(part);
        }
        if !this.wanted {
            // actix-http passes a head on before it processes the bytes that arrived with it. Most bodies are there at
            // the second poll.
            this.wanted = true;
            match &this.connection {
                Some(connection) => connection.want_body(),
                None => context.waker().wake_by_ref(),
            }
            return Poll::Pending;
        }
        let waiting = match &mut this.waiting {
            Some(waiting) => waiting,
            None => match this.wait() {
                Ok(waiting) => this.waiting.insert(waiting),
                Err(refusal) => return this.refuse(refusal),
            },
        };
        if waiting.deadline.as_mut().poll(context).is_ready() {
            return this.refuse(Refusal::TimedOut);
        }
        ready!(waiting.stop.as_mut().poll(context));
        this.refuse(Refusal::Stopping)
    }
}
