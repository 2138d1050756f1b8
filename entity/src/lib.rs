//! The database schema: one module per table, columns named as in the database. No behaviour.

/// A point in time in the precision that the database stores.
pub mod moment;

/// Users of the gateway.
pub mod users;

/// API keys, as bcrypt hashes.
pub mod api_keys;

/// Connected OwnerRez accounts, with encrypted tokens.
pub mod ownerrez_connections;

/// Connect links that wait for OwnerRez's redirect.
pub mod oauth_states;

/// Tokens of removed connections that have not been revoked at OwnerRez yet.
pub mod pending_revocations;

/// The current holder of each share of OwnerRez's allowance.
pub mod allowance_slots;

/// Requests reserved from the allowance, in blocks.
pub mod allowance_blocks;

/// State of the gateway about the database itself.
pub mod gateway_state;

/// Use of the allowance per user and time span.
pub mod allowance_use;

/// OwnerRez accounts that sign in, and the user of each.
pub mod identities;

/// Sign-ins in progress.
pub mod sign_in_requests;

/// Grants that users gave to clients.
pub mod oauth_grants;

/// Authorization codes that clients redeem for a grant's tokens.
pub mod authorization_codes;

/// Deleted OAuth clients whose self-contained registration has not expired yet.
pub mod forgotten_clients;

/// The refresh tokens of grants.
pub mod refresh_tokens;

/// Browser sessions of the account page.
pub mod account_sessions;

/// Writes sent to OwnerRez, and their outcomes.
pub mod writes;

pub use moment::Moment;
