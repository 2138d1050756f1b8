//! The actions that the budget requests.

use super::{allowance_error::AllowanceError, ticket::Ticket};

/// The actions that the caller must perform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// The request may be sent now.
    Grant(Ticket),
    /// The request must not be sent.
    Refuse(Ticket, AllowanceError),
    /// Write this many permits to the database, then report `Stocked` or `StockFailed`.
    Stock(u32),
}
