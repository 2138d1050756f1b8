//! Units of sizes in bytes.

pub(super) const MEBIBYTE: i64 = 1024 * 1024;
