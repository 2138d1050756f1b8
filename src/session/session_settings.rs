//! Limits of the sessions.

use chrono::TimeDelta;

/// Limits of the sessions.
#[derive(Clone, Copy, Debug)]
pub struct SessionSettings {
    /// The maximum duration of a call, with or without a result.
    pub call_deadline: TimeDelta,
    /// The maximum number of calls of one user that wait behind the running one.
    pub queue_depth: usize,
    /// The time without calls after which a session is asked to stop.
    pub idle: TimeDelta,
    /// The interval of the background jobs.
    pub background_jobs_every: TimeDelta,
    /// The age at which users without a connection are deleted.
    pub unconnected_for: Option<TimeDelta>,
}
