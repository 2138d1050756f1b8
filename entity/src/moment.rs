use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{DbErr, DeriveValueType, TryFromU64, prelude::DateTimeUtc};

/// A point in time, reduced to what both databases can store and compare: whole microseconds, years 0 to 9999.
///
/// PostgreSQL stores microseconds. SQLite stores RFC 3339 text: it sorts chronologically only while the year has four
/// digits, and it cannot be read back beyond them. Columns have this type, so that no other time can be written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, DeriveValueType)]
pub struct Moment(DateTimeUtc);

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z, in seconds of Unix time.
const YEARS_OF_FOUR_DIGITS: (i64, i64) = (-62_167_219_200, 253_402_300_799);

impl From<DateTime<Utc>> for Moment {
    fn from(at: DateTime<Utc>) -> Self {
        let (first, last) = YEARS_OF_FOUR_DIGITS;
        if (first..=last).contains(&at.timestamp()) {
            return Moment(at.trunc_subsecs(6));
        }
        Moment(DateTime::from_timestamp_secs(at.timestamp().clamp(first, last)).unwrap_or_default())
    }
}

impl From<Moment> for DateTime<Utc> {
    fn from(moment: Moment) -> Self {
        moment.0
    }
}

/// Allows a time to be part of a primary key; no database generates one.
impl TryFromU64 for Moment {
    fn try_from_u64(number: u64) -> Result<Self, DbErr> {
        DateTimeUtc::try_from_u64(number).map(Moment)
    }
}
