//! The length of OwnerRez's window.

use chrono::TimeDelta;

/// The length of OwnerRez's window.
pub const PERIOD: TimeDelta = TimeDelta::minutes(5);
