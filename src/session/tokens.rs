//! The lifecycle of one user's tokens: decrypted on first use, refreshed in time, stored before use, and ended on
//! certain evidence only. The only module with plain-text tokens.
//!
//! Written as plain async functions over interior state: the actor runs one of them as its job, while control messages
//! (a disconnect) change the state in between. A function that has a copy across an `await` detects such a change by
//! the row's version (in the database) or the generation (here).

mod call;
mod connecting;
mod failure_handling;
mod failures;
mod loaded_tokens;
mod refresh;
mod rejections;
mod sign_in;
mod stored_tokens;
mod storing;
mod token_manager;
mod unsaved;

pub use self::stored_tokens::{StoredTokens, stored_tokens};
pub(super) use self::token_manager::TokenManager;
