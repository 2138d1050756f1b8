//! The errors of the REST endpoints, and the single place that converts them to responses: `{"error": stable code,
//! "message": what happened, "hint": what to do next}`.

mod api_error;
mod body;
mod conversions;
mod log_info;
mod moved;
mod payload_errors;
mod response;
mod texts;

pub(crate) use self::{api_error::ApiError, body::ErrorBody, log_info::ErrorLogInfo, moved::Moved};
