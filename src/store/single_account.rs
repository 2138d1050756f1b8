//! The only user of a process that serves a single account: there is no key to hand out and no registration.

use chrono::{DateTime, Utc};

use super::{database::Store, error::StoreError, keys::NewKey, sealed_grant::SealedGrant};
use crate::domain::{KeyId, Scope, ToolDefaults, UserId};

impl Store {
    /// Creates the user, already connected, in an empty database. The key exists for lists and logs only: no text has
    /// that hash.
    pub async fn register_single_user(
        &self,
        user: UserId,
        key: KeyId,
        grant: SealedGrant,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let key = NewKey {
            id: key,
            hash: "-".to_owned(),
            hmac: None,
            prefix: "stdio".to_owned(),
            name: None,
            scope: Scope::Full,
            expires_at: None,
            view: ToolDefaults::default(),
        };
        self.register_user(user, key, now).await?;
        self.save_connection(user, grant, now).await.map(drop)
    }
}
