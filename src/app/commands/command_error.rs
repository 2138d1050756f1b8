//! The reasons why a command failed.

use crate::{
    app::{error_cause::cause, start_error::StartError},
    store::StoreError,
};

/// The reasons why a command failed. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The settings give no usable database or key.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database failed.
    #[error("{error}: {}", cause(.error))]
    Store {
        /// The error of the store.
        #[from]
        error: StoreError,
    },
    /// The embedded database does not exist at the configured path.
    #[error(
        "database {0} does not exist: run this where the gateway runs, with its DATABASE_URL, or start the gateway"
    )]
    NoDatabase(String),
    /// The schema is older than this program.
    #[error(
        "the database lacks migrations ({0}): start this version of the gateway, or run `ownerrez-gateway migrate up`"
    )]
    NotMigrated(String),
    /// `migrate down` without `--yes` although users are registered.
    #[error(
        "users are registered, and reverting {0} drops the tables and columns that it created, with all their data; \
         nothing was changed. Make a backup, and add --yes"
    )]
    WouldDropData(String),
    /// No user has this id or key. The message does not repeat it: it may be a whole key.
    #[error(
        "no user with this id, and no API key with this prefix: `ownerrez-gateway users list` shows ids and key \
         prefixes (a whole key is not looked up)"
    )]
    NoSuchUser,
    /// Several keys share this prefix: the prefixes of the TypeScript server are short.
    #[error("{0} users have an API key with this prefix: use a user id, as shown by `ownerrez-gateway users list`")]
    SeveralUsers(usize),
}
