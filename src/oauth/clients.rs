//! Who a client is: predefined by the operator, registered by itself (RFC 7591), or known by the address of a document
//! that it publishes (Client ID Metadata Documents).
//!
//! Nothing that a client says of itself is true because it says so. What holds is where its answers go, and, of a client
//! with keys, that it has them.

mod assertion;
mod crowd;
mod document;
mod fetch;
mod kept;
mod keys;
mod metadata;
mod outside;
mod predefined;
mod problem;
mod public;
mod registered;
mod replay;

use std::{collections::HashMap, fmt, num::NonZeroUsize, sync::Arc};

use chrono::TimeDelta;
use serde_json::Value;
use url::Url;

pub use assertion::{ASSERTION_TYPE, AssertionProblem};
pub use fetch::FetchProblem;
pub use keys::{KeySet, SigningAlgorithm};
pub use metadata::MetadataProblem;
pub use outside::{Names, Outside};
pub use problem::{BadDocumentUrl, ClientError, ClientErrorCode, DocumentProblem, RegistrationError};
pub use public::is_public;
pub use registered::Registered;

use self::{
    assertion::Assertion,
    document::Document,
    fetch::Fetcher,
    kept::{Kept, Reader},
    metadata::document_url,
    predefined::predefined,
    registered::Registration,
    replay::Replays,
};
use crate::{
    config::Config,
    crypto::{KeyRing, digest_hex},
    domain::{RedirectPolicy, RedirectTarget, RedirectUri, SharedClock},
    metrics::Metrics,
    store::Store,
};

/// Client ids are no longer, in characters.
pub const CLIENT_ID_LIMIT: usize = 2048;

/// Documents and key sets that are kept in memory. Each was 5 KB or less before it was read.
const DOCUMENTS: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");
const KEY_SETS: NonZeroUsize = NonZeroUsize::new(128).expect("not zero");
/// A key that is not among the published ones may have been published since; that is looked up so often at most.
const KEYS_AGAIN: TimeDelta = TimeDelta::minutes(1);

/// What a client sends as `client_id`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ClientId(pub Arc<str>);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A client as the authorization server sees it.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub id: ClientId,
    /// What it calls itself, on one line and without tricks. Nobody has verified it, unless the operator wrote it.
    pub name: String,
    /// Where it may have people sent back to.
    pub redirect_uris: Vec<RedirectUri>,
    /// How it proves who it is.
    pub authentication: ClientAuthentication,
    /// Whether it says that it uses refresh tokens: then it gets one without asking for `offline_access`.
    pub refreshes: bool,
    /// How it is known.
    pub kind: ClientKind,
}

/// How a client is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientKind {
    /// The operator named it.
    Predefined,
    /// Its id is the address of its metadata document.
    MetadataDocument,
    /// It registered itself.
    Registered,
}

/// How a client proves who it is at the token endpoint.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// It does not; its codes are bound to it by PKCE alone.
    None,
    /// It signs.
    PrivateKeyJwt {
        /// Where its keys are.
        keys: KeySource,
        /// What it may sign with; never none.
        algorithms: Vec<SigningAlgorithm>,
        /// Whether it lists `none` as well in its `token_endpoint_auth_methods_supported`, as ChatGPT does. What it does
        /// sign must be good even then, and whoever signed for a code has to sign for all that follows from it.
        may_go_without: bool,
    },
}

/// Where the public keys of a client are.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// In its metadata.
    Inline(Arc<KeySet>),
    /// At this address.
    Uri(Url),
}

/// What a client shows at the token endpoint to prove who it is.
#[derive(Clone, Copy)]
pub enum PresentedClient<'a> {
    /// Nothing but its id.
    None,
    /// `client_assertion_type` and `client_assertion`.
    Assertion {
        /// The former.
        kind: &'a str,
        /// The latter.
        assertion: &'a str,
    },
}

impl fmt::Debug for PresentedClient<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Assertion { .. } => "Assertion(…)",
        })
    }
}

/// Why a request's `redirect_uri` gets no answer: not even an error may be sent there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RedirectProblem {
    /// OAuth 2.1 lets a client with one redirect URI leave it out; here each request says where its answer goes.
    #[error("the redirect_uri is missing")]
    Missing,
    /// Anybody's.
    #[error("the redirect_uri is not one that this client has registered")]
    NotRegistered,
    /// Loopback URIs may have any port, so this shows only when a request names one.
    #[error("the redirect_uri leads to this gateway itself")]
    Own,
}

impl Client {
    /// Where the answer to a request goes.
    pub fn redirect(&self, asked: Option<&str>) -> Result<RedirectTarget, RedirectProblem> {
        let asked = asked.filter(|asked| !asked.is_empty()).ok_or(RedirectProblem::Missing)?;
        self.redirect_uris.iter().find_map(|uri| uri.target(asked)).ok_or(RedirectProblem::NotRegistered)
    }

    /// Whether all its answers go to the person's own machine, where any program could pose as it.
    pub fn is_loopback_only(&self) -> bool {
        self.redirect_uris.iter().all(RedirectUri::is_loopback)
    }
}

/// All clients. Cheap to clone; the clones share what was fetched.
#[derive(Clone)]
pub struct Clients(Arc<Inner>);

struct Inner {
    predefined: HashMap<String, Client>,
    policy: Arc<RedirectPolicy>,
    reads_documents: bool,
    registration_life: TimeDelta,
    ring: Arc<KeyRing>,
    store: Store,
    clock: SharedClock,
    documents: Kept<Document>,
    key_sets: Kept<KeySet>,
    replays: Replays,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clients")
    }
}

impl Clients {
    /// The clients of this deployment. `public_url` is the gateway's own address; `outside` is [`Outside::internet`] but
    /// in tests.
    pub fn new(
        config: &Config,
        public_url: &Url,
        ring: Arc<KeyRing>,
        store: Store,
        clock: SharedClock,
        metrics: Arc<Metrics>,
        outside: Outside,
    ) -> Self {
        keys::let_ring_verify();
        let app_uris = config.oauth_clients.app_redirect_uris.clone();
        let policy = Arc::new(RedirectPolicy { app_uris, own_url: Some(public_url.clone()) });
        let fetcher = Fetcher::new(outside, clock.clone(), metrics);
        let reader = Reader { policy: policy.clone() };
        Self(Arc::new(Inner {
            predefined: predefined(config),
            policy,
            reads_documents: config.oauth_clients.client_documents,
            registration_life: TimeDelta::days(i64::from(config.oauth_clients.registration_days)),
            ring,
            store,
            documents: Kept::new(fetcher.clone(), clock.clone(), reader.clone(), DOCUMENTS, document::read),
            key_sets: Kept::new(fetcher, clock.clone(), reader, KEY_SETS, keys::read),
            replays: Replays::default(),
            clock,
        }))
    }

    /// The client with this id: a predefined one, one that registered itself, or the one that the document at this
    /// address describes.
    ///
    /// # Errors
    /// See [`ClientError::code`] for what to answer. Costs a request to a stranger's server only if the id is the
    /// address of a document that is not in memory.
    pub async fn find(&self, client_id: &str) -> Result<Client, ClientError> {
        let all = &*self.0;
        let visible = client_id.bytes().all(|byte| byte.is_ascii_graphic());
        if client_id.is_empty() || client_id.len() > CLIENT_ID_LIMIT || !visible {
            return Err(ClientError::Malformed);
        }
        if let Some(client) = all.predefined.get(client_id) {
            return Ok(client.clone());
        }
        if registered::is_registered(client_id) {
            return Ok(all.registration(client_id).await?.client);
        }
        if !client_id.contains("://") {
            return Err(ClientError::Unknown);
        }
        if !all.reads_documents {
            return Err(ClientError::DocumentsOff);
        }
        let url = document_url(client_id).map_err(ClientError::DocumentUrl)?;
        let document = all.documents.get(&url).await.map_err(|problem| ClientError::Document {
            host: url.host_str().unwrap_or_default().to_owned(),
            problem,
        })?;
        Ok(Client {
            id: ClientId(Arc::from(client_id)),
            name: document.name.clone(),
            redirect_uris: document.redirect_uris.clone(),
            authentication: document.authentication.clone(),
            refreshes: document.refreshes,
            kind: ClientKind::MetadataDocument,
        })
    }

    /// Whether the client at the token endpoint is who it says it is. `audiences` are the names of this authorization
    /// server: its issuer and the URL of its token endpoint. A good assertion is used up by this call. The answer tells
    /// whether there was one.
    pub async fn authenticate(
        &self,
        client: &Client,
        presented: &PresentedClient<'_>,
        audiences: &[String],
    ) -> Result<bool, ClientError> {
        let all = &*self.0;
        let (keys, algorithms, kind, assertion) = match (&client.authentication, *presented) {
            (
                ClientAuthentication::None | ClientAuthentication::PrivateKeyJwt { may_go_without: true, .. },
                PresentedClient::None,
            ) => return Ok(false),
            (ClientAuthentication::None, PresentedClient::Assertion { .. }) => {
                return Err(AssertionProblem::NotExpected.into());
            }
            (ClientAuthentication::PrivateKeyJwt { .. }, PresentedClient::None) => {
                return Err(AssertionProblem::Missing.into());
            }
            (
                ClientAuthentication::PrivateKeyJwt { keys, algorithms, .. },
                PresentedClient::Assertion { kind, assertion },
            ) => (keys, algorithms, kind, assertion),
        };
        if kind != ASSERTION_TYPE {
            return Err(AssertionProblem::Type.into());
        }
        let assertion = Assertion::read(assertion, algorithms)?;
        let keys = all.keys(keys, &assertion).await?;
        let now = all.clock.now();
        let proof = assertion.check(&keys, &client.id.0, audiences, now)?;
        all.replays.use_once(&client.id.0, &proof.id, proof.until, now)?;
        Ok(true)
    }

    /// Whether clients may be known by documents that they publish.
    pub fn reads_documents(&self) -> bool {
        self.0.reads_documents
    }

    /// Where the answer to a request of this client goes.
    pub fn redirect(&self, client: &Client, asked: Option<&str>) -> Result<RedirectTarget, RedirectProblem> {
        let target = client.redirect(asked)?;
        if self.0.policy.is_own(&target.uri) { Err(RedirectProblem::Own) } else { Ok(target) }
    }

    /// Registers a client (RFC 7591). How often one source may is the caller's to limit; nothing is stored.
    pub fn register(&self, metadata: &Value) -> Result<Registered, RegistrationError> {
        let Inner { ring, policy, registration_life, clock, .. } = &*self.0;
        registered::register(ring, metadata, policy, *registration_life, clock.now())
    }

    /// Deletes a client that registered itself: from now on it is answered like one that never was. `false`: it is
    /// none of those, or is gone already.
    pub async fn forget(&self, client_id: &str) -> Result<bool, ClientError> {
        if !registered::is_registered(client_id) || client_id.len() > CLIENT_ID_LIMIT {
            return Ok(false);
        }
        match self.0.registration(client_id).await {
            Ok(Registration { expires_at, .. }) => {
                self.0.store.forget_client(&digest_hex(client_id), expires_at).await?;
                Ok(true)
            }
            Err(ClientError::Unknown | ClientError::Expired | ClientError::Forgotten) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Inner {
    async fn registration(&self, client_id: &str) -> Result<Registration, ClientError> {
        let registration = registered::open(&self.ring, client_id, &self.policy, self.clock.now())?;
        if self.store.is_client_forgotten(&digest_hex(client_id)).await? {
            return Err(ClientError::Forgotten);
        }
        Ok(registration)
    }

    /// The client's keys; once more from their source if none of them could have signed the assertion.
    async fn keys(&self, source: &KeySource, assertion: &Assertion<'_>) -> Result<Arc<KeySet>, ClientError> {
        let url = match source {
            KeySource::Inline(keys) => return Ok(keys.clone()),
            KeySource::Uri(url) => url,
        };
        let refused = |problem| ClientError::Keys { host: url.host_str().unwrap_or_default().to_owned(), problem };
        let keys = self.key_sets.get(url).await.map_err(refused)?;
        if assertion.is_covered_by(&keys) {
            return Ok(keys);
        }
        self.key_sets.get_tried_since(url, self.clock.now() - KEYS_AGAIN).await.map_err(refused)
    }
}
