//! The right to spend, and the state that is loaded with it.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::ProcessLock;

/// The right to spend: a slot, and the epoch that fences off its previous holders.
#[derive(Clone)]
pub(super) struct SlotLease {
    pub(super) slot: i32,
    pub(super) epoch: i64,
    pub(super) lock: Arc<ProcessLock>,
}

/// The state that is loaded with the right to spend.
pub(super) struct AcquiredLease {
    pub(super) lease: SlotLease,
    /// The requests that earlier holders and commands may have sent, and when their slots become free.
    pub(super) spent: Vec<(u32, DateTime<Utc>)>,
    /// The blocks of these requests.
    pub(super) blocks: BTreeSet<Uuid>,
    pub(super) accounts: u64,
}
