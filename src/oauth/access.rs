//! Validates access tokens. The signature proves what was issued. That the grant still exists is cached, as long as the
//! process is known to receive change notifications.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    access_token::{AccessTokens, PREFIX},
    oauth_settings::OAuthSettings,
    resource::is_within,
};
use crate::{
    crypto::MacKey,
    domain::{Credential, GrantId, Principal, SharedClock, ToolDefaults, UserId},
    store::{CacheLookup, InvalidationListener, LastUses, RevalidatingCache, Store, StoreError, UsedCredential},
};

/// Reasons for which an access token is rejected.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The gateway did not issue the token, the token was altered, or its grant has ended.
    #[error("the access token is not valid")]
    Invalid,
    /// The token has expired.
    #[error("the access token has expired")]
    Expired,
    /// The token was issued for another resource.
    #[error("the access token is for another resource")]
    WrongAudience,
    /// An operator has disabled the user.
    #[error("the user is disabled")]
    Disabled,
    /// The database could not be asked whether the grant still exists.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Validates access tokens. One per process; clones share the cache.
#[derive(Clone)]
pub struct AccessTokenValidator(Arc<Inner>);

struct Inner {
    store: Store,
    clock: SharedClock,
    signer: MacKey,
    settings: OAuthSettings,
    cache: RevalidatingCache<GrantId, CachedGrant>,
    uses: LastUses,
}

/// The cached state of a grant.
#[derive(Clone, Copy)]
struct CachedGrant {
    user: UserId,
    disabled: bool,
}

impl AccessTokenValidator {
    /// Creates a validator with an empty cache. `signer` is the key ring's signer for access tokens.
    pub fn new(
        store: Store,
        changes: Arc<InvalidationListener>,
        clock: SharedClock,
        signer: MacKey,
        settings: OAuthSettings,
        capacity: usize,
    ) -> Self {
        let (cache, uses) = (RevalidatingCache::new(changes, capacity), LastUses::new(store.clone()));
        Self(Arc::new(Inner { store, clock, signer, settings, cache, uses }))
    }

    /// Returns whether a text has the format of an access token.
    pub fn is_token(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Returns the caller, if the token is valid for this path of the gateway.
    pub async fn validate(&self, token: &str, path: &str) -> Result<Principal, AccessError> {
        let inner = &self.0;
        let now = inner.clock.now();
        let claims = AccessTokens(&inner.signer).read(token).ok_or(AccessError::Invalid)?;
        if claims.expires_at <= now {
            return Err(AccessError::Expired);
        }
        let audience = claims.audience.strip_prefix(inner.settings.issuer.as_str());
        if !audience.is_some_and(|audience| audience.starts_with('/') && is_within(path, audience)) {
            return Err(AccessError::WrongAudience);
        }
        let cached = inner.cached(claims.grant, now).await?.ok_or(AccessError::Invalid)?;
        if cached.user != claims.user {
            return Err(AccessError::Invalid);
        }
        if cached.disabled {
            return Err(AccessError::Disabled);
        }
        if inner.cache.touch_is_due(&claims.grant, now) {
            inner.uses.note(UsedCredential::Grant(claims.grant), cached.user, now);
        }
        Ok(Principal {
            user: claims.user,
            credential: Credential::Grant(claims.grant),
            label: format!("grant {}", claims.grant).into(),
            scope: claims.scope,
            expires_at: Some(claims.expires_at),
            view: ToolDefaults::default(),
        })
    }
}

impl Inner {
    async fn cached(&self, grant: GrantId, now: DateTime<Utc>) -> Result<Option<CachedGrant>, StoreError> {
        if let CacheLookup::Fresh(cached) = self.cache.get(&grant, now) {
            return Ok(Some(cached));
        }
        let seen = self.cache.generation();
        let Some(stored) = self.store.grant(grant).await? else {
            self.cache.remove(&grant);
            return Ok(None);
        };
        let disabled = self.store.disabled_since(stored.user).await?.is_some();
        let cached = CachedGrant { user: stored.user, disabled };
        self.cache.insert(grant, cached, seen);
        Ok(Some(cached))
    }
}
