//! The settings that could be read although others may be wrong.

use super::{
    database::{Database, database},
    encryption::{ConfiguredKey, EncryptionKey, encryption, parse_configured_key, parse_previous_key},
    errors::ConfigError,
    layers::{Layers, WHOLE_FILE},
    ownerrez::{OwnerRezSection, ownerrez},
    server::server,
    settings::{self, Setting},
    sources::Sources,
};

/// The settings that could be read although others may be wrong. A part whose own setting is wrong is missing.
#[derive(Debug)]
pub struct PartialConfig {
    /// The database.
    pub database: Option<Database>,
    /// The key that encrypts the tokens.
    pub encryption: Option<EncryptionKey>,
    /// Earlier keys.
    pub previous_keys: Vec<ConfiguredKey>,
    /// OwnerRez's addresses and the operator's access to it.
    pub ownerrez: Option<OwnerRezSection>,
    /// All mistakes.
    pub errors: Vec<ConfigError>,
}

impl PartialConfig {
    /// Reads as many settings as possible. `errors` are the mistakes of a complete load.
    pub(super) fn of(sources: Sources, errors: Vec<ConfigError>) -> Self {
        // If a value is wrong, the next lower layer takes its place. That is enough to find the next mistake, but the
        // value must not be used.
        let is_valid = |key| {
            let names = settings::at(key).map(Setting::label);
            errors.iter().all(|error| Some(&error.setting) != names.as_ref() && !is_unreadable_file(error))
        };
        let layers = &mut Layers::of(sources);
        let server = server(layers).filter(|_| is_valid("server.bind"));
        let database = database(layers).filter(|_| is_valid("database.url") && is_valid("database.direct_url"));
        let encryption = match (&server, &database) {
            (Some(server), Some(database)) => encryption(layers, server, database),
            _ => layers.verbatim("encryption.key", parse_configured_key).map(EncryptionKey::Configured),
        };
        Self {
            database,
            encryption: encryption.filter(|_| is_valid("encryption.key")),
            previous_keys: layers.list("encryption.previous_keys", parse_previous_key).unwrap_or_default(),
            ownerrez: ownerrez(layers, None).filter(|_| is_valid("ownerrez.api_url")),
            errors,
        }
    }
}

/// Returns whether the file is unreadable. A setting that seems to have its default may be set in that file.
fn is_unreadable_file(error: &ConfigError) -> bool {
    error.setting == WHOLE_FILE
}
