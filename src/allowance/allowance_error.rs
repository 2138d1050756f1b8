//! Why a request gets no permit.

use chrono::TimeDelta;

use crate::domain::ErrorCode;

/// Reasons for which a request gets no permit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AllowanceError {
    /// The allowance is spent.
    Spent {
        /// The time until a slot becomes free.
        wait: TimeDelta,
        /// The number of requests in five minutes that this process may send.
        limit: u32,
    },
    /// OwnerRez answered 429; the gateway sends nothing before this time has passed.
    Throttled(TimeDelta),
    /// Another process has the right to spend.
    Standby,
    /// The permits could not be reserved in the database.
    Storage,
}

impl AllowanceError {
    /// Returns a short fixed label for metrics and logs.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Spent { .. } => "spent",
            Self::Throttled(_) => "throttled",
            Self::Standby => "standby",
            Self::Storage => "storage",
        }
    }

    /// Returns the stable error code of a call that was refused for this reason.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Spent { .. } => ErrorCode::AllowanceSpent,
            Self::Throttled(_) => ErrorCode::OwnerRezThrottled,
            Self::Standby => ErrorCode::Standby,
            Self::Storage => ErrorCode::DatabaseUnavailable,
        }
    }
}
