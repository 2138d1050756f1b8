//! The text form of times.

use chrono::{DateTime, SecondsFormat, Utc};

/// Formats a time as OwnerRez does.
pub(super) fn utc(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}
