//! The refusal of a limiter.

use chrono::TimeDelta;

/// A limit that was reached, with the time to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum TooMany {
    /// Invalid keys of a source, or of a source with one lookup id.
    #[error("too many failed keys")]
    FailedKeys(TimeDelta),
    /// Wrong metrics tokens of a source.
    #[error("too many wrong tokens")]
    WrongTokens(TimeDelta),
    /// Registrations of a source.
    #[error("too many registrations")]
    Registrations(TimeDelta),
    /// Large messages of a user.
    #[error("too many large messages")]
    LargeBodies(TimeDelta),
}
