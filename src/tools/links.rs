//! Links that connect an OwnerRez account, created for the REST endpoint or for a model whose user has no connection.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    crypto::{self, CryptoError},
    domain::{KeyId, SharedClock, UserId},
    store::{NewConnectLink, Store, StoreError},
};

/// The page that a link opens.
pub const LINK_PATH: &str = "/api/connect/ownerrez/authorize";
/// The account page of users who sign in with OwnerRez.
pub const ACCOUNT_PATH: &str = "/account";

/// Creates links.
#[derive(Clone)]
pub struct ConnectLinks {
    /// The store of their hashed states.
    pub store: Store,
    /// The clock.
    pub clock: SharedClock,
    /// The gateway's public address.
    pub public_url: Url,
    /// Whether and how users connect accounts.
    pub mode: ConnectMode,
    /// The lifetime of a link.
    pub life: TimeDelta,
    /// The maximum number of open links per user; a new link replaces the oldest.
    pub open_at_once: u64,
}

/// Whether and how users connect accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectMode {
    /// Through the operator's OAuth app.
    OauthApp,
    /// Not yet: the operator has no OAuth app.
    Unavailable,
    /// Not at all: the settings contain the one account.
    SingleAccount,
}

/// A link, ready to be opened in a browser.
pub struct OpenLink {
    /// The link itself.
    pub url: String,
    /// The state in it.
    pub state: SecretString,
    /// The expiry time.
    pub expires_at: DateTime<Utc>,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The operator has no OAuth app.
    #[error("no OwnerRez app configured")]
    NotConfigured,
    /// The settings contain the one account.
    #[error("the account is configured in the settings")]
    SingleAccount,
    /// The key was deleted after it was checked.
    #[error("the key was deleted")]
    KeyGone,
    /// A database error.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// No random numbers are available.
    #[error("{0}")]
    Crypto(#[from] CryptoError),
}

impl ConnectLinks {
    /// Creates a link for a key of the user. Only the newest few links stay valid.
    pub async fn open(&self, user: UserId, key: KeyId) -> Result<OpenLink, LinkError> {
        match self.mode {
            ConnectMode::OauthApp => {}
            ConnectMode::Unavailable => return Err(LinkError::NotConfigured),
            ConnectMode::SingleAccount => return Err(LinkError::SingleAccount),
        }
        let state = crypto::random_token()?;
        let now = self.clock.now();
        let expires_at = now + self.life;
        let link =
            NewConnectLink { state_hash: crypto::sha256_hex(state.expose_secret()), key, created_at: now, expires_at };
        if !self.store.open_link(user, link, self.open_at_once).await? {
            return Err(LinkError::KeyGone);
        }
        let url = format!("{}?state={}", self.url(LINK_PATH), state.expose_secret());
        Ok(OpenLink { url, state, expires_at })
    }

    /// Returns the page where a user of an OAuth client restores the connection.
    pub fn account_url(&self) -> String {
        self.url(ACCOUNT_PATH)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }
}
