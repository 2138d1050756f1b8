//! The formats of the TypeScript server, which this gateway replaces: its encrypted tokens and its API keys. Data in
//! these formats is read and never created.
//!
//! This module lies below `crypto`, because the key ring decrypts records of both formats, and a presented key has one
//! of two formats. So it names neither `crypto` nor the database. The code that needs them is elsewhere:
//! `crypto::legacy_key_digest`, `auth::predecessors` and `store::legacy_keys` find the rows of keys,
//! `migration::predecessor` migrates the tables, and `http::api::legacy_routes` answers the addresses.
//!
//! Support ends with the release that `CHANGELOG.md` names under "Deprecated". Then this module and that code are
//! deleted.

mod legacy_api_key;
mod legacy_cipher;
mod record;

pub use self::legacy_api_key::LegacyApiKey;
pub(crate) use self::{
    legacy_cipher::LegacyCipher,
    record::{Record, is_legacy_sealed},
};
