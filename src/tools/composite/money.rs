//! Money in cents, so that sums are exact.

use serde_json::{Number, Value};

/// Converts an amount from OwnerRez to cents.
pub(super) fn cents(amount: f64) -> i64 {
    (amount * 100.0).round() as i64
}

/// Returns the member of a record in cents; 0 if it is missing.
pub(super) fn cents_of(record: &Value, member: &str) -> i64 {
    record[member].as_f64().map_or(0, cents)
}

/// Converts cents to the amount in a response.
pub(super) fn amount(cents: i64) -> Value {
    if cents % 100 == 0 {
        return Value::from(cents / 100);
    }
    Number::from_f64(cents as f64 / 100.0).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_amount_comes_back(cents in -1_000_000_000i64..1_000_000_000) {
            prop_assert_eq!(super::cents(amount(cents).as_f64().unwrap()), cents);
        }
    }

    #[test]
    fn sums_are_exact() {
        assert_eq!(cents(0.1) + cents(0.2), cents(0.3));
        assert_eq!((amount(1050).to_string(), amount(1000).to_string()), ("10.5".to_owned(), "10".to_owned()));
    }
}
