//! The events that the budget handles.

use chrono::{DateTime, TimeDelta, Utc};

use super::{account::Account, ticket::Ticket};

/// The events of the state machine.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A caller wants to send one request and can wait until `deadline`.
    Acquire {
        /// Chosen by the caller, never reused.
        ticket: Ticket,
        /// The account that the request is counted for.
        account: Account,
        /// The moment after which a permit is useless.
        deadline: DateTime<Utc>,
    },
    /// The caller went away, or returns a permit unused.
    Cancel(Ticket),
    /// The response was received, or the wait for it was given up.
    Done {
        /// The request.
        ticket: Ticket,
        /// The time of that. By then OwnerRez has counted the request.
        at: DateTime<Utc>,
    },
    /// The response was 429: another program sends requests from the same address, or OwnerRez counts differently.
    Throttled {
        /// The rejected request.
        ticket: Ticket,
        /// The time of the response.
        at: DateTime<Utc>,
        /// The wait that OwnerRez asked for; usually absent.
        retry_after: Option<TimeDelta>,
    },
    /// Permits were written to the database and may now be spent.
    Stocked(u32),
    /// The reservation in the database failed.
    StockFailed,
    /// Whether this process may spend at all (it has the lock of its slot).
    Active(bool),
    /// The number of connected OwnerRez accounts. The reserve is for other accounts, so a single account needs none.
    Accounts(u64),
    /// A command sent requests from the same address.
    SentByCommand {
        /// The number of requests.
        requests: u32,
        /// When they no longer count.
        free_at: DateTime<Utc>,
    },
    /// Time passed.
    Tick,
}
