//! Permits that are reserved in the database together.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Permits that were reserved together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The id of the block.
    pub id: Uuid,
    /// The number of requests that the block allows.
    pub permits: u32,
    /// The time of the reservation: none of its requests was sent earlier.
    pub reserved_at: DateTime<Utc>,
    /// When its last request had been sent or given up; absent while in use, or after a crash.
    pub closed_at: Option<DateTime<Utc>>,
    /// The number of requests sent; known once the block is closed.
    pub used: Option<u32>,
}

/// A block whose permits are used or given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClosedBlock {
    /// The id of the block.
    pub id: Uuid,
    /// The number of requests sent.
    pub used: u32,
    /// When the last request had been sent.
    pub closed_at: DateTime<Utc>,
}
