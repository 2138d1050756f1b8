//! The words of the house: identifiers, secrets' containers, requests and replies. Values only, no I/O.

mod connection_setting;
mod json_object;
mod json_text;
mod plain_name;
mod redirect_uri;

use std::{fmt, future::Future, hash::Hash, num::NonZeroUsize, pin::Pin, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;
use secrecy::SecretString;
use serde_json::Value;
use uuid::Uuid;

pub use connection_setting::{ConnectionSetting, switched};
pub use json_object::{JsonObject, member};
pub use json_text::JsonText;
pub use plain_name::{is_invisible, plain_name};
pub use redirect_uri::{
    BadRedirectUri, CHATGPT_CONNECTOR, REDIRECT_URI_LIMIT, RedirectPlace, RedirectPolicy, RedirectTarget, RedirectUri,
};

/// A span of minutes in words: "1 minute", "10 minutes".
pub fn in_minutes(span: TimeDelta) -> String {
    match span.num_minutes() {
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

/// A person who registered with this gateway; the tenant of every row and every session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct UserId(pub Uuid);

/// One API key of a user.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct KeyId(pub Uuid);

/// What a user let one client do, once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct GrantId(pub Uuid);

/// Who somebody is, as OwnerRez says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// Who says so: the origin of OwnerRez.
    pub issuer: Arc<str>,
    /// The number of the account there.
    pub subject: Arc<str>,
}

/// The number OwnerRez gives an account: `user_id` of its token reply, `id` of `GET /v2/users/me`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct AccountId(pub i64);

/// A user who signed in, and the account of OwnerRez that they did it with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountHolder {
    /// Who it is here.
    pub user: UserId,
    /// Whose account it is there.
    pub account: AccountId,
}

/// What a caller may do: the scope of an API key, or of a client's grant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Read tools only; manages neither keys nor the connection.
    Read,
    /// Everything.
    Full,
}

impl Scope {
    /// The word for it, in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Full => "full",
        }
    }
}

/// What a key shows of the tools.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyView {
    /// The toolsets, separated by commas, where a request does not say otherwise; none for the default.
    pub toolsets: Option<Arc<str>>,
    /// Whether only what reads is shown and called, whatever a request says.
    pub read_only: bool,
    /// Whether what needs consent takes two steps instead of a question to the person, whatever a request says.
    pub two_steps: bool,
}

/// What a caller showed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Credential {
    /// An API key.
    Key(KeyId),
    /// An access token that a client got through the consent of the user.
    Grant(GrantId),
}

/// Who is calling, as their credential says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// What they showed.
    pub credential: Credential,
    /// What it is called in lists and logs: the part of a key that is stored in plain text, or the id of a grant.
    pub label: Arc<str>,
    /// What the credential may do.
    pub scope: Scope,
    /// When the credential ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// What the key shows.
    pub view: KeyView,
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

/// Text that only the key ring can read. `store` moves it about without being able to open it.
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
    /// `Authorization: Basic`: a personal access token, kept as `e-mail:token`.
    Basic,
}

impl TokenKind {
    /// The word for it in `ownerrez_connections.token_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Basic => "basic",
        }
    }

    /// The kind of that name. The predecessor wrote `Bearer` and knew no other, so every other word means that.
    pub fn named(word: &str) -> Self {
        if word == Self::Basic.as_str() { Self::Basic } else { Self::Bearer }
    }
}

/// What an OwnerRez account lent us, in plain text: it lives in one actor's memory only.
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// How `access` is sent.
    pub kind: TokenKind,
    /// The access token, or `e-mail:token`.
    pub access: SecretString,
    /// Absent under the app policy "None", whose tokens never expire.
    pub refresh: Option<SecretString>,
    /// When the access token was issued to us; with `expires_at` it gives the token's life.
    pub obtained_at: DateTime<Utc>,
    /// Unknown for tokens that OwnerRez gave no expiry.
    pub expires_at: Option<DateTime<Utc>>,
}

impl TokenSet {
    /// From this moment on the token is refreshed before it is used: five minutes before it expires, or a tenth of
    /// its life for short-lived ones. `None` where no expiry is known.
    pub fn refresh_from(&self) -> Option<DateTime<Utc>> {
        let expires_at = self.expires_at?;
        Some(expires_at - self.tenth_of_life(expires_at).min(TimeDelta::minutes(5)))
    }

    /// From this moment on the background sweep renews the token of a user who is away: a tenth of its life before
    /// its end, so that a failed attempt leaves days (for the usual 30 day token) for the next one.
    pub fn renew_from(&self) -> Option<DateTime<Utc>> {
        let expires_at = self.expires_at?;
        self.refresh.as_ref()?;
        Some(expires_at - self.tenth_of_life(expires_at))
    }

    fn tenth_of_life(&self, expires_at: DateTime<Utc>) -> TimeDelta {
        ((expires_at - self.obtained_at) / 10).max(TimeDelta::zero())
    }
}

/// The result of an authorization: the tokens and whose they are.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The tokens themselves.
    pub tokens: TokenSet,
    /// Whose account this is; OwnerRez documents it for every token reply, the predecessor did not always store it.
    pub account: Option<AccountId>,
}

/// The methods that OwnerRez's API knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Creates.
    Post,
    /// Changes the members that are sent.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// The method as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// One request to OwnerRez's API, checked and ready: what remains is a token and a permit.
#[derive(Clone, PartialEq, Debug)]
pub struct UpstreamRequest {
    /// Name of the operation, for logs and counters: never holds an argument.
    pub operation: Arc<str>,
    /// HTTP method.
    pub method: Method,
    /// Path and query below the API's origin, percent-encoded, beginning with `/v2/`.
    pub path_and_query: String,
    /// JSON body of a write.
    pub body: Option<Value>,
    /// An earlier answer to the same request will do if it is no older than this. Never for writes.
    pub fresh_for: Option<TimeDelta>,
}

impl UpstreamRequest {
    /// Whether sending it may change something upstream; such a request is never repeated on our own account and
    /// never cut off once it has been sent.
    pub fn is_write(&self) -> bool {
        self.method != Method::Get
    }
}

/// A future that can cross threads: what object-safe async functions return.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The only source of time. Production reads the machine's clock, tests turn a manual one; nothing else sleeps.
pub trait Clock: Send + Sync + 'static {
    /// The present moment. Never goes backwards within a process.
    fn now(&self) -> DateTime<Utc>;

    /// Completes once `now()` has reached `moment`.
    fn sleep_until(&self, moment: DateTime<Utc>) -> BoxFuture<()>;
}

/// The clock as everyone carries it.
pub type SharedClock = Arc<dyn Clock>;

/// An error and what lies behind it, for the log only.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        let text = error.to_string();
        // Wrappers repeat what they wrap.
        if !told.ends_with(&text) {
            told = format!("{told}: {text}");
        }
        behind = error.source();
    }
    told
}

/// An empty cache for so many entries, which takes memory only as it fills; its own constructor takes all of it at once.
pub fn growing_cache<K: Hash + Eq, V>(most: NonZeroUsize) -> LruCache<K, V> {
    let mut cache = LruCache::unbounded();
    cache.resize(most);
    cache
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_cache_is_bounded() {
        let mut cache = growing_cache(NonZeroUsize::MIN);
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
        assert_eq!(chain(&Outer(Wrapper(Inner))), "it was not written: the disk is full");
    }
}
