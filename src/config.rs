//! Settings: the only reader of configuration files and of the environment. `config/default.toml` says what each
//! setting means; `settings` holds their names; here is what the rest of the program sees once all of them are good.

mod address;
mod clients;
mod database;
mod encryption;
mod errors;
mod layers;
mod network;
mod sections;
mod settings;
#[cfg(test)]
mod tests;
mod transport;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use secrecy::SecretString;
use url::Url;

pub use address::{CALLBACK_PATH, PREDECESSOR_CALLBACK_PATH};
pub use clients::{OAuthClients, PredefinedClient};
pub use database::Database;
pub use encryption::{EncryptionKey, GivenKey, KeyFileError};
pub use errors::{ConfigError, ConfigErrors, Origin};
pub use network::Network;

/// Where the settings come from, beside the built-in defaults. Not `Debug`: it holds secrets.
#[derive(Clone, Default)]
pub struct Sources {
    /// A TOML file; its settings override the defaults.
    pub file: Option<PathBuf>,
    /// Variables; they override the file. Names that are no setting's are ignored, but for other spellings of those of tools.
    pub environment: HashMap<String, String>,
}

impl Sources {
    /// The sources of a real process: the file, if one was named, and the process's environment.
    pub fn from_process(file: Option<PathBuf>) -> Self {
        let known = |name: &str| settings::SETTINGS.iter().any(|setting| setting.env == Some(name));
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            // A value that is not UTF-8 is kept, bent, so that it is refused rather than overlooked.
            let counts = known(&name) || settings::misspelt_variable(&name).is_some();
            counts.then(|| (name, value.to_string_lossy().into_owned()))
        });
        Self { file, environment: variables.collect() }
    }
}

/// Every setting, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The HTTP side.
    pub server: Server,
    /// Where rows are kept.
    pub database: Database,
    /// The most connections held to the database at once.
    pub database_pool_size: u32,
    /// What seals the tokens.
    pub encryption: EncryptionKey,
    /// What sealed them before: opens, and seals nothing.
    pub previous_keys: Vec<GivenKey>,
    /// The other side.
    pub ownerrez: OwnerRez,
    /// The users' sessions.
    pub sessions: Sessions,
    /// API keys.
    pub keys: Keys,
    /// Links for connecting an account.
    pub connect: Connect,
    /// Who may become a user, and who stays one.
    pub registration: Registration,
    /// OAuth clients that are known beforehand, and what others may ask for.
    pub oauth_clients: OAuthClients,
    /// What clients get that people sign in to.
    pub oauth: OAuth,
    /// Whom this process serves, and how.
    pub transport: Transport,
    /// The tools that the one client of `stdio` sees.
    pub tools: ChosenTools,
    /// What the log looks like.
    pub log_format: LogFormat,
    /// Who may see the figures.
    pub metrics: Metrics,
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// All mistakes at once, each with its remedy.
    pub fn load(sources: Sources) -> Result<Self, ConfigErrors> {
        sections::read(sources).map_err(ConfigErrors)
    }

    /// Reads what can be read, for the command that checks everything at once.
    pub fn survey(sources: Sources) -> Survey {
        sections::survey(sources)
    }

    /// The redirect URI to give OwnerRez: the one that was set, or the callback below the public address.
    pub fn redirect_uri(&self, bound_port: u16) -> Url {
        self.ownerrez.redirect_uri.clone().unwrap_or_else(|| {
            let mut url = self.server.public_url(bound_port);
            url.set_path(CALLBACK_PATH);
            url
        })
    }
}

/// What could be read although other settings may be wrong. A part whose own setting is wrong is missing.
#[derive(Debug)]
pub struct Survey {
    /// Where rows are kept.
    pub database: Option<Database>,
    /// What seals the tokens.
    pub encryption: Option<EncryptionKey>,
    /// What sealed them before.
    pub previous_keys: Vec<GivenKey>,
    /// The other side.
    pub ownerrez: Option<OwnerRez>,
    /// Every mistake.
    pub errors: Vec<ConfigError>,
}

/// How the gateway is reached.
#[derive(Clone, Debug)]
pub struct Server {
    /// The address to listen on. What loopback permits hangs on this, never on `url`.
    pub bind: IpAddr,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// The public address, its path "/"; `None` only where `bind` is loopback. See [`Server::public_url`].
    pub url: Option<Url>,
    /// The names for the Host header, where the operator listed them. See [`Server::hosts`].
    pub allowed_hosts: Option<Vec<String>>,
    /// Foreign origins that may call. See [`Server::origins`].
    pub allowed_origins: Vec<String>,
    /// Who is believed about the addresses of others.
    pub trusted_proxies: Vec<Network>,
    /// How people reach the operator, as pages show it.
    pub contact: Option<String>,
    /// The largest message to `/mcp` in bytes.
    pub max_body_bytes: usize,
    /// The bytes of all request bodies that are being received.
    pub max_body_bytes_under_way: usize,
    /// How long a client may take to send a request head.
    pub header_timeout_seconds: u32,
    /// How long a client may take to send a request body.
    pub body_timeout_seconds: u32,
    /// How long a client may accept nothing of an answer.
    pub send_timeout_seconds: u32,
    /// Open connections at once.
    pub max_connections: usize,
    /// Of these from one source: an IPv4 address or an IPv6 /64.
    pub max_connections_per_source: usize,
    /// Requests from one source that have not sent their whole body, without a verified credential.
    pub max_unfinished_requests_per_source: usize,
    /// Messages to `/mcp` of more than 16 KiB that one user may send in a minute.
    pub large_requests_per_minute: u32,
    /// How long a stop waits for calls in flight.
    pub shutdown_seconds: u32,
    /// Threads that serve requests and run the sessions; at least one.
    pub workers: usize,
}

impl Server {
    /// Whether only this machine can reach the gateway: the one condition for every privilege of loopback.
    pub fn is_loopback_only(&self) -> bool {
        address::is_loopback_address(self.bind)
    }

    /// The address that people and OwnerRez use, its path "/". `bound_port` is the port really listened on.
    pub fn public_url(&self, bound_port: u16) -> Url {
        self.url.clone().unwrap_or_else(|| {
            #[expect(clippy::expect_used, reason = "http:// and a socket address always make a URL")]
            Url::parse(&format!("http://{}", SocketAddr::new(self.bind, bound_port))).expect("a URL")
        })
    }

    /// Every name that a Host header may bear, each with a port or for any port; never empty.
    pub fn hosts(&self) -> Vec<String> {
        self.allowed_hosts.clone().unwrap_or_else(|| {
            let own = self.url.as_ref().and_then(Url::host_str).map(str::to_owned);
            let bound = self.is_loopback_only().then(|| host_of(self.bind));
            let loopback = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
            let mut hosts: Vec<String> = own.into_iter().chain(bound).chain(loopback).collect();
            hosts.sort();
            hosts.dedup();
            hosts
        })
    }

    /// Every value that an Origin header may have; never empty.
    pub fn origins(&self, bound_port: u16) -> Vec<String> {
        let own = self.public_url(bound_port).origin().ascii_serialization();
        std::iter::once(own).chain(self.allowed_origins.iter().cloned()).collect()
    }
}

fn host_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// OwnerRez, and what it granted the operator.
#[derive(Clone, Debug)]
pub struct OwnerRez {
    /// Where the API answers, its path "/".
    pub api_url: Url,
    /// Where the consent page is, its path "/".
    pub app_url: Url,
    /// The operator's OAuth app. Without it accounts cannot be connected through OAuth.
    pub client: Option<ClientCredentials>,
    /// What OwnerRez's notices bear, `user:password`; without it none are taken.
    pub webhook: Option<SecretString>,
    /// The redirect URI, if it was spelled out. See [`Config::redirect_uri`].
    pub redirect_uri: Option<Url>,
    /// The predecessor's redirect URI, if that was given: it is not used. Accounts that are connected stay so; for new
    /// ones the operator has to register ours with the OAuth app.
    pub unused_redirect_uri: Option<Url>,
    /// Whether the code exchange repeats the redirect URI.
    pub send_redirect_uri: bool,
    /// Requests that this process may send in any 5 minutes.
    pub request_limit: u32,
    /// Whether that is a share, so that other processes may spend beside this one.
    pub shared: bool,
}

/// The id and secret of an OAuth app.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// Public; it stands in every authorize URL.
    pub id: String,
    /// Sent to OwnerRez only.
    pub secret: SecretString,
}

/// Bounds on the users' sessions.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// How long a call may take in all.
    pub call_deadline_seconds: u32,
    /// How many calls of one user may wait.
    pub queue_depth: usize,
    /// How long connecting to OwnerRez may take.
    pub connect_timeout_seconds: u32,
    /// How long one request to OwnerRez may take, its body included.
    pub upstream_timeout_seconds: u32,
    /// The largest answer accepted from OwnerRez.
    pub answer_limit_bytes: usize,
    /// How much of OwnerRez's answers is remembered, by all sessions together.
    pub recent_answers_bytes: usize,
    /// When a session without calls is dropped.
    pub idle_seconds: u32,
    /// How often tokens are looked through for renewal.
    pub renewal_sweep_seconds: u32,
}

/// How API keys are checked.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The cost of one hash.
    pub bcrypt_cost: u32,
    /// How many hashes run at the same time.
    pub bcrypt_parallel: usize,
    /// How many verified keys are remembered.
    pub cache_entries: usize,
    /// Failures after which an address has to wait.
    pub failures_per_address: u32,
    /// The same at one lookup id.
    pub failures_per_lookup_id: u32,
    /// For how long a failure counts.
    pub failure_minutes: u32,
}

/// Who may become a user, and who stays one.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Who may.
    pub mode: RegistrationMode,
    /// How many from one address in an hour.
    pub per_hour_and_address: u32,
    /// After how many days without a connection a user is removed; 0 for never.
    pub unconnected_days: u32,
}

/// Who may register.
#[derive(Clone, Debug)]
pub enum RegistrationMode {
    /// Everybody.
    Open,
    /// Who has this token.
    Token(SecretString),
    /// Nobody.
    Closed,
}

/// What clients get that people sign in to.
#[derive(Clone, Debug)]
pub struct OAuth {
    /// How many may register from one address in an hour.
    pub registrations_per_hour_and_address: u32,
    /// How long an access token is good.
    pub access_token_minutes: u32,
    /// How long a refresh token is good.
    pub refresh_token_days: u32,
}

/// Bounds on links for connecting an account.
#[derive(Clone, Debug)]
pub struct Connect {
    /// How long a link stays open.
    pub link_minutes: u32,
    /// Whether accounts may be connected by personal access tokens where the gateway is not loopback only.
    pub personal_tokens: bool,
    /// How many links a user may have open.
    pub open_links_per_user: usize,
}

/// Whom a process serves.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Many users, over HTTP.
    Http,
    /// The programs of this machine's one person, over HTTP and without a key, with one OwnerRez account.
    SingleUser {
        /// The account.
        account: OwnAccount,
        /// What they must show besides; at least 16 characters.
        token: Option<SecretString>,
    },
    /// The client that started it, over standard input and output, with one OwnerRez account.
    OwnAccount(OwnAccount),
    /// The same client, by handing everything on to a gateway.
    Remote {
        /// The gateway's address, its path "/".
        url: Url,
        /// An API key of that gateway.
        api_key: SecretString,
    },
}

/// What opens the one account.
#[derive(Clone, Debug)]
pub enum OwnAccount {
    /// An access token of an OAuth app.
    Bearer(SecretString),
    /// A personal access token.
    Basic {
        /// The e-mail address of its owner.
        email: String,
        /// The token.
        token: SecretString,
    },
}

/// The tools that one client sees, by their names. Whether these are names is for those to say who know the tools.
#[derive(Clone, Debug, Default)]
pub struct ChosenTools {
    /// Toolsets.
    pub toolsets: Vec<String>,
    /// Single tools.
    pub tools: Vec<String>,
    /// Tools to leave out.
    pub excluded: Vec<String>,
    /// Whether only what reads is wanted.
    pub read_only: bool,
    /// Whether what needs consent takes two steps instead of a question to the person. Not set: as the API key says.
    pub two_steps: Option<bool>,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

/// Where the figures are shown, and to whom. With neither they are not shown.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// A listener of their own.
    pub bind: Option<SocketAddr>,
    /// Asked for wherever they are shown.
    pub token: Option<SecretString>,
}
