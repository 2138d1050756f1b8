//! The test harness: a gateway with its database, clock and OwnerRez; users with keys and browsers.

mod app;
mod browser;
mod clock;
mod database;
mod person;
mod publisher;
mod raw_http_proxy;
mod response_framing;
mod wire;

use std::{collections::HashMap, sync::Arc};

use ownerrez_gateway::{
    app::App,
    config::{Config, Sources},
    domain::{AccountId, Clock},
    oauth::clients::EgressPolicy,
    simulator::{Controls, Simulator, SimulatorOptions},
};
use serde_json::{Value, json};

pub(crate) use self::{
    app::{ClientApp, Landing},
    browser::{Browser, Page},
    clock::ManualClock,
    database::{TestDatabase, on_each_database, on_postgres},
    person::{Answer, Person, Reply},
    publisher::{Published, Publisher},
    raw_http_proxy::RawHttpProxy,
    response_framing::ResponseFraming,
    wire::{Wire, WireReply},
};

/// A gateway under test. Several may share a database, a clock and an OwnerRez.
pub(crate) struct Gateway {
    app: App,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) simulator: Simulator,
    pub(crate) url: String,
    settings: HashMap<String, String>,
    tune: fn(&mut Config),
    egress: EgressPolicy,
}

/// Settings that a test overrides, by their environment names or in the validated configuration.
pub(crate) struct Settings {
    environment: HashMap<String, String>,
    tune: fn(&mut Config),
    egress: EgressPolicy,
}

impl Default for Settings {
    fn default() -> Self {
        Self { environment: HashMap::new(), tune: |_| {}, egress: EgressPolicy::internet() }
    }
}

impl Settings {
    /// Sets one by its environment name; an empty value unsets it.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Changes the configuration where no environment variable does.
    pub(crate) fn tune(mut self, tune: fn(&mut Config)) -> Self {
        self.tune = tune;
        self
    }

    /// Sets the outside network in which OAuth clients publish their documents.
    pub(crate) fn with_egress(mut self, egress: EgressPolicy) -> Self {
        self.egress = egress;
        self
    }
}

impl Gateway {
    /// Starts a gateway on a free port, with a migrated database and a separate OwnerRez.
    pub(crate) async fn start(database: &TestDatabase) -> Self {
        Self::start_with(database, Settings::default()).await
    }

    /// Does the same with other settings.
    pub(crate) async fn start_with(database: &TestDatabase, settings: Settings) -> Self {
        let clock = ManualClock::new();
        let mut options = SimulatorOptions::new(clock.clone());
        if let Some(limit) = settings.environment.get("UPSTREAM_LIMIT") {
            options.request_limit = limit.parse().unwrap();
        }
        let simulator = Simulator::start(options).await.unwrap();
        let mut all = HashMap::from([
            ("PORT", "0".to_owned()),
            ("DATABASE_URL", database.url()),
            ("ENCRYPTION_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned()),
            ("OWNERREZ_API_URL", simulator.url()),
            ("OWNERREZ_APP_URL", simulator.url()),
            ("OWNERREZ_CLIENT_ID", "c_sandbox".to_owned()),
            ("OWNERREZ_CLIENT_SECRET", "s_sandbox".to_owned()),
        ])
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<HashMap<_, _>>();
        all.extend(settings.environment);
        Self::launch(all, settings.tune, settings.egress, clock, simulator).await
    }

    /// Starts another process with the same database, clock and OwnerRez.
    pub(crate) async fn start_another(&self, settings: Settings) -> Self {
        let mut all = self.settings.clone();
        all.extend(settings.environment);
        Self::launch(all, settings.tune, settings.egress, self.clock.clone(), self.simulator.clone()).await
    }

    /// Stops this process and starts another one in its place.
    pub(crate) async fn restart(self) -> Self {
        let (settings, tune, egress) = (self.settings.clone(), self.tune, self.egress.clone());
        let (clock, simulator) = (self.clock.clone(), self.simulator.clone());
        self.stop().await;
        Self::launch(settings, tune, egress, clock, simulator).await
    }

    /// Does the same with some settings changed.
    pub(crate) async fn restart_with(self, settings: Settings) -> Self {
        let mut all = self.settings.clone();
        all.extend(settings.environment);
        let (tune, egress) = (self.tune, self.egress.clone());
        let (clock, simulator) = (self.clock.clone(), self.simulator.clone());
        self.stop().await;
        Self::launch(all, tune, egress, clock, simulator).await
    }

    /// Returns its settings, as an operator's command finds them in the environment.
    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    async fn launch(
        settings: HashMap<String, String>,
        tune: fn(&mut Config),
        egress: EgressPolicy,
        clock: Arc<ManualClock>,
        simulator: Simulator,
    ) -> Self {
        let mut config = Config::load(Sources { file: None, environment: settings.clone() }).unwrap();
        // A low bcrypt cost: the tests register many users.
        config.keys.bcrypt_cost = 4;
        config.server.shutdown_seconds = 1;
        // Tests count requests, so responses are not cached.
        config.sessions.recent_answers_bytes = 0;
        // All tests connect from one address.
        config.registration.per_hour_and_address = 1_000_000;
        config.keys.failures_per_address = 1_000_000;
        config.keys.failures_per_lookup_id = 1_000_000;
        // Some tests send odd values of many sizes.
        config.server.large_requests_per_minute = 1_000_000;
        tune(&mut config);
        let app = App::build_with_egress(&config, clock.clone(), egress.clone()).await.unwrap();
        let url = app.url().as_str().trim_end_matches('/').to_owned();
        Self { app, clock, simulator, url, settings, tune, egress }
    }

    /// Stops the process cleanly.
    pub(crate) async fn stop(self) {
        self.app.stop().await.expect("no tokens are lost");
    }

    /// Returns the process itself.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// Returns the controls of its OwnerRez.
    pub(crate) fn ownerrez(&self) -> &Controls {
        self.simulator.controls()
    }

    /// Registers a user with a key.
    pub(crate) async fn user(&self, name: &str) -> Person {
        self.user_at(name, &self.url).await
    }

    /// Does the same through an address other than the public one.
    pub(crate) async fn user_at(&self, name: &str, url: &str) -> Person {
        let visitor = Person::visitor(url);
        let reply = visitor.post("/api/users/register", &json!({"name": name})).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        visitor.with_key(reply.body["api_key"].as_str().unwrap(), reply.body["user_id"].as_str().unwrap())
    }

    /// Registers a user and connects a new OwnerRez account with the same name.
    pub(crate) async fn connected_user(&self, name: &str) -> Person {
        let person = self.user(name).await;
        let account = self.ownerrez().add_account(name).id;
        person.connect(self, account).await
    }

    /// After an outage of its database: waits until this process has noticed that it lost its lock, and has acquired it
    /// again. The test must have advanced the clock by more than five seconds, because the lock is checked at that
    /// interval.
    pub(crate) async fn regains_its_share(&self) {
        let active = async || self.app.sessions().observe_allowance().await.is_some_and(|stats| stats.active);
        eventually("the loss of the share is noticed", async || (!active().await).then_some(())).await;
        eventually("the share is taken again", async || {
            // After the loss of the lock, the process checks every second.
            if self.clock.sleepers_within(chrono::TimeDelta::seconds(1)) > 0 {
                self.advance(chrono::TimeDelta::seconds(1));
            }
            active().await.then_some(())
        })
        .await;
    }

    /// Advances the clock. Work that becomes due runs on other threads: wait for its effect, not for a time.
    pub(crate) fn advance(&self, by: chrono::TimeDelta) {
        self.clock.advance(by);
    }

    /// Returns the current time.
    pub(crate) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.clock.now()
    }
}

impl Person {
    /// Goes through the complete browser flow.
    pub(crate) async fn connect(mut self, gateway: &Gateway, account: AccountId) -> Self {
        let mut browser = Browser::new();
        let page = self.connect_in(&mut browser, gateway, account).await;
        assert_eq!(page.status, 200, "{}", page.body);
        self.account = Some(account);
        self
    }

    /// Does the same in a given browser; returns the last page.
    pub(crate) async fn connect_in(&self, browser: &mut Browser, gateway: &Gateway, account: AccountId) -> Page {
        let started = self.get("/api/connect/ownerrez/start").await;
        assert_eq!(started.status, 200, "{}", started.body);
        let link = started.body["authorization_url"].as_str().unwrap().to_owned();
        let to_ownerrez = browser.give_key(&link, &self.key).await;
        assert_eq!(to_ownerrez.status, 303, "{}", to_ownerrez.body);
        let back = gateway.ownerrez().approve(&to_ownerrez.location(), account).expect("the simulated consent page");
        browser.open(&back).await
    }
}

/// Waits for an effect of other threads. Polls without sleeping, and gives up after ten seconds of real time, because a
/// test must end.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = std::time::Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed().as_secs() < 10, "waited in vain: {what}");
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
}

/// Returns a JSON-RPC request.
pub(crate) fn rpc(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}
