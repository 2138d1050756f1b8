//! Statistics of one user's session.

use actix::prelude::*;

/// Statistics of one session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, MessageResponse)]
pub struct SessionStats {
    /// Whether a job is running for the user.
    pub busy: bool,
    /// Waiting jobs, without calls whose caller went away.
    pub waiting: usize,
}
