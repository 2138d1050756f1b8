//! The sign-in flow. The browser is sent to OwnerRez after consent, returns from there, may review the existing access
//! to the account, and is redirected to the client with a code. Pending sign-ins are encrypted and bound to the
//! browser's cookie.

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{authorization_server::AuthorizationServer, request::AuthorizationRequest, server_error::ServerError};
use crate::{
    crypto::{self, EncryptionContext},
    domain::{AccountId, GrantId, Sealed, SignedInUser, UserId},
    session::{Admitted, ConnectError, SignedIn},
    store::{AccountAccess, CallbackState, FirstReturn, NewGrant, NewSignIn},
};

/// Lifetime of an authorization code.
const CODE_LIFETIME: TimeDelta = TimeDelta::seconds(60);
/// The prefix of the states that OwnerRez returns, which distinguishes sign-ins from connect links.
const STATE_PREFIX: &str = "signin_";

/// The values for sending a browser to OwnerRez.
pub struct UpstreamRedirect {
    /// The `state` parameter that OwnerRez returns.
    pub state: SecretString,
    /// The value of the browser's cookie.
    pub browser: SecretString,
}

/// The purpose of a sign-in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignInPurpose {
    /// The authorization request of a client.
    Client(AuthorizationRequest),
    /// The account page.
    Account,
}

/// A signed-in user that reviews the existing access to the account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingReview {
    /// The authorization request of the client.
    pub request: AuthorizationRequest,
    /// The signed-in user.
    pub user: UserId,
    /// The user's OwnerRez account.
    pub account: AccountId,
}

impl PendingReview {
    /// Returns the signed-in user and the account.
    pub fn holder(&self) -> SignedInUser {
        SignedInUser { user: self.user, account: self.account }
    }
}

/// A pending sign-in, as it is encrypted.
#[derive(Serialize, Deserialize)]
enum PendingState {
    ForOwnerRez { request: AuthorizationRequest },
    Account,
    ForTheUser { request: AuthorizationRequest, user: Uuid, account: i64 },
}

impl AuthorizationServer {
    /// Returns whether a state that OwnerRez returns belongs to a sign-in.
    pub fn is_sign_in(state: &str) -> bool {
        state.starts_with(STATE_PREFIX)
    }

    /// Starts the sign-in after the user has agreed to the request.
    pub async fn begin_sign_in(&self, request: AuthorizationRequest) -> Result<UpstreamRedirect, ServerError> {
        self.send_upstream(&PendingState::ForOwnerRez { request }).await
    }

    /// Starts a sign-in to the account page.
    pub async fn begin_account_sign_in(&self) -> Result<UpstreamRedirect, ServerError> {
        self.send_upstream(&PendingState::Account).await
    }

    async fn send_upstream(&self, pending: &PendingState) -> Result<UpstreamRedirect, ServerError> {
        let browser = crypto::random_token()?;
        let state = self.store_pending(pending, browser.expose_secret()).await?;
        Ok(UpstreamRedirect { state, browser })
    }

    /// Returns the pending sign-in of this browser when it comes back from OwnerRez. Does not consume it.
    pub async fn pending(
        &self,
        state: &str,
        browser: &str,
    ) -> Result<Option<CallbackState<SignInPurpose>>, ServerError> {
        let (state_hash, browser_hash) = (crypto::sha256_hex(state), crypto::sha256_hex(browser));
        let found = self.0.store.sign_in_callback_state(&state_hash, &browser_hash, self.0.clock.now()).await?;
        let Some(CallbackState { to, created_at, returned_at, expires_at }) = found else { return Ok(None) };
        let purpose = purpose(self.open(state, &to)?);
        Ok(purpose.map(|to| CallbackState { to, created_at, returned_at, expires_at }))
    }

    /// Keeps the pending sign-in of this browser, which has to wait for a permit.
    pub async fn extend_pending(&self, state: &str, browser: &str, first: FirstReturn) -> Result<(), ServerError> {
        let (state_hash, browser_hash) = (crypto::sha256_hex(state), crypto::sha256_hex(browser));
        Ok(self.0.store.mark_sign_in_waiting(&state_hash, &browser_hash, first).await?)
    }

    /// Like [`Self::pending`], but consumes the pending sign-in.
    pub async fn take_pending(&self, state: &str, browser: &str) -> Result<Option<SignInPurpose>, ServerError> {
        Ok(self.take_state(state, browser).await?.and_then(purpose))
    }

    /// Redeems OwnerRez's code and returns the signed-in user.
    pub async fn sign_in(&self, code: SecretString, admitted: Admitted) -> Result<SignedIn, ConnectError> {
        let settings = self.settings();
        self.0.sessions.sign_in(settings.identity_issuer.clone(), code, settings.allows_new_users, admitted).await
    }

    /// Returns the users with access to an account that have at least one API key or grant.
    pub async fn existing_access(&self, account: AccountId) -> Result<Vec<AccountAccess>, ServerError> {
        let mut all = self.0.store.users_with_access(account, self.0.clock.now()).await?;
        all.retain(|reaching| !reaching.keys.is_empty() || !reaching.grants.is_empty());
        Ok(all)
    }

    /// Stores the sign-in while the user reviews the existing access; returns its new state.
    pub async fn begin_review(&self, review: PendingReview, browser: &str) -> Result<SecretString, ServerError> {
        let PendingReview { request, user, account } = review;
        self.store_pending(&PendingState::ForTheUser { request, user: user.0, account: account.0 }, browser).await
    }

    /// Returns the sign-in that this browser reviews.
    pub async fn pending_review(&self, state: &str, browser: &str) -> Result<Option<PendingReview>, ServerError> {
        let (state_hash, browser_hash) = (crypto::sha256_hex(state), crypto::sha256_hex(browser));
        let sealed = self.0.store.sign_in(&state_hash, &browser_hash, self.0.clock.now()).await?;
        sealed.map(|sealed| self.open(state, &sealed)).transpose().map(|pending| pending.and_then(review))
    }

    /// Like [`Self::pending_review`], but consumes the pending sign-in.
    pub async fn take_review(&self, state: &str, browser: &str) -> Result<Option<PendingReview>, ServerError> {
        Ok(self.take_state(state, browser).await?.and_then(review))
    }

    /// Creates the grant and its code; returns the URL that the browser is redirected to.
    pub async fn finish(&self, request: AuthorizationRequest, user: UserId) -> Result<String, ServerError> {
        let code = crypto::random_token()?;
        let code = format!("ownerrez_ac_{}", code.expose_secret());
        let redirection = request.redirection();
        let AuthorizationRequest { client_id, client_name, redirect_uri, scopes, resource, code_challenge, .. } =
            request;
        let (now, granted) = (self.0.clock.now(), scopes.to_string());
        let grant = NewGrant {
            id: GrantId(Uuid::now_v7()),
            user,
            client_id,
            client_name,
            scope: granted.clone(),
            resource,
            code_hash: crypto::sha256_hex(&code),
            redirect_uri,
            code_challenge,
            expires_at: now + CODE_LIFETIME,
        };
        let id = grant.id;
        if !self.0.store.open_grant(grant, now).await? {
            return Err(ServerError::UserGone);
        }
        log::info!("user {user} signed in to a client, grant {id}");
        // The scope may differ from the requested one (RFC 6749 section 3.3).
        redirection.url(&[("code", &code), ("scope", &granted)], &self.settings().issuer).ok_or(ServerError::Unreadable)
    }

    async fn store_pending(&self, pending: &PendingState, browser: &str) -> Result<SecretString, ServerError> {
        let state = format!("{STATE_PREFIX}{}", crypto::random_token()?.expose_secret());
        let text = serde_json::to_string(pending).map_err(|_| ServerError::Unreadable)?;
        let created_at = self.0.clock.now();
        let sign_in = NewSignIn {
            state_hash: crypto::sha256_hex(&state),
            browser_hash: crypto::sha256_hex(browser),
            request: self.0.ring.seal(EncryptionContext::SignIn(crypto::sha256(state.as_bytes())), &text.into())?,
            created_at,
            expires_at: created_at + self.settings().sign_in_lifetime,
        };
        self.0.store.add_sign_in(sign_in).await?;
        Ok(state.into())
    }

    async fn take_state(&self, state: &str, browser: &str) -> Result<Option<PendingState>, ServerError> {
        let (state_hash, browser_hash) = (crypto::sha256_hex(state), crypto::sha256_hex(browser));
        let sealed = self.0.store.take_sign_in(&state_hash, &browser_hash, self.0.clock.now()).await?;
        sealed.map(|sealed| self.open(state, &sealed)).transpose()
    }

    fn open(&self, state: &str, sealed: &Sealed) -> Result<PendingState, ServerError> {
        let opened = self.0.ring.open(EncryptionContext::SignIn(crypto::sha256(state.as_bytes())), sealed)?;
        serde_json::from_str(opened.expose_secret()).map_err(|_| ServerError::Unreadable)
    }
}

fn purpose(pending: PendingState) -> Option<SignInPurpose> {
    match pending {
        PendingState::ForOwnerRez { request } => Some(SignInPurpose::Client(request)),
        PendingState::Account => Some(SignInPurpose::Account),
        PendingState::ForTheUser { .. } => None,
    }
}

fn review(pending: PendingState) -> Option<PendingReview> {
    match pending {
        PendingState::ForTheUser { request, user, account } => {
            Some(PendingReview { request, user: UserId(user), account: AccountId(account) })
        }
        PendingState::ForOwnerRez { .. } | PendingState::Account => None,
    }
}
