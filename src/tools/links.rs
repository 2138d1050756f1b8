//! Links that connect an OwnerRez account, made for whoever asks: the REST endpoint, or a model whose user has none.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    crypto::{self, CryptoError},
    domain::{KeyId, SharedClock, UserId},
    store::{NewLink, Store, StoreError},
};

/// The page that a link opens.
pub const LINK_PATH: &str = "/api/connect/ownerrez/authorize";
/// The page where people who sign in with OwnerRez look after what is theirs.
pub const ACCOUNT_PATH: &str = "/account";

/// Makes links.
#[derive(Clone)]
pub struct ConnectLinks {
    /// Where their states are kept, hashed.
    pub store: Store,
    /// Time.
    pub clock: SharedClock,
    /// The gateway's public address.
    pub public_url: Url,
    /// Where links lead to.
    pub way: LinkWay,
    /// How long a link is good.
    pub life: TimeDelta,
    /// Links of one user that may be open at once; the oldest gives way.
    pub open_at_once: u64,
}

/// Whether and how users connect accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkWay {
    /// Through the operator's OAuth app.
    OauthApp,
    /// Not yet: the operator has no OAuth app.
    None,
    /// Not at all: the one account came with the settings.
    OwnAccount,
}

/// A link, ready to be opened in a browser.
pub struct OpenLink {
    /// The link itself.
    pub url: String,
    /// The state in it.
    pub state: SecretString,
    /// Until when it is good.
    pub expires_at: DateTime<Utc>,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The operator has no OAuth app.
    #[error("no OwnerRez app configured")]
    NotConfigured,
    /// The one account came with the settings.
    #[error("the account came with the settings")]
    OwnAccount,
    /// The key vanished between its check and now.
    #[error("the key is gone")]
    KeyGone,
    /// The database is away or broken.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// No random numbers.
    #[error("{0}")]
    Crypto(#[from] CryptoError),
}

impl ConnectLinks {
    /// Makes a link for a key of the user. The newest few stay good.
    pub async fn open(&self, user: UserId, key: KeyId) -> Result<OpenLink, LinkError> {
        match self.way {
            LinkWay::OauthApp => {}
            LinkWay::None => return Err(LinkError::NotConfigured),
            LinkWay::OwnAccount => return Err(LinkError::OwnAccount),
        }
        let state = crypto::random_token()?;
        let now = self.clock.now();
        let expires_at = now + self.life;
        let link = NewLink { state_hash: crypto::digest_hex(state.expose_secret()), key, created_at: now, expires_at };
        if !self.store.open_link(user, link, self.open_at_once).await? {
            return Err(LinkError::KeyGone);
        }
        let url = format!("{}?state={}", self.url(LINK_PATH), state.expose_secret());
        Ok(OpenLink { url, state, expires_at })
    }

    /// Where whoever came by signing in mends the connection.
    pub fn account_url(&self) -> String {
        self.url(ACCOUNT_PATH)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }
}
