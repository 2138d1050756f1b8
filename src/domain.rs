//! Shared value types: identifiers, token sets, upstream requests and the `Clock` trait. No I/O.

mod connection_setting;
mod error_code;
mod json_object;
mod plain_name;
mod raw_json;
mod redirect_uri;

use std::{fmt, future::Future, hash::Hash, num::NonZeroUsize, pin::Pin, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;
use secrecy::SecretString;
use serde_json::Value;
use uuid::Uuid;

pub use connection_setting::{ConnectionSetting, parse_bool};
pub use error_code::ErrorCode;
pub use json_object::{JsonObject, member};
pub use plain_name::{is_invisible, plain_name};
pub use raw_json::RawJson;
pub use redirect_uri::{
    BadRedirectUri, CHATGPT_CONNECTOR, REDIRECT_URI_LIMIT, RedirectDestination, RedirectPolicy, RedirectTarget,
    RedirectUri,
};

/// Returns a time span as text, in whole minutes: "1 minute", "10 minutes".
pub fn in_minutes(span: TimeDelta) -> String {
    match span.num_minutes() {
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

/// The id of a registered user. A user is the tenant of every row and every session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct UserId(pub Uuid);

/// The id of one API key of a user.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct KeyId(pub Uuid);

/// The id of one grant: the access that a user gave to one client in one sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct GrantId(pub Uuid);

/// An OwnerRez account as an identity.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// The origin of OwnerRez.
    pub issuer: Arc<str>,
    /// The account number at OwnerRez.
    pub subject: Arc<str>,
}

/// The id of an OwnerRez account: `user_id` in a token response, `id` in the response of `GET /v2/users/me`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct AccountId(pub i64);

/// A signed-in user and the OwnerRez account that the user signed in with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignedInUser {
    /// The user of this gateway.
    pub user: UserId,
    /// The OwnerRez account.
    pub account: AccountId,
}

/// The permissions of a caller: the scope of an API key or of a client's grant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Read-only tools. Does not allow managing keys or the connection.
    Read,
    /// All tools, and managing keys and the connection.
    Full,
}

impl Scope {
    /// Returns the scope's name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Full => "full",
        }
    }
}

/// The tool settings of a key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ToolDefaults {
    /// The toolsets, separated by commas, for requests that do not name any; `None` for the default toolsets.
    pub toolsets: Option<Arc<str>>,
    /// Whether only read-only tools are listed and callable. A request cannot override this.
    pub read_only: bool,
    /// Whether tools that need consent use two steps instead of elicitation. A request cannot override this.
    pub two_steps: bool,
}

/// The kind and id of a caller's credential.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Credential {
    /// An API key.
    Key(KeyId),
    /// An access token that a client obtained with the user's consent.
    Grant(GrantId),
}

/// An authenticated caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    /// The user that the credential belongs to.
    pub user: UserId,
    /// The credential.
    pub credential: Credential,
    /// The credential's name in lists and logs: the plain-text part of a key, or the id of a grant.
    pub label: Arc<str>,
    /// The permissions of the credential.
    pub scope: Scope,
    /// The expiry of the credential.
    pub expires_at: Option<DateTime<Utc>>,
    /// The tool settings of the key.
    pub view: ToolDefaults,
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Encrypted text that only the key ring can decrypt. `store` reads and writes it without decrypting it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// How an access token is sent to OwnerRez (article "API authentication").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// `Authorization: Bearer`: issued through the operator's OAuth app.
    Bearer,
    /// `Authorization: Basic`: a personal access token, stored as `e-mail:token`.
    Basic,
}

impl TokenKind {
    /// Returns the value of `ownerrez_connections.token_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Basic => "basic",
        }
    }

    /// Returns the kind with this name. The TypeScript server had only bearer tokens and stored `Bearer`, so every
    /// other word means bearer.
    pub fn named(word: &str) -> Self {
        if word == Self::Basic.as_str() { Self::Basic } else { Self::Bearer }
    }
}

/// The OwnerRez tokens of one account, in plain text. Only the actor of their user has them in memory.
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// How `access` is sent.
    pub kind: TokenKind,
    /// The access token, or `e-mail:token`.
    pub access: SecretString,
    /// The refresh token. Absent under the app policy "None", whose tokens never expire.
    pub refresh: Option<SecretString>,
    /// When the access token was issued. Together with `expires_at` it gives the token's lifetime.
    pub obtained_at: DateTime<Utc>,
    /// The expiry of the access token; `None` if OwnerRez reported none.
    pub expires_at: Option<DateTime<Utc>>,
}

impl TokenSet {
    /// Returns the moment from which the token is refreshed before it is used: five minutes before its expiry, or a
    /// tenth of its lifetime before it if that is shorter. `None` if no expiry is known.
    pub fn refresh_from(&self) -> Option<DateTime<Utc>> {
        let expires_at = self.expires_at?;
        Some(expires_at - self.tenth_of_lifetime(expires_at).min(TimeDelta::minutes(5)))
    }

    /// Returns the moment from which the background sweep refreshes the token of an inactive user: a tenth of its
    /// lifetime before its expiry. For the usual 30-day token, a failed attempt leaves days for the next one. `None`
    /// without a refresh token or an expiry.
    pub fn renew_from(&self) -> Option<DateTime<Utc>> {
        let expires_at = self.expires_at?;
        self.refresh.as_ref()?;
        Some(expires_at - self.tenth_of_lifetime(expires_at))
    }

    fn tenth_of_lifetime(&self, expires_at: DateTime<Utc>) -> TimeDelta {
        ((expires_at - self.obtained_at) / 10).max(TimeDelta::zero())
    }
}

/// The result of an authorization: the tokens and their account.
#[derive(Clone, Debug)]
pub struct UpstreamGrant {
    /// The tokens.
    pub tokens: TokenSet,
    /// The account that the tokens belong to. OwnerRez documents it for every token response; the TypeScript server did
    /// not always store it.
    pub account: Option<AccountId>,
}

/// The HTTP methods of OwnerRez's API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads a record or a list.
    Get,
    /// Creates a record.
    Post,
    /// Changes the fields that are sent.
    Patch,
    /// Deletes a record.
    Delete,
}

impl Method {
    /// Returns the method's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// One validated request to OwnerRez's API. Only a token and a permit are missing.
#[derive(Clone, PartialEq, Debug)]
pub struct UpstreamRequest {
    /// Name of the operation, for logs and metrics. Never contains an argument.
    pub operation: Arc<str>,
    /// HTTP method.
    pub method: Method,
    /// Path and query below the API's origin, percent-encoded, beginning with `/v2/`.
    pub path_and_query: String,
    /// JSON body of a write.
    pub body: Option<Value>,
    /// The maximum age of a cached response that may be used instead. Never set for writes.
    pub max_age: Option<TimeDelta>,
}

impl UpstreamRequest {
    /// Returns whether the request may change data at OwnerRez. Such a request is never retried by the gateway and
    /// never cancelled once it has been sent.
    pub fn is_write(&self) -> bool {
        self.method != Method::Get
    }
}

/// A boxed `Send` future, the return type of object-safe async functions.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The only source of time. Production uses the system clock; tests advance a manual clock. No other code sleeps.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time. Never goes backwards within a process.
    fn now(&self) -> DateTime<Utc>;

    /// Completes once `now()` has reached `moment`.
    fn sleep_until(&self, moment: DateTime<Utc>) -> BoxFuture<()>;
}

/// The shared handle to the clock.
pub type SharedClock = Arc<dyn Clock>;

/// Returns an error and all its sources as one text, for the log only.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text_so_far = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        // A wrapper often repeats the text of its source.
        if !text_so_far.ends_with(&text) {
            text_so_far = format!("{text_so_far}: {text}");
        }
        source = error.source();
    }
    text_so_far
}

/// Returns an empty cache for at most `most` entries. It allocates memory as it fills; the cache's own constructor
/// allocates all of it at once.
pub fn lazy_lru<K: Hash + Eq, V>(most: NonZeroUsize) -> LruCache<K, V> {
    let mut cache = LruCache::unbounded();
    cache.resize(most);
    cache
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_cache_is_bounded() {
        let mut cache = lazy_lru(NonZeroUsize::MIN);
        cache.put("a", 1);
        cache.put("b", 2);
        assert_eq!((cache.len(), cache.peek("a"), cache.peek("b")), (1, None, Some(&2)));
    }

    fn tokens(life_seconds: i64, refresh: bool) -> TokenSet {
        let obtained_at = DateTime::UNIX_EPOCH;
        TokenSet {
            kind: TokenKind::Bearer,
            access: "at_x".into(),
            refresh: refresh.then(|| "rt_x".into()),
            obtained_at,
            expires_at: Some(obtained_at + TimeDelta::seconds(life_seconds)),
        }
    }

    #[test]
    fn long_lived_tokens_are_refreshed_five_minutes_early_and_renewed_days_early() {
        let month = tokens(30 * 86_400, true);
        let expires_at = month.expires_at.unwrap_or_default();
        assert_eq!(month.refresh_from(), Some(expires_at - TimeDelta::minutes(5)));
        assert_eq!(month.renew_from(), Some(expires_at - TimeDelta::days(3)));
    }

    #[test]
    fn short_lived_tokens_are_refreshed_a_tenth_of_their_life_early() {
        let ten_minutes = tokens(600, true);
        assert_eq!(ten_minutes.refresh_from(), ten_minutes.expires_at.map(|end| end - TimeDelta::seconds(60)));
    }

    #[test]
    fn without_a_refresh_token_there_is_nothing_to_renew() {
        assert_eq!(tokens(600, false).renew_from(), None);
    }

    #[test]
    fn debug_shows_no_token() {
        let shown = format!("{:?}", tokens(600, true));
        assert!(!shown.contains("at_x") && !shown.contains("rt_x"), "{shown}");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the disk is full")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Wrapper(#[from] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("it was not written")]
    struct Outer(#[source] Wrapper);

    #[test]
    fn a_chain_tells_each_cause_once() {
        assert_eq!(error_chain(&Outer(Wrapper(Inner))), "it was not written: the disk is full");
    }
}
