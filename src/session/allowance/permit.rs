//! The right to send one request, from the application to the response.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::inner::Inner;
use crate::{
    allowance::{AcquireResult, AllowanceError, Event, Ticket},
    domain::UserId,
};

/// A requested permit. Dropping it leaves the queue.
pub(in crate::session) struct PendingPermit {
    pub(super) permit: Permit,
    pub(super) result: AcquireResult,
    pub(super) asked: DateTime<Utc>,
}

impl PendingPermit {
    /// Waits for the decision.
    pub(in crate::session) async fn decision(self) -> Result<Permit, AllowanceError> {
        let Self { mut permit, result, asked } = self;
        let (verdict, waited) = match result {
            AcquireResult::Decided(verdict) => (verdict, TimeDelta::zero()),
            AcquireResult::Pending(answer) => {
                (answer.await.unwrap_or(Err(AllowanceError::Standby)), permit.inner.clock.now() - asked)
            }
        };
        let label = verdict.as_ref().map_or_else(AllowanceError::metric_label, |()| "granted");
        permit.inner.metrics.allowance_asked(label, waited);
        // A refused permit occupies nothing.
        permit.settled = verdict.is_err();
        verdict.map(|()| permit)
    }
}

/// The right to send one request. It counts as spent after [`Permit::sending`] was called, whatever happens then.
pub struct Permit {
    inner: Arc<Inner>,
    ticket: Ticket,
    /// The user that the request is recorded for.
    user: UserId,
    sent: bool,
    settled: bool,
}

impl Permit {
    /// Creates the value for a request that was made with this ticket.
    pub(super) fn new(inner: Arc<Inner>, ticket: Ticket, user: UserId) -> Self {
        Self { inner, ticket, user, sent: false, settled: false }
    }

    /// Sets the user, if it was not known before.
    pub(in crate::session) fn set_user(&mut self, user: UserId) {
        self.user = user;
    }

    /// Marks the permit as spent. Call it right before the request is sent.
    pub fn sending(&mut self) {
        if !self.sent {
            self.sent = true;
            self.inner.usage.sent(self.user, self.inner.clock.now());
        }
    }

    /// Reports that the response was 429.
    pub fn throttled(mut self, retry_after: Option<TimeDelta>) {
        self.settled = true;
        let at = self.inner.clock.now();
        self.inner.handle_event(at, Event::Throttled { ticket: self.ticket, at, retry_after });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            let (ticket, at) = (self.ticket, self.inner.clock.now());
            self.inner.handle_event(at, if self.sent { Event::Done { ticket, at } } else { Event::Cancel(ticket) });
        }
    }
}
