//! The rate limit of OwnerRez, which all users share, as pure state machines: no clock, no database, no actor.
//!
//! [`Budget`] decides which request gets a permit. [`Admission`], in front of it, decides which attempt to connect an
//! account may ask for one. [`Blocks`] maps each permit to the block that was reserved for it in the database. The shared
//! window connects the budget and the blocks with the waiting callers. `session` runs the timer, and reads and writes the
//! blocks.

mod account;
mod action;
mod admission;
mod allowance_error;
mod block;
mod blocks;
mod budget;
mod connecting_permits;
mod event;
mod period;
mod ticket;
mod window;

pub use account::Account;
pub use action::Action;
pub use admission::{Admission, Ahead, Attempt, AttemptOrigin, CodeVerdict, Decision, Obstacle, PlaceKey, QueueScope};
pub use allowance_error::AllowanceError;
pub use block::{Block, ClosedBlock};
pub use blocks::{Blocks, TAKEOVER_GRACE, recover_blocks};
pub use budget::{Budget, BudgetStats};
pub use connecting_permits::ConnectingPermits;
pub use event::Event;
pub use period::PERIOD;
pub use ticket::Ticket;
pub(crate) use window::{AcquireResult, SharedWindow, Window};
