//! One validated value of a request.

use chrono::{DateTime, NaiveDate, Utc};

/// A validated value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Date(NaiveDate),
    Instant(DateTime<Utc>),
    Text(String),
    Integers(Vec<i64>),
}
