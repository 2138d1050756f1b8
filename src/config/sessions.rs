//! Limits on the users' sessions.

use super::{layers::Layers, size::MEBIBYTE};

/// Limits on the users' sessions.
#[derive(Clone, Debug)]
pub struct SessionsSection {
    /// The total time that a call may take.
    pub call_deadline_seconds: u32,
    /// The number of calls of one user that may wait.
    pub queue_depth: usize,
    /// How long connecting to OwnerRez may take.
    pub connect_timeout_seconds: u32,
    /// How long one request to OwnerRez may take, including its body.
    pub upstream_timeout_seconds: u32,
    /// The largest response accepted from OwnerRez.
    pub answer_limit_bytes: usize,
    /// The size of the cache of OwnerRez's responses, for all sessions together.
    pub recent_answers_bytes: usize,
    /// The time after which a session without calls is dropped.
    pub idle_seconds: u32,
    /// The interval of the background token refresh.
    pub renewal_sweep_seconds: u32,
}

pub(super) fn sessions(layers: &mut Layers) -> SessionsSection {
    let sessions = SessionsSection {
        call_deadline_seconds: layers.number("sessions.call_deadline_seconds", 1..=600),
        queue_depth: layers.number("sessions.queue_depth", 1..=1000),
        connect_timeout_seconds: layers.number("sessions.connect_timeout_seconds", 1..=60),
        upstream_timeout_seconds: layers.number("sessions.upstream_timeout_seconds", 1..=600),
        answer_limit_bytes: layers.number("sessions.answer_limit_bytes", 64 * 1024..=64 * MEBIBYTE),
        recent_answers_bytes: layers.number("sessions.recent_answers_bytes", 0..=1024 * MEBIBYTE),
        idle_seconds: layers.number("sessions.idle_seconds", 1..=86_400),
        renewal_sweep_seconds: layers.number("sessions.renewal_sweep_seconds", 1..=86_400),
    };
    let allowed = sessions.connect_timeout_seconds..=sessions.call_deadline_seconds;
    if !allowed.contains(&sessions.upstream_timeout_seconds) {
        layers.refuse(
            "sessions.upstream_timeout_seconds",
            format!("{} is out of range", sessions.upstream_timeout_seconds),
            format!(
                "use at least {} (sessions.connect_timeout_seconds) and at most {} (sessions.call_deadline_seconds)",
                allowed.start(),
                allowed.end()
            ),
        );
    }
    sessions
}
