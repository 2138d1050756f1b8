//! Signing in: an authorization code of OwnerRez identifies a user. A temporary session with a fresh user id exchanges
//! the code, because only actors have plain-text tokens, and the account is known only after the exchange.

use std::sync::Arc;

use secrecy::SecretString;
use uuid::Uuid;

use super::{
    ConnectError, Sessions,
    connecting::Admitted,
    token_manager::{ConnectCredential, TokenManager},
    user_session::{SignIn, StoreConnection},
};
use crate::{
    domain::{AccountId, Identity, UpstreamGrant, UserId},
    store::SealedGrant,
};

/// A user that OwnerRez has authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignedIn {
    /// The user of this gateway.
    pub user: UserId,
    /// The OwnerRez account.
    pub account: AccountId,
    /// Whether this was the first sign-in.
    pub new: bool,
}

/// The owner of the grant.
pub(super) enum ResolvedIdentity {
    /// A new user: user, identity and connection are stored.
    New(AccountId),
    /// An existing user: the grant is encrypted for this user and not stored yet.
    Known { user: UserId, identity: Identity, account: AccountId, grant: SealedGrant },
}

impl Sessions {
    /// Redeems an authorization code and returns the signed-in user. A known identity signs in to its user and renews
    /// that user's connection. A new identity creates a user and a connection if `admits_new`. An identity is never
    /// attached to a user that was created by API key, even if that user is connected to the same account.
    pub async fn sign_in(
        &self,
        issuer: Arc<str>,
        code: SecretString,
        admits_new: bool,
        admitted: Admitted,
    ) -> Result<SignedIn, ConnectError> {
        let new_user = UserId(Uuid::now_v7());
        let resolved = self.ask(new_user, |reply| SignIn {
            code: code.clone(),
            issuer: issuer.clone(),
            admits_new,
            admitted: admitted.clone(),
            reply,
        });
        let signed_in = match resolved.await.map_err(|_| ConnectError::Interrupted)?? {
            ResolvedIdentity::New(account) => SignedIn { user: new_user, account, new: true },
            ResolvedIdentity::Known { user, identity, account, grant } => {
                let store =
                    self.ask(user, |reply| StoreConnection { identity: identity.clone(), grant: grant.clone(), reply });
                store.await.map_err(|_| ConnectError::Interrupted)??;
                SignedIn { user, account, new: false }
            }
        };
        self.deps.recount_accounts().await;
        Ok(signed_in)
    }
}

impl TokenManager {
    /// Exchanges the code and identifies the account.
    pub(super) async fn sign_in(
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
    pub(super) async fn store_connection(&self, identity: &Identity, grant: SealedGrant) -> Result<(), ConnectError> {
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
