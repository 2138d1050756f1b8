//! Comparison of secrets in constant time.

use subtle::ConstantTimeEq;

/// Compares two secrets in constant time.
pub fn constant_time_eq(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
