//! The operator's commands: they work on the database beside running gateways, and take no lock that those need.

mod check;
mod migrate;
mod probe;
mod records;
mod reseal;
mod users;

pub use check::{Checked, check};
pub use migrate::{MigrateCommand, operate_migrations};
pub use probe::{ProbeAs, ProbeError, probe};
pub use reseal::{ResealProgress, Resealed, reseal, reseal_all};
pub use users::{UsersCommand, operate_users};

use super::{StartError, cause, database_target};
use crate::{
    config::{Config, Database},
    store::{Store, StoreError},
};

/// Why a command did not do what it was asked for. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// The settings do not lead to a database or a key.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database failed.
    #[error("{error}: {}", cause(.error))]
    Store {
        /// What the store says.
        #[from]
        error: StoreError,
    },
    /// There is no embedded database where the settings say.
    #[error(
        "there is no database {0}: run this where the gateway runs, with its DATABASE_URL, or start the gateway first"
    )]
    NoDatabase(String),
    /// The schema is older than this program.
    #[error("the database lacks {0}: start this version of the gateway, or run `ownerrez-gateway migrate up`")]
    NotMigrated(String),
    /// `migrate down` without `--yes` where people are registered.
    #[error(
        "people are registered, and taking back {0} drops the tables and columns that they made, with everything in them; \
         nothing was changed. Make a backup, and add --yes"
    )]
    WouldDropData(String),
    /// Nobody has this id or key. It is not repeated: it may be a whole key.
    #[error(
        "no user has this id, and no key begins like this: `ownerrez-gateway users list` shows the ids and the \
         beginnings of the keys (a whole key is not looked up)"
    )]
    NoSuchUser,
    /// The predecessor's beginnings are short enough to be shared.
    #[error("{0} users have a key that begins like this: name one by the id that `ownerrez-gateway users list` shows")]
    SeveralUsers(usize),
}

/// Opens the configured database if it exists and has this program's schema. Never makes one.
async fn existing_store(config: &Config) -> Result<Store, OperateError> {
    if let Database::Sqlite { path } = &config.database
        && !path.exists()
    {
        return Err(OperateError::NoDatabase(path.display().to_string()));
    }
    let store = Store::connect(&database_target(config)).await?;
    let missing = missing_migrations(&store).await?;
    if missing.is_empty() { Ok(store) } else { Err(OperateError::NotMigrated(missing.join(", "))) }
}

async fn missing_migrations(store: &Store) -> Result<Vec<String>, StoreError> {
    let known = store.migration_status().await?;
    Ok(known.into_iter().filter(|(_, applied)| !applied).map(|(name, _)| name).collect())
}
