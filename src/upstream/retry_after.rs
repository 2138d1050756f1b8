//! `Retry-After` (RFC 9110 10.2.3).

use std::time::SystemTime;

use awc::http::header::HttpDate;
use chrono::{DateTime, TimeDelta, Utc};

/// The longest accepted wait. OwnerRez's rate-limit window is five minutes long; a longer value is an error, and all
/// users would wait for its end.
const LONGEST: TimeDelta = TimeDelta::hours(1);

/// Parses the wait from seconds, with or without a fraction, or from an HTTP date in any of its three formats. Rounds
/// up to whole seconds, because a request that is sent too early is rejected again. A moment in the past gives zero;
/// anything else gives `None`.
pub(super) fn read_retry_after(value: &str, now: DateTime<Utc>) -> Option<TimeDelta> {
    let value = value.trim();
    let seconds = if value.starts_with(|first: char| first.is_ascii_digit()) {
        seconds(value)?
    } else {
        (DateTime::<Utc>::from(SystemTime::from(value.parse::<HttpDate>().ok()?)) - now).as_seconds_f64()
    };
    Some(TimeDelta::seconds(seconds.ceil().clamp(0.0, LONGEST.as_seconds_f64()) as i64))
}

/// Parses digits with an optional fraction. Rejects everything else that `f64` accepts, such as an exponent.
fn seconds(value: &str) -> Option<f64> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if digits { value.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seconds_fractions_and_dates_are_read() {
        let now = Utc.with_ymd_and_hms(1994, 11, 6, 8, 48, 37).single().expect("a moment");
        for (value, seconds) in [
            ("77", Some(77)),
            (" 0 ", Some(0)),
            ("1.5", Some(2)),
            ("0.0004", Some(1)),
            ("30.", Some(30)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(60)),
            ("Sun Nov  6 08:49:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:47:37 GMT", Some(0)),
            ("Fri, 01 Jan 2100 00:00:00 GMT", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("-1", None),
            ("1e3", None),
            ("1.5.2", None),
            (".5", None),
            ("soon", None),
            ("", None),
        ] {
            let expected = seconds.map(TimeDelta::seconds);
            assert_eq!(read_retry_after(value, now), expected, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn no_value_waits_longer_than_the_bound(value in "[0-9.]{0,40}|.{0,40}", seconds in 0_i64..4_000_000_000) {
            let now = DateTime::from_timestamp(seconds, 0).expect("a moment");
            if let Some(wait) = read_retry_after(&value, now) {
                prop_assert!(wait >= TimeDelta::zero() && wait <= LONGEST);
            }
        }
    }
}
