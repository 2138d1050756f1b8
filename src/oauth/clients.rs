//! Clients: predefined by the operator, dynamically registered (RFC 7591), or identified by the URL of a published
//! document (Client ID Metadata Documents).
//!
//! A client's metadata is self-asserted and therefore not trusted. Only two things are verified: the redirect URI that
//! responses are sent to and, for a client with keys, that it has the private key.

mod assertion;
mod assertion_problem;
mod client;
mod client_authentication;
mod client_error;
mod concurrency;
mod document;
mod document_cache;
mod document_problem;
mod document_url;
mod egress;
mod fetch;
mod global_ip;
mod keys;
mod metadata;
mod metadata_problem;
mod predefined;
mod registered;
mod registration_error;
mod replay;

use std::{collections::HashMap, fmt, num::NonZeroUsize, sync::Arc};

use chrono::TimeDelta;
use serde_json::Value;
use url::Url;

pub use assertion_problem::{ASSERTION_TYPE, AssertionProblem};
pub use client::{CLIENT_ID_LIMIT, Client, ClientId, ClientKind, RedirectProblem};
pub use client_authentication::{ClientAuthentication, KeySource, PresentedClient};
pub use client_error::{ClientError, ClientErrorCode};
pub use document_problem::DocumentProblem;
pub use document_url::BadDocumentUrl;
pub use egress::{EgressPolicy, Resolver};
pub use fetch::FetchProblem;
pub use global_ip::is_public;
pub use keys::{KeySet, SigningAlgorithm};
pub use metadata_problem::MetadataProblem;
pub use registered::Registered;
pub use registration_error::RegistrationError;

use self::{
    assertion::Assertion,
    document::Document,
    document_cache::{DocumentCache, ParseContext},
    document_url::document_url,
    fetch::Fetcher,
    predefined::predefined,
    registered::Registration,
    replay::JtiCache,
};
use crate::{
    config::Config,
    crypto::{KeyRing, sha256_hex},
    domain::{RedirectPolicy, RedirectTarget, SharedClock},
    metrics::Metrics,
    store::Store,
};

/// Documents and key sets that are cached in memory. Each was at most 5 KB before parsing.
const DOCUMENTS: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");
const KEY_SETS: NonZeroUsize = NonZeroUsize::new(128).expect("not zero");
/// How often a key set is fetched again at most because a key is not in it. The key may have been published since.
const KEY_REFETCH_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// All clients. Cheap to clone; clones share the fetched documents.
#[derive(Clone)]
pub struct Clients(Arc<Inner>);

struct Inner {
    predefined: HashMap<String, Client>,
    policy: Arc<RedirectPolicy>,
    accepts_documents: bool,
    registration_lifetime: TimeDelta,
    ring: Arc<KeyRing>,
    store: Store,
    clock: SharedClock,
    documents: DocumentCache<Document>,
    key_sets: DocumentCache<KeySet>,
    replays: JtiCache,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clients")
    }
}

impl Clients {
    /// Creates the clients of this deployment. `public_url` is the gateway's own URL; `egress` is
    /// [`EgressPolicy::internet`] except in tests.
    pub fn new(
        config: &Config,
        public_url: &Url,
        ring: Arc<KeyRing>,
        store: Store,
        clock: SharedClock,
        metrics: Arc<Metrics>,
        egress: EgressPolicy,
    ) -> Self {
        keys::install_crypto_provider();
        let app_uris = config.oauth_clients.app_redirect_uris.clone();
        let policy = Arc::new(RedirectPolicy { app_uris, own_url: Some(public_url.clone()) });
        let fetcher = Fetcher::new(egress, clock.clone(), metrics);
        let context = ParseContext { policy: policy.clone() };
        Self(Arc::new(Inner {
            predefined: predefined(config),
            policy,
            accepts_documents: config.oauth_clients.client_documents,
            registration_lifetime: TimeDelta::days(i64::from(config.oauth_clients.registration_days)),
            ring,
            store,
            documents: DocumentCache::new(fetcher.clone(), clock.clone(), context.clone(), DOCUMENTS, document::read),
            key_sets: DocumentCache::new(fetcher, clock.clone(), context, KEY_SETS, keys::read),
            replays: JtiCache::default(),
            clock,
        }))
    }

    /// Returns the client with this id: a predefined one, a dynamically registered one, or the one that the document at
    /// this URL describes.
    ///
    /// # Errors
    /// See [`ClientError::code`] for the error code to return. Sends a request to an untrusted server only if the id is
    /// the URL of a document that is not cached.
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
        if !all.accepts_documents {
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

    /// Authenticates a client at the token endpoint. `audiences` are the names of this authorization server: its issuer
    /// and the URL of its token endpoint. A valid assertion is consumed by this call. Returns whether an assertion was
    /// presented.
    pub async fn authenticate(
        &self,
        client: &Client,
        presented: &PresentedClient<'_>,
        audiences: &[String],
    ) -> Result<bool, ClientError> {
        let all = &*self.0;
        let (keys, algorithms, kind, assertion) = match (&client.authentication, *presented) {
            (
                ClientAuthentication::None | ClientAuthentication::PrivateKeyJwt { allows_none: true, .. },
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

    /// Returns whether clients may be identified by metadata documents.
    pub fn accepts_documents(&self) -> bool {
        self.0.accepts_documents
    }

    /// Returns where the response to a request of this client is sent.
    pub fn redirect(&self, client: &Client, asked: Option<&str>) -> Result<RedirectTarget, RedirectProblem> {
        let target = client.redirect(asked)?;
        if self.0.policy.is_own(&target.uri) { Err(RedirectProblem::Own) } else { Ok(target) }
    }

    /// Registers a client (RFC 7591). Stores nothing; the caller limits the rate per source address.
    pub fn register(&self, metadata: &Value) -> Result<Registered, RegistrationError> {
        let Inner { ring, policy, registration_lifetime, clock, .. } = &*self.0;
        registered::register(ring, metadata, policy, *registration_lifetime, clock.now())
    }

    /// Deletes a dynamically registered client, which is unknown from then on. Returns `false` if the client is of
    /// another kind or no longer exists.
    pub async fn delete(&self, client_id: &str) -> Result<bool, ClientError> {
        if !registered::is_registered(client_id) || client_id.len() > CLIENT_ID_LIMIT {
            return Ok(false);
        }
        match self.0.registration(client_id).await {
            Ok(Registration { expires_at, .. }) => {
                self.0.store.mark_client_deleted(&sha256_hex(client_id), expires_at).await?;
                Ok(true)
            }
            Err(ClientError::Unknown | ClientError::Expired | ClientError::Deleted) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Inner {
    async fn registration(&self, client_id: &str) -> Result<Registration, ClientError> {
        let registration = registered::open(&self.ring, client_id, &self.policy, self.clock.now())?;
        if self.store.is_client_deleted(&sha256_hex(client_id)).await? {
            return Err(ClientError::Deleted);
        }
        Ok(registration)
    }

    /// Returns the client's keys. Fetches them again if none of the cached ones could have signed the assertion.
    async fn keys(&self, source: &KeySource, assertion: &Assertion<'_>) -> Result<Arc<KeySet>, ClientError> {
        let url = match source {
            KeySource::Inline(keys) => return Ok(keys.clone()),
            KeySource::Uri(url) => url,
        };
        let refused = |problem| ClientError::Keys { host: url.host_str().unwrap_or_default().to_owned(), problem };
        let keys = self.key_sets.get(url).await.map_err(refused)?;
        if assertion.has_candidate_key(&keys) {
            return Ok(keys);
        }
        self.key_sets.get_checked_since(url, self.clock.now() - KEY_REFETCH_INTERVAL).await.map_err(refused)
    }
}
