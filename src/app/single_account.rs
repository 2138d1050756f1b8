//! The account from the settings in single-user mode: a temporary database, and the account as its only user.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use uuid::Uuid;

use super::{private_directory::private_directory, services::Services, start_error::StartError};
use crate::{
    config::{Config, Database, EncryptionKey, SingleAccount},
    domain::{Credential, KeyId, Principal, Scope, SharedClock, TokenKind, TokenSet, ToolDefaults, UserId},
};

/// Returns the same configuration with a database in a temporary directory, which is removed when it is dropped.
pub(super) fn with_temporary_database(config: &Config) -> Result<(Config, TempDir), StartError> {
    let directory = private_directory()?;
    let path = directory.path().join("gateway.db");
    let mut config = config.clone();
    config.encryption = EncryptionKey::KeyFile(path.with_extension("db.key"));
    config.previous_keys = Vec::new();
    config.database = Database::Sqlite { path };
    Ok((config, directory))
}

/// Makes the account the only user of the services.
pub(super) async fn register_single_user(
    services: &Services,
    account: &SingleAccount,
    clock: &SharedClock,
) -> Result<Principal, StartError> {
    let key = KeyId(Uuid::now_v7());
    let caller = Principal {
        user: UserId(Uuid::now_v7()),
        credential: Credential::Key(key),
        label: "own_account".into(),
        scope: Scope::Full,
        expires_at: None,
        view: ToolDefaults::default(),
    };
    let registered = services.sessions.register_single_user(caller.user, key, tokens(account, clock.now())).await;
    registered.map_err(|error| StartError::Stdio(error.to_string()))?;
    Ok(caller)
}

/// Returns the account's token as it is sent.
pub(super) fn tokens(account: &SingleAccount, now: DateTime<Utc>) -> TokenSet {
    let (kind, access) = match account {
        SingleAccount::Bearer(access) => (TokenKind::Bearer, access.clone()),
        SingleAccount::Basic { email, token } => {
            (TokenKind::Basic, SecretString::from(format!("{email}:{}", token.expose_secret())))
        }
    };
    TokenSet { kind, access, refresh: None, obtained_at: now, expires_at: None }
}
