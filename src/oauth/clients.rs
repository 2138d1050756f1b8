//! Who a client is: one of the operator's own, or one that registered itself, whose id holds its registration.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    config::OAuthClients,
    crypto::{CryptoError, KeyRing, SealedFor, digest_hex},
    domain::{BadRedirectUri, RedirectTarget, RedirectUri, Sealed, SharedClock},
    store::{Store, StoreError},
};

/// What a client sends as `client_id`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientId(pub Arc<str>);

/// How a client proves who it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientAuthentication {
    /// Not at all: PKCE binds its codes.
    None,
}

/// Where it is known from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientKind {
    /// The configuration.
    Predefined,
    /// It registered itself.
    Registered,
}

/// A client as the authorization server sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// What it sends as `client_id`.
    pub id: ClientId,
    /// What it calls itself; nobody has checked that.
    pub name: String,
    /// Where it may have people sent back to.
    pub redirect_uris: Vec<RedirectUri>,
    /// How it proves who it is.
    pub authentication: ClientAuthentication,
    /// Where it is known from.
    pub kind: ClientKind,
}

/// Why a redirect URI cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RedirectProblem {
    /// There is none.
    #[error("the client did not say where to send the answer (redirect_uri)")]
    Missing,
    /// It is not among the registered ones.
    #[error("the client has not registered the redirect_uri that it asks for")]
    NotRegistered,
}

impl Client {
    /// Where to send the answer.
    pub fn redirect(&self, asked: Option<&str>) -> Result<RedirectTarget, RedirectProblem> {
        let asked = asked.ok_or(RedirectProblem::Missing)?;
        self.redirect_uris.iter().find_map(|uri| uri.target(asked)).ok_or(RedirectProblem::NotRegistered)
    }
}

/// What a client shows at the token endpoint to prove who it is.
#[derive(Clone, Debug)]
pub enum PresentedClient {
    /// Nothing.
    Nothing,
    /// A signed statement (RFC 7523).
    Assertion {
        /// `client_assertion_type`.
        kind: String,
        /// `client_assertion`.
        assertion: SecretString,
    },
}

/// Where a client's failing goes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientErrorCode {
    /// 401.
    InvalidClient,
    /// 400.
    InvalidRequest,
    /// 503.
    TemporarilyUnavailable,
    /// 500.
    ServerError,
}

/// Why a client is not let on.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is known by this id.
    #[error("no client is known by this client_id")]
    Unknown,
    /// It registered itself, too long ago, or was deleted since.
    #[error("the registration of this client has ended")]
    Ended,
    /// The list of deleted clients cannot be read.
    #[error("the database is away")]
    Store(#[from] StoreError),
}

impl ClientError {
    /// What to answer.
    pub fn code(&self) -> ClientErrorCode {
        match self {
            Self::Unknown | Self::Ended => ClientErrorCode::InvalidClient,
            Self::Store(StoreError::Unavailable(_)) => ClientErrorCode::TemporarilyUnavailable,
            Self::Store(_) => ClientErrorCode::ServerError,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unknown | Self::Ended => "Remove this gateway from the client and add it again.",
            Self::Store(_) => "Try again in a minute.",
        }
    }
}

/// Why a registration is refused (RFC 7591 section 3.2.2).
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// A redirect URI that is not taken, or none.
    #[error("the redirect_uris are missing, too many, or one of them is not taken here")]
    RedirectUris,
    /// Something else.
    #[error("the client metadata is not what RFC 7591 says")]
    Metadata,
    /// A fault of ours.
    #[error("the registration could not be sealed")]
    Crypto(#[from] CryptoError),
}

impl From<BadRedirectUri> for RegistrationError {
    fn from(_: BadRedirectUri) -> Self {
        Self::RedirectUris
    }
}

impl RegistrationError {
    /// The code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RedirectUris => "invalid_redirect_uri",
            Self::Metadata => "invalid_client_metadata",
            Self::Crypto(_) => "server_error",
        }
    }
}

/// The answer to a registration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registered(pub Value);

#[derive(Serialize, Deserialize)]
struct Record {
    name: String,
    redirect_uris: Vec<String>,
    issued_at: DateTime<Utc>,
    /// Makes two registrations two clients.
    nonce: u64,
}

/// Every client. Cheap to clone.
#[derive(Clone)]
pub struct Clients(Arc<Inner>);

struct Inner {
    predefined: Vec<Client>,
    schemes: Vec<String>,
    life: TimeDelta,
    ring: Arc<KeyRing>,
    store: Store,
    clock: SharedClock,
}

impl Clients {
    /// `own_id` is the operator's `OWNERREZ_CLIENT_ID`: clients that were set up with it go on.
    pub fn new(settings: &OAuthClients, own_id: &str, ring: Arc<KeyRing>, store: Store, clock: SharedClock) -> Self {
        let client = |id: &str, name: &str, redirect_uris: &[RedirectUri]| Client {
            id: ClientId(id.into()),
            name: name.to_owned(),
            redirect_uris: redirect_uris.to_vec(),
            authentication: ClientAuthentication::None,
            kind: ClientKind::Predefined,
        };
        let own = client(own_id, "a client of this gateway's operator", &settings.known_redirect_uris);
        let theirs = settings.predefined.iter().filter(|theirs| theirs.jwks_uri.is_none());
        let theirs = theirs.map(|theirs| client(&theirs.id, &theirs.name, &theirs.redirect_uris));
        Self(Arc::new(Inner {
            predefined: std::iter::once(own).chain(theirs).collect(),
            schemes: settings.redirect_schemes.clone(),
            life: TimeDelta::days(i64::from(settings.registration_days)),
            ring,
            store,
            clock,
        }))
    }

    /// The client with this id.
    pub async fn find(&self, client_id: &str) -> Result<Client, ClientError> {
        let inner = &self.0;
        if let Some(known) = inner.predefined.iter().find(|client| &*client.id.0 == client_id) {
            return Ok(known.clone());
        }
        let sealed = Sealed(client_id.to_owned());
        let opened = inner.ring.open(SealedFor::ClientId, &sealed).map_err(|_| ClientError::Unknown)?;
        let record: Record = serde_json::from_str(opened.expose_secret()).map_err(|_| ClientError::Unknown)?;
        if record.issued_at + inner.life <= inner.clock.now()
            || inner.store.is_client_forgotten(&digest_hex(client_id)).await?
        {
            return Err(ClientError::Ended);
        }
        let uris = record.redirect_uris.iter().filter_map(|uri| RedirectUri::new(uri, &inner.schemes).ok());
        Ok(Client {
            id: ClientId(client_id.into()),
            name: record.name,
            redirect_uris: uris.collect(),
            authentication: ClientAuthentication::None,
            kind: ClientKind::Registered,
        })
    }

    /// Whether the client is who it says: public clients have nothing to show.
    pub async fn authenticate(&self, client: &Client, _: &PresentedClient, _: &[String]) -> Result<(), ClientError> {
        match client.authentication {
            ClientAuthentication::None => Ok(()),
        }
    }

    /// Registers a client: its id is what it registered, sealed.
    pub fn register(&self, metadata: &Value) -> Result<Registered, RegistrationError> {
        let inner = &self.0;
        let asked = metadata.get("redirect_uris").and_then(Value::as_array).ok_or(RegistrationError::RedirectUris)?;
        if asked.is_empty() || asked.len() > 10 {
            return Err(RegistrationError::RedirectUris);
        }
        let mut redirect_uris = Vec::new();
        for uri in asked {
            let uri = RedirectUri::new(uri.as_str().unwrap_or_default(), &inner.schemes)?;
            redirect_uris.push(uri.as_str().to_owned());
        }
        let name = metadata.get("client_name").and_then(Value::as_str).unwrap_or("a client without a name");
        let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
        let now = inner.clock.now();
        let record = Record {
            name: name.clone(),
            redirect_uris: redirect_uris.clone(),
            issued_at: now,
            nonce: fastrand::u64(..),
        };
        let text = serde_json::to_string(&record).map_err(|_| RegistrationError::Metadata)?;
        let sealed = inner.ring.seal(SealedFor::ClientId, &text.into())?;
        Ok(Registered(json!({
            "client_id": sealed.0,
            "client_id_issued_at": now.timestamp(),
            "client_name": name,
            "redirect_uris": redirect_uris,
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        })))
    }
}
