//! User sessions. One actor per user owns the user's decrypted tokens, refreshes them and sends the calls one at a
//! time. A supervisor keeps at most one such actor per user. All sessions share the allowance. Only this module uses
//! the database, the encryption keys and the OwnerRez client together.
//!
//! [`Sessions`] is the entry point for other modules.

mod allowance;
mod answer;
mod background_jobs;
mod backoff;
mod call_error;
mod command_permits;
mod connect_credential;
mod connect_error;
mod connecting;
mod messages;
mod outcomes;
mod registry;
mod resolved_identity;
mod response_cache;
mod send_state;
mod session_deps;
mod session_settings;
mod session_stats;
mod sessions;
mod sign_in;
mod supervisor;
mod tokens;
mod unsaved_count;
mod usage;
mod user_session;

pub use allowance::{Allowance, AllowanceSettings, AllowanceStats, Share, acquire_share};
pub use answer::Answer;
pub use backoff::TokenEndpoint;
pub use call_error::CallError;
pub use command_permits::CommandAllowance;
pub use connect_error::ConnectError;
pub use connecting::{ASK_AGAIN_AFTER, Admitted, QueueWait, Turn, WaitReason};
pub use outcomes::WriteOutcome;
pub use response_cache::ResponseCache;
pub use session_deps::SessionDeps;
pub use session_settings::SessionSettings;
pub use session_stats::SessionStats;
pub use sessions::Sessions;
pub use sign_in::SignedIn;
pub use supervisor::SupervisorStats;
pub use tokens::{StoredTokens, stored_tokens};
pub use unsaved_count::UnsavedCount;
