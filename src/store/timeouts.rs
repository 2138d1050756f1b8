//! The time limits of calls to the database.

use std::time::Duration;

/// How long a call waits for a free connection, and so how long it takes to notice an unavailable database.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The total time that a call may take. Without it, callers of a database whose machine vanished would wait for as long
/// as the kernel retransmits.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long SQLite waits for another process (an operator command) to finish its write.
pub(super) const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
