//! The way of a sign-in: a browser agrees and goes to OwnerRez, comes back, perhaps looks at who else reaches the account,
//! and goes on to the client with a code. What waits in between is sealed and bound to that browser's cookie.

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AuthorizationRequest, AuthorizationServer};
use crate::{
    crypto::{self, CryptoError, SealedFor},
    domain::{AccountHolder, AccountId, GrantId, Sealed, UserId},
    session::{Admitted, CallError, ConnectError, SignedIn},
    store::{FirstReturn, NewGrant, NewSignIn, Reaching, Returning, StoreError},
};

/// How long a client has to redeem a code.
const CODE_LIFE: TimeDelta = TimeDelta::seconds(60);
/// How the states that OwnerRez hands back begin: so they are told from those of connect links.
const STATE_PREFIX: &str = "signin_";

/// What went wrong on our side.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The database.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Seals or random numbers.
    #[error("{0}")]
    Crypto(#[from] CryptoError),
    /// The actors.
    #[error("{0}")]
    Call(#[from] CallError),
    /// The user vanished in the middle of it.
    #[error("the user is gone")]
    UserGone,
    /// What was sealed is not what we seal.
    #[error("a sign-in under way cannot be read")]
    Unreadable,
}

impl ServerError {
    /// Whether the database is away or damaged: a state of the server, not of the request.
    pub fn is_database_away(&self) -> bool {
        match self {
            Self::Store(error) | Self::Call(CallError::Store(error)) => {
                matches!(error, StoreError::Unavailable(_) | StoreError::Damaged(_))
            }
            _ => false,
        }
    }
}

/// A browser that may go upstream.
pub struct Agreed {
    /// What OwnerRez hands back.
    pub state: SecretString,
    /// For its cookie.
    pub browser: SecretString,
}

/// What a browser went to OwnerRez for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Errand {
    /// What a client asked for.
    Client(AuthorizationRequest),
    /// The account page.
    Account,
}

/// Somebody who has signed in and looks at who else reaches the account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paused {
    /// What the client asked for.
    pub request: AuthorizationRequest,
    /// Who signed in.
    pub user: UserId,
    /// Whose account it is at OwnerRez.
    pub account: AccountId,
}

impl Paused {
    /// Who signed in, and with which account.
    pub fn holder(&self) -> AccountHolder {
        AccountHolder { user: self.user, account: self.account }
    }
}

/// What waits, as it is sealed.
#[derive(Serialize, Deserialize)]
enum Waiting {
    ForOwnerRez { request: AuthorizationRequest },
    Account,
    ForTheUser { request: AuthorizationRequest, user: Uuid, account: i64 },
}

impl AuthorizationServer {
    /// Whether a state that OwnerRez hands back belongs to a sign-in.
    pub fn is_sign_in(state: &str) -> bool {
        state.starts_with(STATE_PREFIX)
    }

    /// The person at the browser agrees to the request.
    pub async fn agree(&self, request: AuthorizationRequest) -> Result<Agreed, ServerError> {
        self.send_upstream(&Waiting::ForOwnerRez { request }).await
    }

    /// The person at the browser wants to sign in to the account page.
    pub async fn agree_for_account(&self) -> Result<Agreed, ServerError> {
        self.send_upstream(&Waiting::Account).await
    }

    async fn send_upstream(&self, waiting: &Waiting) -> Result<Agreed, ServerError> {
        let browser = crypto::random_token()?;
        let state = self.wait(waiting, browser.expose_secret()).await?;
        Ok(Agreed { state, browser })
    }

    /// What this browser agreed to, when OwnerRez sends it back. It stays as it is.
    pub async fn returning(&self, state: &str, browser: &str) -> Result<Option<Returning<Errand>>, ServerError> {
        let (state_hash, browser_hash) = (crypto::digest_hex(state), crypto::digest_hex(browser));
        let found = self.0.store.returning_to_sign_in(&state_hash, &browser_hash, self.0.clock.now()).await?;
        let Some(Returning { to, created_at, returned_at, expires_at }) = found else { return Ok(None) };
        let errand = errand(self.open(state, &to)?);
        Ok(errand.map(|to| Returning { to, created_at, returned_at, expires_at }))
    }

    /// Keeps the sign-in of this browser, because it has to wait for its turn.
    pub async fn waits(&self, state: &str, browser: &str, first: FirstReturn) -> Result<(), ServerError> {
        let (state_hash, browser_hash) = (crypto::digest_hex(state), crypto::digest_hex(browser));
        Ok(self.0.store.sign_in_waits(&state_hash, &browser_hash, first).await?)
    }

    /// The same as [`Self::returning`], once: it is used up.
    pub async fn came_back(&self, state: &str, browser: &str) -> Result<Option<Errand>, ServerError> {
        Ok(self.take(state, browser).await?.and_then(errand))
    }

    /// Redeems OwnerRez's code: who is it?
    pub async fn sign_in(&self, code: SecretString, admitted: Admitted) -> Result<SignedIn, ConnectError> {
        let settings = self.settings();
        self.0.sessions.sign_in(settings.identity_issuer.clone(), code, settings.admits_new, admitted).await
    }

    /// Who reaches an account, beside whoever just signed in without anything yet.
    pub async fn others(&self, account: AccountId) -> Result<Vec<Reaching>, ServerError> {
        let mut all = self.0.store.reaching(account, self.0.clock.now()).await?;
        all.retain(|reaching| !reaching.keys.is_empty() || !reaching.grants.is_empty());
        Ok(all)
    }

    /// Lets the browser look before it goes on; gives what it comes back with.
    pub async fn pause(&self, paused: Paused, browser: &str) -> Result<SecretString, ServerError> {
        let Paused { request, user, account } = paused;
        self.wait(&Waiting::ForTheUser { request, user: user.0, account: account.0 }, browser).await
    }

    /// What this browser looks at.
    pub async fn paused(&self, state: &str, browser: &str) -> Result<Option<Paused>, ServerError> {
        let (state_hash, browser_hash) = (crypto::digest_hex(state), crypto::digest_hex(browser));
        let sealed = self.0.store.sign_in(&state_hash, &browser_hash, self.0.clock.now()).await?;
        sealed.map(|sealed| self.open(state, &sealed)).transpose().map(|waiting| waiting.and_then(paused))
    }

    /// The same; it goes on, once.
    pub async fn resume(&self, state: &str, browser: &str) -> Result<Option<Paused>, ServerError> {
        Ok(self.take(state, browser).await?.and_then(paused))
    }

    /// Makes the grant and its code, and says where the browser goes with it.
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
            code_hash: crypto::digest_hex(&code),
            redirect_uri,
            code_challenge,
            expires_at: now + CODE_LIFE,
        };
        let id = grant.id;
        if !self.0.store.open_grant(grant, now).await? {
            return Err(ServerError::UserGone);
        }
        log::info!("user {user} signed in for a client, grant {id}");
        // The scope may differ from what was asked for (RFC 6749 section 3.3).
        redirection.url(&[("code", &code), ("scope", &granted)], &self.settings().issuer).ok_or(ServerError::Unreadable)
    }

    async fn wait(&self, waiting: &Waiting, browser: &str) -> Result<SecretString, ServerError> {
        let state = format!("{STATE_PREFIX}{}", crypto::random_token()?.expose_secret());
        let text = serde_json::to_string(waiting).map_err(|_| ServerError::Unreadable)?;
        let created_at = self.0.clock.now();
        let sign_in = NewSignIn {
            state_hash: crypto::digest_hex(&state),
            browser_hash: crypto::digest_hex(browser),
            request: self.0.ring.seal(SealedFor::SignIn(crypto::digest(state.as_bytes())), &text.into())?,
            created_at,
            expires_at: created_at + self.settings().sign_in_life,
        };
        self.0.store.add_sign_in(sign_in).await?;
        Ok(state.into())
    }

    async fn take(&self, state: &str, browser: &str) -> Result<Option<Waiting>, ServerError> {
        let (state_hash, browser_hash) = (crypto::digest_hex(state), crypto::digest_hex(browser));
        let sealed = self.0.store.take_sign_in(&state_hash, &browser_hash, self.0.clock.now()).await?;
        sealed.map(|sealed| self.open(state, &sealed)).transpose()
    }

    fn open(&self, state: &str, sealed: &Sealed) -> Result<Waiting, ServerError> {
        let opened = self.0.ring.open(SealedFor::SignIn(crypto::digest(state.as_bytes())), sealed)?;
        serde_json::from_str(opened.expose_secret()).map_err(|_| ServerError::Unreadable)
    }
}

fn errand(waiting: Waiting) -> Option<Errand> {
    match waiting {
        Waiting::ForOwnerRez { request } => Some(Errand::Client(request)),
        Waiting::Account => Some(Errand::Account),
        Waiting::ForTheUser { .. } => None,
    }
}

fn paused(waiting: Waiting) -> Option<Paused> {
    match waiting {
        Waiting::ForTheUser { request, user, account } => {
            Some(Paused { request, user: UserId(user), account: AccountId(account) })
        }
        Waiting::ForOwnerRez { .. } | Waiting::Account => None,
    }
}
