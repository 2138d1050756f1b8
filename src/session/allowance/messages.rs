//! The messages to the actor of the allowance.

use actix::prelude::*;

use super::stats::AllowanceStats;

/// Wakes the actor: the window has work for it, or its timer is set too late.
pub(super) struct Wake;

impl Message for Wake {
    type Result = ();
}

pub(super) struct Observe;

impl Message for Observe {
    type Result = AllowanceStats;
}

pub(super) struct Ready;

impl Message for Ready {
    type Result = ();
}

pub(super) struct Close;

impl Message for Close {
    type Result = ();
}
