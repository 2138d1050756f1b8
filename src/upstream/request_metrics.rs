//! Counts each request to OwnerRez exactly once, including requests that were cancelled.

use chrono::{DateTime, Utc};

use super::{reply::Reply, transport_error::TransportError};
use crate::{
    domain::SharedClock,
    metrics::{Metrics, Status},
};

/// A request in progress.
pub(super) struct RequestMetrics<'a> {
    clock: &'a SharedClock,
    metrics: &'a Metrics,
    operation: &'a str,
    pub(super) since: DateTime<Utc>,
    status: Status,
}

impl<'a> RequestMetrics<'a> {
    pub(super) fn start(clock: &'a SharedClock, metrics: &'a Metrics, operation: &'a str) -> Self {
        Self { clock, metrics, operation, since: clock.now(), status: Status::Word("abandoned") }
    }

    pub(super) fn end(mut self, outcome: &Result<Reply, TransportError>) {
        self.status = match outcome {
            Ok(reply) => Status::Code(reply.status),
            Err(error) => Status::Word(error.metric_label()),
        };
    }
}

impl Drop for RequestMetrics<'_> {
    fn drop(&mut self) {
        let took = self.clock.now() - self.since;
        self.metrics.upstream_request(self.operation, self.status, took);
    }
}
