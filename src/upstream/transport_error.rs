//! The reasons for which a request to OwnerRez has no usable response.

/// No usable response was received. Whether OwnerRez processed the request is unknown unless the variant says
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The host could not be reached; nothing was sent.
    #[error("OwnerRez could not be reached")]
    Unreachable,
    /// The response did not arrive in time.
    #[error("OwnerRez did not respond in time")]
    TimedOut,
    /// The connection broke before the response was complete.
    #[error("the connection to OwnerRez broke before its response arrived")]
    Broken,
    /// The response exceeds the size limit.
    #[error("the response of OwnerRez is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The response is not JSON although it should be.
    #[error("OwnerRez returned status {status} and a body that is not JSON")]
    NotJson {
        /// HTTP status of the response.
        status: u16,
    },
    /// The response to a read has a success status but an empty body.
    #[error("OwnerRez returned status {status} and an empty body for a read")]
    Empty {
        /// HTTP status of the response.
        status: u16,
    },
    /// The request could not be built, which is a bug of the gateway. Nothing was sent.
    #[error("the request to OwnerRez could not be built")]
    Invalid,
}

impl TransportError {
    /// Returns a short fixed label for metrics and logs.
    pub fn metric_label(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::TooLarge { .. } => "too_large",
            Self::NotJson { .. } => "not_json",
            Self::Empty { .. } => "empty",
            Self::Invalid => "invalid",
        }
    }
}
