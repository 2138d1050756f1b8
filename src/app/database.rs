//! The configured database.

use super::start_error::StartError;
use crate::{
    config::{Config, Database},
    store::{DatabaseTarget, Store},
};

/// Opens the configured database, for the commands that use it without serving.
pub(super) async fn open_store(config: &Config) -> Result<Store, StartError> {
    config.database.prepare_data_directory().map_err(StartError::DataDirectory)?;
    Ok(Store::connect(&database_target(config)).await?)
}

/// Returns the database that the gateway uses.
pub(super) fn database_target(config: &Config) -> DatabaseTarget {
    database_target_from(&config.database, config.database_pool_size)
}

/// Returns a database with a pool of this size.
pub(super) fn database_target_from(database: &Database, max_connections: u32) -> DatabaseTarget {
    match database {
        Database::Sqlite { path } => DatabaseTarget::Sqlite { path: path.clone() },
        Database::Postgres { url, direct_url } => {
            DatabaseTarget::Postgres { url: url.clone(), direct_url: direct_url.clone(), max_connections }
        }
    }
}
