//! What the log and the metrics record of a call to OwnerRez.

use crate::{
    domain::{ErrorCode, error_chain},
    metrics::Status,
    session::{Answer, CallError},
};

/// The outcome of a call, without any of its content.
#[derive(Clone, Debug, Default)]
pub struct CallLogInfo {
    /// The stable error code.
    pub error: Option<ErrorCode>,
    /// OwnerRez's response, or the reason why there was none.
    pub upstream: Option<Status>,
    /// The cause, if the gateway itself is at fault.
    pub failure: Option<String>,
}

impl CallLogInfo {
    /// Returns the outcome of a call that ended before anything was sent.
    pub fn error(code: ErrorCode) -> Self {
        Self { error: Some(code), ..Self::default() }
    }

    /// Returns the outcome of one call.
    pub fn of(outcome: &Result<Answer, CallError>) -> Self {
        let upstream = match outcome {
            Ok(answer) if answer.from_cache => Some(Status::Word("remembered")),
            Ok(answer) => Some(Status::Code(answer.status)),
            Err(CallError::Upstream(refused)) => Some(Status::Code(refused.status)),
            Err(CallError::Transport { error, .. }) => Some(Status::Word(error.metric_label())),
            Err(_) => None,
        };
        let error = outcome.as_ref().err();
        Self {
            error: error.map(CallError::code),
            upstream,
            failure: error.filter(|error| error.is_our_fault()).map(|error| error_chain(error)),
        }
    }
}
