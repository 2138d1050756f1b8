//! Clients of the authorization server, tested at the module: other tests cover its endpoints.

mod documents;
mod predefined;
mod registering;
mod rough_answers;
pub(crate) mod signer;
mod signing;

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use ownerrez_gateway::{
    config::{Config, Sources},
    crypto::KeyRing,
    domain::{Clock, RedirectDestination},
    metrics::Metrics,
    oauth::clients::{Client, ClientError, ClientErrorCode, Clients, EgressPolicy},
    store::{DatabaseTarget, Store},
};
use secrecy::SecretBox;
use url::Url;

use crate::world::{ManualClock, Publisher, TestDatabase};

/// The clients of one process.
struct ClientsFixture {
    clients: Clients,
    clock: Arc<ManualClock>,
    store: Store,
    metrics: Arc<Metrics>,
}

/// Settings that a test overrides.
struct FixtureSettings {
    key: u8,
    previous: Option<u8>,
    egress: EgressPolicy,
    clock: Arc<ManualClock>,
    tune: fn(&mut Config),
}

impl Default for FixtureSettings {
    fn default() -> Self {
        Self { key: 1, previous: None, egress: EgressPolicy::internet(), clock: ManualClock::new(), tune: |_| {} }
    }
}

impl ClientsFixture {
    async fn open(database: &TestDatabase) -> Self {
        Self::open_with(database, FixtureSettings::default()).await
    }

    /// Opens clients that can reach only this server.
    async fn before(database: &TestDatabase, publisher: &Publisher) -> Self {
        Self::open_with(database, FixtureSettings { egress: publisher.egress(), ..FixtureSettings::default() }).await
    }

    async fn open_with(database: &TestDatabase, settings: FixtureSettings) -> Self {
        let FixtureSettings { key, previous, egress, clock, tune } = settings;
        let url = database.url();
        let target = match url.strip_prefix("sqlite://") {
            Some(path) => DatabaseTarget::Sqlite { path: path.into() },
            None => DatabaseTarget::Postgres { url: url.into(), direct_url: None, max_connections: 2 },
        };
        let store = Store::connect(&target).await.unwrap();
        store.migrate_up().await.unwrap();
        let mut config = Config::load(Sources { file: None, environment: HashMap::new() }).unwrap();
        tune(&mut config);
        let mut ring = KeyRing::new(&SecretBox::new(Box::new([key; 32]))).unwrap();
        if let Some(previous) = previous {
            ring = ring.with_previous(&SecretBox::new(Box::new([previous; 32]))).unwrap();
        }
        let metrics = Arc::new(Metrics::new());
        let own = Url::parse("https://gateway.example/").unwrap();
        let (ring, told) = (Arc::new(ring), metrics.clone());
        let clients = Clients::new(&config, &own, ring, store.clone(), clock.clone(), told, egress);
        Self { clients, clock, store, metrics }
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    async fn refusal(&self, client_id: &str) -> ClientError {
        match self.clients.find(client_id).await {
            Ok(client) => panic!("{client_id} is {}", client.name),
            Err(error) => error,
        }
    }

    /// Returns the error code of `find` at the token endpoint.
    async fn refused_as(&self, client_id: &str) -> ClientErrorCode {
        self.refusal(client_id).await.code()
    }
}

/// Returns the destination of a redirect URI, if the client may use it.
fn place(client: &Client, asked: &str) -> Option<RedirectDestination> {
    client.redirect(Some(asked)).ok().map(|target| {
        assert_eq!(target.uri, asked);
        target.place
    })
}
