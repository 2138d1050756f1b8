//! The shape of the database: one module per table, columns named as in the database. No behaviour.

/// A point in time as the database keeps it.
pub mod moment;

/// People who registered.
pub mod users;

/// Their API keys, as bcrypt hashes.
pub mod api_keys;

/// Their OwnerRez accounts, with sealed tokens.
pub mod ownerrez_connections;

/// Connect links that wait for OwnerRez's answer.
pub mod oauth_states;

/// Tokens of dropped connections that OwnerRez has not been told about yet.
pub mod pending_revocations;

/// Who may spend which share of OwnerRez's allowance.
pub mod allowance_slots;

/// Requests taken from the allowance, in blocks.
pub mod allowance_blocks;

/// What the gateway notes about the database itself.
pub mod gateway_state;

/// Who used the allowance, and when.
pub mod allowance_use;

/// Accounts of OwnerRez that sign in, and whom.
pub mod identities;

/// Sign-ins under way.
pub mod sign_in_requests;

/// What users let clients do.
pub mod oauth_grants;

/// Codes that clients redeem for a grant's tokens.
pub mod authorization_codes;

/// Deleted OAuth clients that could still show their registration.
pub mod forgotten_clients;

/// The refresh tokens of grants.
pub mod refresh_tokens;

/// Browsers that are signed in to the account page.
pub mod account_sessions;

/// Changes sent to OwnerRez, and how they ended.
pub mod writes;

pub use moment::Moment;
