//! The database of a gateway that exists already.

use super::command_error::CommandError;
use crate::{
    app::database::database_target,
    config::{Config, Database},
    store::{Store, StoreError},
};

/// Opens the configured database if it exists and has this program's schema. Never creates one.
pub(super) async fn existing_store(config: &Config) -> Result<Store, CommandError> {
    if let Database::Sqlite { path } = &config.database
        && !path.exists()
    {
        return Err(CommandError::NoDatabase(path.display().to_string()));
    }
    let store = Store::connect(&database_target(config)).await?;
    let missing = missing_migrations(&store).await?;
    if missing.is_empty() { Ok(store) } else { Err(CommandError::NotMigrated(missing.join(", "))) }
}

/// Returns the names of the migrations that the database lacks.
pub(super) async fn missing_migrations(store: &Store) -> Result<Vec<String>, StoreError> {
    let known = store.migration_status().await?;
    Ok(known.into_iter().filter(|(_, applied)| !applied).map(|(name, _)| name).collect())
}
