//! An error as the client receives it.

use actix_web::http::StatusCode;
use chrono::TimeDelta;

use crate::domain::ErrorCode;

/// An error as the client receives it.
pub(crate) struct ErrorBody {
    pub(crate) status: StatusCode,
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) hint: String,
    pub(crate) retry_after: Option<TimeDelta>,
}

impl ErrorBody {
    pub(super) fn new(
        status: StatusCode,
        code: ErrorCode,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { status, code, message: message.into(), hint: hint.into(), retry_after: None }
    }

    pub(super) fn with_retry_after(mut self, wait: TimeDelta) -> Self {
        self.retry_after = Some(wait);
        self
    }
}
