//! Settings: the only reader of configuration files and of the environment. `config/default.toml` documents each
//! setting; `settings` contains their names. This module defines the validated result that the rest of the program
//! uses.

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
pub use encryption::{ConfiguredKey, EncryptionKey, KeyFileError};
pub use errors::{ConfigError, ConfigErrors, ValueSource};
pub use network::Network;

/// The sources of the settings, in addition to the built-in defaults. Not `Debug`: it contains secrets.
#[derive(Clone, Default)]
pub struct Sources {
    /// A TOML file; its settings override the defaults.
    pub file: Option<PathBuf>,
    /// Environment variables; they override the file. Unknown names are ignored, except misspelt names of the tool
    /// settings.
    pub environment: HashMap<String, String>,
}

impl Sources {
    /// Returns the sources of a real process: the file, if one was named, and the process's environment.
    pub fn from_process(file: Option<PathBuf>) -> Self {
        let known = |name: &str| settings::SETTINGS.iter().any(|setting| setting.env == Some(name));
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            // A value that is not UTF-8 is converted lossily and kept, so that it is rejected and not overlooked.
            let counts = known(&name) || settings::misspelt_variable(&name).is_some();
            counts.then(|| (name, value.to_string_lossy().into_owned()))
        });
        Self { file, environment: variables.collect() }
    }
}

/// All settings, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// The HTTP server.
    pub server: Server,
    /// The database.
    pub database: Database,
    /// The maximum number of open database connections.
    pub database_pool_size: u32,
    /// The key that encrypts the tokens.
    pub encryption: EncryptionKey,
    /// Earlier keys: used for decryption only.
    pub previous_keys: Vec<ConfiguredKey>,
    /// OwnerRez's addresses and the operator's access to it.
    pub ownerrez: OwnerRez,
    /// The users' sessions.
    pub sessions: Sessions,
    /// API keys.
    pub keys: Keys,
    /// Links for connecting an account.
    pub connect: Connect,
    /// Registration and removal of users.
    pub registration: Registration,
    /// Predefined OAuth clients, and what other clients may request.
    pub oauth_clients: OAuthClients,
    /// Limits on OAuth clients and their tokens.
    pub oauth: OAuth,
    /// How this process serves its clients.
    pub transport: Transport,
    /// The tools that the one client of `stdio` sees.
    pub tools: ToolSettings,
    /// The format of the log.
    pub log_format: LogFormat,
    /// Access to the metrics.
    pub metrics: Metrics,
}

impl Config {
    /// Reads and validates all settings.
    ///
    /// # Errors
    /// All mistakes together, each with its remedy.
    pub fn load(sources: Sources) -> Result<Self, ConfigErrors> {
        sections::read(sources).map_err(ConfigErrors)
    }

    /// Reads as many settings as possible, for the command that checks everything at once.
    pub fn load_lenient(sources: Sources) -> PartialConfig {
        sections::load_lenient(sources)
    }

    /// Returns the redirect URI to give OwnerRez: the configured one, or the callback below the public address.
    pub fn redirect_uri(&self, bound_port: u16) -> Url {
        self.ownerrez.redirect_uri.clone().unwrap_or_else(|| {
            let mut url = self.server.public_url(bound_port);
            url.set_path(CALLBACK_PATH);
            url
        })
    }
}

/// The settings that could be read although others may be wrong. A part whose own setting is wrong is missing.
#[derive(Debug)]
pub struct PartialConfig {
    /// The database.
    pub database: Option<Database>,
    /// The key that encrypts the tokens.
    pub encryption: Option<EncryptionKey>,
    /// Earlier keys.
    pub previous_keys: Vec<ConfiguredKey>,
    /// OwnerRez's addresses and the operator's access to it.
    pub ownerrez: Option<OwnerRez>,
    /// All mistakes.
    pub errors: Vec<ConfigError>,
}

/// How the gateway is reached.
#[derive(Clone, Debug)]
pub struct Server {
    /// The address to listen on. The privileges of loopback depend on this, never on `url`.
    pub bind: IpAddr,
    /// The port to listen on; 0 selects a free one.
    pub port: u16,
    /// The public address, with the path "/"; `None` only if `bind` is loopback. See [`Server::public_url`].
    pub url: Option<Url>,
    /// The allowed values of the Host header, if the operator listed them. See [`Server::hosts`].
    pub allowed_hosts: Option<Vec<String>>,
    /// Other origins that may call the gateway. See [`Server::origins`].
    pub allowed_origins: Vec<String>,
    /// Reverse proxies whose forwarded client addresses are believed.
    pub trusted_proxies: Vec<Network>,
    /// How users reach the operator, as shown on pages.
    pub contact: Option<String>,
    /// The largest message to `/mcp` in bytes.
    pub max_body_bytes: usize,
    /// The limit in bytes on all request bodies that are being received.
    pub max_body_bytes_under_way: usize,
    /// How long a client may take to send a request head.
    pub header_timeout_seconds: u32,
    /// How long a client may take to send a request body.
    pub body_timeout_seconds: u32,
    /// How long a client may go without accepting any part of a response.
    pub send_timeout_seconds: u32,
    /// The maximum number of open connections.
    pub max_connections: usize,
    /// The same for one source: an IPv4 address or an IPv6 /64.
    pub max_connections_per_source: usize,
    /// The maximum number of requests from one source without a verified credential whose body has not arrived
    /// completely.
    pub max_unfinished_requests_per_source: usize,
    /// Messages to `/mcp` of more than 16 KiB that one user may send in a minute.
    pub large_requests_per_minute: u32,
    /// How long a shutdown waits for calls in flight.
    pub shutdown_seconds: u32,
    /// Threads that serve requests and run the sessions; at least one.
    pub workers: usize,
}

impl Server {
    /// Returns whether only this machine can reach the gateway: the single condition for every privilege of loopback.
    pub fn is_loopback_only(&self) -> bool {
        address::is_loopback_address(self.bind)
    }

    /// Returns the address that users and OwnerRez use, with the path "/". `bound_port` is the port actually listened
    /// on.
    pub fn public_url(&self, bound_port: u16) -> Url {
        self.url.clone().unwrap_or_else(|| {
            #[expect(clippy::expect_used, reason = "http:// and a socket address always make a URL")]
            Url::parse(&format!("http://{}", SocketAddr::new(self.bind, bound_port))).expect("a URL")
        })
    }

    /// Returns the allowed values of the Host header, each with a port or for any port; never empty.
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

    /// Returns the allowed values of the Origin header; never empty.
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

/// OwnerRez's addresses, and what it granted the operator.
#[derive(Clone, Debug)]
pub struct OwnerRez {
    /// The address of the API, with the path "/".
    pub api_url: Url,
    /// The address of the consent page, with the path "/".
    pub app_url: Url,
    /// The operator's OAuth app. Without it accounts cannot be connected through OAuth.
    pub client: Option<ClientCredentials>,
    /// The credentials of OwnerRez's webhooks, `user:password`; without them no webhook is accepted.
    pub webhook: Option<SecretString>,
    /// The redirect URI, if it was configured. See [`Config::redirect_uri`].
    pub redirect_uri: Option<Url>,
    /// The predecessor's redirect URI, if it was configured. It is not used. Connected accounts stay connected; for new
    /// ones the operator has to register this gateway's redirect URI with the OAuth app.
    pub unused_redirect_uri: Option<Url>,
    /// Whether the code exchange repeats the redirect URI.
    pub send_redirect_uri: bool,
    /// Requests that this process may send in any 5 minutes.
    pub request_limit: u32,
    /// Whether that is a share of the limit, so that other processes may send requests at the same time.
    pub shared: bool,
}

/// The id and secret of an OAuth app.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// Public; it is part of every authorize URL.
    pub id: String,
    /// Sent to OwnerRez only.
    pub secret: SecretString,
}

/// Limits on the users' sessions.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// The total time that a call may take.
    pub call_deadline_seconds: u32,
    /// The number of calls of one user that may wait.
    pub queue_depth: usize,
    /// How long connecting to OwnerRez may take.
    pub connect_timeout_seconds: u32,
    /// How long one request to OwnerRez may take, including its body.
    pub upstream_timeout_seconds: u32,
    /// The largest response accepted from OwnerRez.
    pub answer_limit_bytes: usize,
    /// The size of the cache of OwnerRez's responses, for all sessions together.
    pub recent_answers_bytes: usize,
    /// The time after which a session without calls is dropped.
    pub idle_seconds: u32,
    /// The interval of the background token refresh.
    pub renewal_sweep_seconds: u32,
}

/// How API keys are checked.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The bcrypt cost of one hash.
    pub bcrypt_cost: u32,
    /// The number of hashes that may run at the same time.
    pub bcrypt_parallel: usize,
    /// The number of verified keys in the cache.
    pub cache_entries: usize,
    /// Failures after which an address has to wait.
    pub failures_per_address: u32,
    /// The same per key prefix.
    pub failures_per_lookup_id: u32,
    /// How long a failure counts.
    pub failure_minutes: u32,
}

/// Registration and removal of users.
#[derive(Clone, Debug)]
pub struct Registration {
    /// How users may register.
    pub mode: RegistrationMode,
    /// The number of registrations from one address in an hour.
    pub per_hour_and_address: u32,
    /// The number of days after which a user without a connection is deleted; 0 for never.
    pub unconnected_days: u32,
}

/// How users may register.
#[derive(Clone, Debug)]
pub enum RegistrationMode {
    /// Without a token.
    Open,
    /// With this token.
    Token(SecretString),
    /// Not at all.
    Closed,
}

/// Limits on OAuth clients and their tokens.
#[derive(Clone, Debug)]
pub struct OAuth {
    /// The number of clients that may register from one address in an hour.
    pub registrations_per_hour_and_address: u32,
    /// The lifetime of an access token.
    pub access_token_minutes: u32,
    /// The lifetime of a refresh token.
    pub refresh_token_days: u32,
}

/// Limits on links for connecting an account.
#[derive(Clone, Debug)]
pub struct Connect {
    /// How long a link is valid.
    pub link_minutes: u32,
    /// Whether accounts may be connected with personal access tokens if the gateway is not loopback only.
    pub personal_tokens: bool,
    /// The number of open links per user.
    pub open_links_per_user: usize,
}

/// How a process serves its clients.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Many users, over HTTP.
    Http,
    /// The programs of the one user of this machine, over HTTP and without a key, with one OwnerRez account.
    SingleUser {
        /// The account.
        account: SingleAccount,
        /// A token that the programs must send; at least 16 characters.
        token: Option<SecretString>,
    },
    /// The client that started the process, over standard input and output, with one OwnerRez account.
    Stdio(SingleAccount),
    /// The same client, by forwarding everything to a gateway.
    Remote {
        /// The gateway's address, with the path "/".
        url: Url,
        /// An API key of that gateway.
        api_key: SecretString,
    },
}

/// The credentials of the one account.
#[derive(Clone, Debug)]
pub enum SingleAccount {
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

/// The tools that one client sees, by name. This module does not check that the names exist.
#[derive(Clone, Debug, Default)]
pub struct ToolSettings {
    /// Toolsets.
    pub toolsets: Vec<String>,
    /// Single tools.
    pub tools: Vec<String>,
    /// Tools to leave out.
    pub excluded: Vec<String>,
    /// Whether only reading tools are wanted.
    pub read_only: bool,
    /// Whether operations that need consent use the two-step confirmation instead of asking the user. If not set, the
    /// API key decides.
    pub two_steps: Option<bool>,
}

/// The format of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For humans.
    Text,
    /// One object per line.
    Json,
}

/// Where the metrics are served, and with which token. With neither they are not served.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The address of a separate listener.
    pub bind: Option<SocketAddr>,
    /// Required wherever the metrics are served.
    pub token: Option<SecretString>,
}
