//! Exchanging the code of a sign-in, and storing its grant.

use std::sync::Arc;

use secrecy::SecretString;
use uuid::Uuid;

use super::token_manager::TokenManager;
use crate::{
    domain::{Identity, UpstreamGrant},
    session::{
        connect_credential::ConnectCredential, connect_error::ConnectError, connecting::Admitted,
        resolved_identity::ResolvedIdentity,
    },
    store::SealedGrant,
};

impl TokenManager {
    /// Exchanges the code and identifies the account.
    pub(in crate::session) async fn sign_in(
        &self,
        code: SecretString,
        issuer: &Arc<str>,
        admits_new: bool,
        admitted: Admitted,
    ) -> Result<ResolvedIdentity, ConnectError> {
        let grant = self.exchange(ConnectCredential::Code(code), &admitted).await?;
        let resolved = self.resolve_identity(&grant, issuer, admits_new).await;
        // After a database error the grant may have been stored nevertheless, so it is not revoked then.
        if matches!(&resolved, Err(error) if !matches!(error, ConnectError::Store(_))) {
            // The grant belongs to no user and is stored nowhere.
            admitted.count_request();
            self.revoke_at_once(&grant).await;
        }
        resolved
    }

    async fn resolve_identity(
        &self,
        grant: &UpstreamGrant,
        issuer: &Arc<str>,
        admits_new: bool,
    ) -> Result<ResolvedIdentity, ConnectError> {
        let account = grant.account.ok_or(ConnectError::Unnamed)?;
        let identity = Identity { issuer: issuer.clone(), subject: account.to_string().into() };
        let store = &self.deps.store;
        let sealed_for = |user| {
            let tokens = self.seal_for(user, &grant.tokens)?;
            Ok::<_, ConnectError>(SealedGrant { account: grant.account, tokens })
        };
        // Twice, because the same account may sign in for the first time elsewhere at this moment.
        for _ in 0..2 {
            if let Some(user) = store.identified(&identity).await? {
                if store.disabled_since(user).await?.is_some() {
                    return Err(ConnectError::Disabled);
                }
                return Ok(ResolvedIdentity::Known { user, identity, account, grant: sealed_for(user)? });
            }
            if !admits_new {
                log::warn!(
                    "rejected the sign-in of OwnerRez account {account}: it is new, and registration is not open"
                );
                return Err(ConnectError::NewUser(account));
            }
            if store.register_identity(self.user, &identity, sealed_for(self.user)?, self.now()).await? {
                self.unload();
                return Ok(ResolvedIdentity::New(account));
            }
        }
        Err(ConnectError::Interrupted)
    }

    /// Stores the newest grant in place of the older one. The older one is not revoked at OwnerRez: it is undocumented
    /// whether revoking one authorization ends the newer ones of the same account.
    pub(in crate::session) async fn store_connection(
        &self,
        identity: &Identity,
        grant: SealedGrant,
    ) -> Result<(), ConnectError> {
        let (account, tokens) = (grant.account, grant.tokens.clone());
        let store = &self.deps.store;
        let _turn = self.lock_storing().await;
        let stored = store.renew_connection(self.user, identity, grant, Uuid::now_v7(), self.now()).await;
        match stored {
            Ok(true) => {
                // Unsaved tokens from a refresh of the older grant are no longer needed.
                self.drop_unsaved();
                self.unload();
                Ok(())
            }
            Ok(false) => {
                self.discard_grant(account, tokens).await?;
                Err(ConnectError::Interrupted)
            }
            // The grant may have been stored nevertheless, so it is not revoked. The user has to sign in again.
            Err(error) => Err(error.into()),
        }
    }
}
