//! Signing in: an authorization code of OwnerRez identifies a user. A temporary session with a fresh user id exchanges
//! the code, because only actors have plain-text tokens, and the account is known only after the exchange.

use std::sync::Arc;

use secrecy::SecretString;
use uuid::Uuid;

use super::{
    connect_error::ConnectError,
    connecting::Admitted,
    messages::{SignIn, StoreConnection},
    resolved_identity::ResolvedIdentity,
    sessions::Sessions,
};
use crate::domain::{AccountId, UserId};

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
