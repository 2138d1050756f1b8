//! The limit on registrations.

use chrono::{DateTime, TimeDelta, Utc};

use super::{fixed_window_counter::FixedWindowCounter, too_many::TooMany};
use crate::auth::source_address::SourceAddress;

/// Counts registrations by source.
pub struct RegistrationLimiter(FixedWindowCounter<SourceAddress>);

impl RegistrationLimiter {
    /// Allows `per_hour` registrations within an hour.
    pub fn new(per_hour: u32) -> Self {
        Self(FixedWindowCounter::new(per_hour, TimeDelta::hours(1)))
    }

    /// Counts a registration before the work that it costs.
    pub(crate) fn admit(&self, source: SourceAddress, now: DateTime<Utc>) -> Result<(), TooMany> {
        self.0.admit(source, now).map_err(TooMany::Registrations)
    }

    /// Uncounts a registration that failed through no fault of the caller.
    pub(crate) fn refund(&self, source: SourceAddress) {
        self.0.refund(&source);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn source(last: u8) -> SourceAddress {
        IpAddr::from([203, 0, 113, last]).into()
    }

    #[test]
    fn a_registration_that_came_to_nothing_does_not_count() {
        let limits = RegistrationLimiter::new(1);
        limits.admit(source(1), at(0)).unwrap();
        assert!(matches!(
            limits.admit(source(1), at(1)),
            Err(TooMany::Registrations(wait)) if wait == TimeDelta::seconds(3599)
        ));
        limits.refund(source(1));
        limits.admit(source(1), at(2)).unwrap();
    }
}
