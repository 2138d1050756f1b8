//! The part of a generated booking that other generated records depend on.

use chrono::{DateTime, NaiveDate, Utc};

/// The attributes of a booking that other records need.
pub(super) struct Stay {
    pub(super) id: i64,
    pub(super) property: i64,
    pub(super) guest: i64,
    pub(super) channel: &'static str,
    pub(super) status: &'static str,
    pub(super) departure: NaiveDate,
    pub(super) booked: DateTime<Utc>,
    pub(super) canceled: Option<DateTime<Utc>>,
    pub(super) paid: f64,
    pub(super) refunded: f64,
    pub(super) thread: Option<i64>,
}
