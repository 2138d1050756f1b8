//! The request limit of this process.

use crate::store::DatabaseTarget;

/// The request limit of this process, and how it acquires the right to spend it.
#[derive(Clone, Debug)]
pub struct AllowanceSettings {
    /// The database that has the lock.
    pub database: DatabaseTarget,
    /// Requests in five minutes.
    pub limit: u32,
    /// Whether processes share the allowance. If `false`, this process spends all of it, so only one process may use
    /// the database. If `true`, the operator gave each process a share, and each process takes its own slot.
    pub shared: bool,
}
