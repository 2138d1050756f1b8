//! A simulated OwnerRez: accurate enough that a client written against it works with the real one.
//!
//! It serves both hosts of the real service from one address on this machine: the API (`/v2/…`, the token endpoint)
//! and the pages where an account approves an application (`/oauth/authorize`). Its data are generated from a seed and
//! kept in memory. Tests control it through `Controls`, and test drivers in other languages through `/_control`.
//!
//! From the bottom up: `window` (the rate limit), `clock`, `timestamp`, `reply`, `credentials` and `call` (responses
//! and requests), `tokens` (grants), `argument`, `value_kind` and `description` (the API as `api.json` describes it),
//! `operations`, `arguments`, `records`, `selection`, `span` and `view` (the engine that runs the operations from data),
//! `calendar`, `bookings`, `quotes`, `guests`, `messages`, `labels`, `spot_rates`, `patches` (behaviour that data cannot
//! express), `writes` (selects among them for a write), `places` and `seed` (the generated portfolios), `variations`
//! (differences between accounts), `switches` (settings), `script` and `rule_limits` (disturbances), `webhooks` (events
//! sent to clients), `demo_account`, `request_record` and `state` (all of it behind one lock), `notices` and `sender`
//! (create and send webhooks), `api`, `authorization_request`, `oauth` and `pages` (the served endpoints), `control`,
//! `control_webhooks`, `control_http` (control by tests), `serve` (the processing of one request). docs/SIMULATOR.md is
//! its manual.

mod api;
mod argument;
mod arguments;
mod authorization_request;
mod bookings;
mod calendar;
mod call;
mod clock;
mod control;
mod control_http;
mod control_webhooks;
mod credentials;
mod demo_account;
mod description;
mod guests;
mod labels;
mod messages;
mod notices;
mod oauth;
mod operations;
mod pages;
mod patches;
mod places;
mod quotes;
mod records;
mod reply;
mod request_record;
mod rule_limits;
mod script;
mod seed;
mod selection;
mod sender;
mod serve;
mod span;
mod spot_rates;
mod state;
mod switches;
mod timestamp;
mod tokens;
mod value_kind;
mod variations;
mod view;
mod webhooks;
pub mod window;
mod writes;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use actix_web::{App, HttpServer, dev::ServerHandle, rt::System, web};
use secrecy::SecretString;
use tokio::sync::{oneshot, watch};

use self::{
    clock::ShiftedClock,
    operations::Operations,
    state::{Beginning, Shared, State},
    variations::Table,
    webhooks::Service,
};
pub use self::{
    control::Controls,
    credentials::Credentials,
    demo_account::DemoAccount,
    request_record::RequestRecord,
    script::{Held, Pattern, Rule, ScriptedAnswer},
    seed::Portfolio,
    switches::Switches,
    variations::{UnknownVariation, Variation, Variations},
    webhooks::{
        Delivery, DeliveryAttempt, DeliveryOutcome, DeliveryState, WebhookAction, WebhookApp, WebhookFault, WebhookRule,
    },
};
use crate::domain::{Clock, SharedClock};

/// The size of the largest accepted request body.
const LARGEST_BODY: usize = 1024 * 1024;

/// The options of a simulator.
pub struct SimulatorOptions {
    /// Port on 127.0.0.1; 0 selects a free one.
    pub port: u16,
    /// The same seed gives the same data on the same day.
    pub seed: u64,
    /// The source of the time.
    pub clock: SharedClock,
    /// The client id of the application that may request access.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// The number of requests served per source address in any five minutes.
    pub request_limit: u32,
    /// The other settings at start; `request_limit` above overrides the one in it.
    pub switches: Switches,
    /// The size of the first demo account, if it is not the default.
    pub portfolio: Option<Portfolio>,
    /// The variations of every demo account, if they are not those of `variations.json`.
    pub variations: Option<Variations>,
}

impl SimulatorOptions {
    /// Returns options with a free port, the application `c_sandbox` with the secret `s_sandbox`, and OwnerRez's own
    /// limit.
    pub fn new(clock: SharedClock) -> Self {
        let switches = Switches::default();
        SimulatorOptions {
            port: 0,
            seed: 20_261_123,
            clock,
            client_id: "c_sandbox".to_owned(),
            client_secret: "s_sandbox".into(),
            request_limit: switches.request_limit,
            switches,
            portfolio: None,
            variations: None,
        }
    }
}

/// A running simulator. Clones control the same server; it stops when the last one is dropped.
#[derive(Clone)]
pub struct Simulator {
    server: Arc<Server>,
    controls: Controls,
}

struct Server {
    address: SocketAddr,
    handle: ServerHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The stop command is sent when the future is created; waiting for its end is not possible here.
        drop(self.handle.stop(false));
    }
}

impl Simulator {
    /// Starts serving on 127.0.0.1, on its own thread: the simulator does not depend on the caller's runtime.
    pub async fn start(options: SimulatorOptions) -> io::Result<Self> {
        let SimulatorOptions { port, seed, clock, client_id, client_secret, request_limit, .. } = options;
        let clock = ShiftedClock::new(clock);
        let beginning = Beginning {
            seed,
            switches: Switches { request_limit, ..options.switches },
            portfolio: options.portfolio,
            variations: options.variations,
        };
        let table = Table::load()?;
        let controls = Controls(Arc::new(Shared {
            state: Mutex::new(State::new(&beginning, &table, clock.now())),
            operations: Operations::load()?,
            variations: table,
            clock,
            client_id,
            client_secret,
            beginning,
            logged: watch::Sender::new(()),
            webhooks: Service::load()?,
        }));
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let address = listener.local_addr()?;
        let (started, handle) = oneshot::channel();
        let served = controls.clone();
        thread::Builder::new().name("simulated-ownerrez".to_owned()).spawn(move || {
            System::new().block_on(run(listener, served, started));
        })?;
        let handle = handle.await.map_err(|_| io::Error::other("the simulator's thread ended early"))??;
        Ok(Simulator { server: Arc::new(Server { address, handle }), controls })
    }

    /// Returns the origin of both simulated hosts, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Returns the handle that controls it.
    pub fn controls(&self) -> &Controls {
        &self.controls
    }

    /// Stops serving; a graceful stop lets requests in flight finish for up to a second.
    pub async fn stop(&self, graceful: bool) {
        self.server.handle.stop(graceful).await;
    }
}

async fn run(listener: TcpListener, controls: Controls, started: oneshot::Sender<io::Result<ServerHandle>>) {
    actix_web::rt::spawn(sender::run(controls.0.clone()));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(controls.clone()))
            .app_data(web::PayloadConfig::new(LARGEST_BODY))
            .default_service(web::to(serve::serve))
    })
    .workers(1)
    // Longer than the gateway keeps idle connections: the side that closes one may lose a request that is being sent.
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener);
    match server {
        Ok(server) => {
            let server = server.run();
            // Without a receiver the caller was cancelled; the server is then stopped.
            if started.send(Ok(server.handle())).is_err() {
                drop(server.handle().stop(false));
            }
            if let Err(error) = server.await {
                log::error!("the simulated OwnerRez stopped: {error}");
            }
        }
        Err(error) => drop(started.send(Err(error))),
    }
}

#[cfg(test)]
mod tests;
