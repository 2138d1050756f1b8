//! Statistics of the allowance.

use crate::allowance::BudgetStats;

/// Statistics for operators and tests.
#[derive(Clone, Copy, Debug)]
pub struct AllowanceStats {
    /// The statistics of the window.
    pub budget: BudgetStats,
    /// Whether this process has the right to spend.
    pub active: bool,
}
