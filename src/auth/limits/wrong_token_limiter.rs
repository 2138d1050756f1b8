//! The limit on wrong metrics tokens.

use chrono::{DateTime, TimeDelta, Utc};

use super::{fixed_window_counter::FixedWindowCounter, too_many::TooMany};
use crate::auth::source_address::SourceAddress;

/// Counts wrong metrics tokens by source. The right token is accepted before this check, so that another client at the
/// same address cannot block the scrapes.
pub struct WrongTokenLimiter(FixedWindowCounter<SourceAddress>);

impl WrongTokenLimiter {
    /// Allows `limit` wrong tokens within the span.
    pub fn new(limit: u32, span: TimeDelta) -> Self {
        Self(FixedWindowCounter::new(limit, span))
    }

    /// Counts a wrong token, unless the source has reached the limit.
    pub(crate) fn record_failure(&self, source: SourceAddress, now: DateTime<Utc>) -> Result<(), TooMany> {
        self.0.admit(source, now).map_err(TooMany::WrongTokens)
    }
}
