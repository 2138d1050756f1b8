//! Counts each request to OwnerRez exactly once, including requests that were cancelled.

use chrono::{DateTime, Utc};

use super::{Reply, TransportError, Upstream};
use crate::metrics::Status;

/// A request in progress.
pub(super) struct RequestMetrics<'a> {
    upstream: &'a Upstream,
    operation: &'a str,
    pub(super) since: DateTime<Utc>,
    status: Status,
}

impl<'a> RequestMetrics<'a> {
    pub(super) fn start(upstream: &'a Upstream, operation: &'a str) -> Self {
        Self { upstream, operation, since: upstream.clock.now(), status: Status::Word("abandoned") }
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
        let took = self.upstream.clock.now() - self.since;
        self.upstream.metrics.upstream_request(self.operation, self.status, took);
    }
}

impl TransportError {
    /// Returns a short fixed label for metrics and logs.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::TooLarge { .. } => "too_large",
            Self::NotJson { .. } => "not_json",
            Self::Empty { .. } => "empty",
            Self::Invalid => "invalid",
        }
    }
}
