//! Creates keys: for a user that has one or has signed in, and for a new user.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    api_key_authenticator::ApiKeyAuthenticator, bcrypt_queue::QUEUE_TIMEOUT, error::AuthError,
    key_rules::KEYS_PER_USER, source_address::SourceAddress,
};
use crate::{
    crypto::{self, ApiKey, PresentedKey},
    domain::{KeyId, Scope, ToolDefaults, UserId},
    store::{KeyAdded, NewKey},
};

/// A key to be created, without its text.
pub(crate) struct NewKeyRequest {
    pub(crate) id: KeyId,
    pub(crate) name: Option<String>,
    pub(crate) scope: Scope,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) view: ToolDefaults,
}

/// A new key: the text that is shown once, and the stored values.
struct GeneratedKey {
    key: ApiKey,
    hash: String,
    hmac: String,
}

impl ApiKeyAuthenticator {
    /// Creates a key for the user, if the key that requests it still exists. `issuer` is `None` for a signed-in user.
    pub(crate) async fn add_key(
        &self,
        source: SourceAddress,
        user: UserId,
        issuer: Option<KeyId>,
        wanted: NewKeyRequest,
    ) -> Result<ApiKey, AuthError> {
        let NewKeyRequest { id, name, scope, expires_at, view } = wanted;
        let GeneratedKey { key, hash, hmac } = self.generate_key(source).await?;
        let prefix = key.prefix().to_owned();
        let new_key = NewKey { id, hash, hmac: Some(hmac), prefix, name, scope, expires_at, view };
        match self.0.store.add_key(user, issuer, new_key, KEYS_PER_USER, self.0.clock.now()).await? {
            KeyAdded::Added => Ok(key),
            KeyAdded::TooMany => Err(AuthError::TooManyKeys(KEYS_PER_USER)),
            KeyAdded::IssuerGone if issuer.is_some() => Err(AuthError::BadKey),
            KeyAdded::IssuerGone => Err(AuthError::UserGone),
        }
    }

    /// Creates a user with a key of this name.
    pub(crate) async fn register_user(
        &self,
        source: SourceAddress,
        name: Option<String>,
    ) -> Result<(UserId, ApiKey), AuthError> {
        let GeneratedKey { key, hash, hmac } = self.generate_key(source).await?;
        let user = UserId(Uuid::now_v7());
        let new_key = NewKey {
            id: KeyId(Uuid::now_v7()),
            hash,
            hmac: Some(hmac),
            prefix: key.prefix().to_owned(),
            name,
            scope: Scope::Full,
            expires_at: None,
            view: ToolDefaults::default(),
        };
        self.0.store.register_user(user, new_key, self.0.clock.now()).await?;
        Ok((user, key))
    }

    /// Creates a key for a request from this source, after waiting for its turn at bcrypt.
    async fn generate_key(&self, source: SourceAddress) -> Result<GeneratedKey, AuthError> {
        let inner = &self.0;
        let key = ApiKey::generate()?;
        let turn = inner.bcrypt.turn_for_new_key(source, inner.clock.now() + QUEUE_TIMEOUT).await?;
        let (cost, hashed) = (inner.settings.bcrypt_cost, key.clone());
        let hash = inner.bcrypt.run(turn, move || crypto::hash_api_key(&hashed, cost)).await?;
        let hmac = inner.hmac.make(&PresentedKey::Gateway(key.clone()), &hash);
        Ok(GeneratedKey { key, hash, hmac })
    }
}
