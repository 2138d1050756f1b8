//! The database: PostgreSQL, or SQLite for a single process. Only this module uses sea_orm and the entities.
//!
//! Rules of this module:
//! - Every method takes the user id first and returns "not found" (`None`, `false`) for rows of other users. Exceptions
//!   are lookups by a credential (key prefix, state, code, token) and the background sweeps.
//! - `now` is a parameter, and callers supply all times; nothing here reads a clock.
//! - Tokens are passed in and returned encrypted.
//! - A change that several processes may attempt at the same time is one statement whose filter contains the expected
//!   state, or a short transaction. No transaction waits for anything but the database.

mod account;
mod admin;
mod allowance;
mod callback_states;
mod change_counter;
mod connection;
mod connections;
mod damage;
mod damage_check;
mod database;
mod database_target;
mod deleted_clients;
mod drop_in_runtime;
mod error;
mod grants;
mod invalidation;
mod keys;
mod last_uses;
mod legacy_keys;
mod links;
mod live_grants;
mod lock;
mod migrate;
mod pool;
mod pooler;
mod postgres_options;
mod private_file;
mod refresh;
mod refusal_detector;
mod revalidating_cache;
mod revocations;
mod sealed_grant;
mod sign_in;
mod single_account;
mod stale_users;
mod state;
mod stored_grant;
mod stored_key;
#[cfg(test)]
mod tests;
mod timeouts;
mod usage;
mod users;
mod writes;

pub use account::{KeyMoved, NewSession};
pub use admin::{ConnectionOverview, IdentityOverview, SealedRow, SealedTable, UserOverview};
pub use callback_states::{CallbackState, FirstReturn};
pub use change_counter::Generation;
pub use connection::Connection;
pub use database::Store;
pub use database_target::DatabaseTarget;
pub use error::{Cause, StoreError};
pub use grants::{NewGrant, Redemption, StoredCode};
pub use invalidation::{InvalidationListener, listen_for_invalidations};
pub use keys::{KeyAdded, KeyRemoved, NewKey};
pub use last_uses::{LastUses, UsedCredential};
pub use legacy_keys::LEGACY_KEY_CANDIDATES;
pub use links::{ConnectLink, NewConnectLink};
pub use lock::ProcessLock;
pub use pooler::{PoolMode, detect_pool_mode, is_one_database};
pub use refresh::{FirstRefresh, KnownRefresh, NewSuccessor, Rotated};
pub use revalidating_cache::{CacheLookup, RevalidatingCache};
pub use revocations::PendingRevocation;
pub use sealed_grant::{SealedGrant, SealedTokens};
pub use sign_in::{AccountAccess, NewSignIn};
pub use stale_users::IN_USE_FOR;
pub use stored_grant::StoredGrant;
pub use stored_key::{KEY_NAME_LIMIT, StoredKey};
pub use usage::Used;
pub use writes::{Claim, NewWrite, SettledWrite, WriteRecord};
