//! The response to a caller that asks for its turn.

use super::{ahead::Ahead, attempt::Attempt, queue_scope::QueueScope};

/// The response to a caller that asks for its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The attempt may begin. [`Admission::end`](super::Admission::end) must be called when it has ended.
    Admitted(Attempt),
    /// Other attempts go first.
    Wait {
        /// The numbers of places ahead.
        ahead: Ahead,
        /// Whether permits are available and the attempt only waits for another one from the same network to end.
        soon: bool,
    },
    /// The queue is full; there is no place for this attempt.
    Full(QueueScope),
}
