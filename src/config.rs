//! Settings: the only reader of configuration files and of the environment. `config/default.toml` documents each
//! setting; `settings` contains their names. This module defines the validated result that the rest of the program
//! uses.

mod address;
mod clients;
mod connect;
mod database;
mod encryption;
mod errors;
mod header_token;
mod keys;
mod layers;
mod log_format;
mod metrics;
mod network;
mod oauth;
mod ownerrez;
mod partial_config;
mod registration;
mod server;
mod sessions;
mod settings;
mod single_account;
mod size;
mod sources;
#[cfg(test)]
mod tests;
mod tool_settings;
mod transport;

use url::Url;

pub use address::{CALLBACK_PATH, PREDECESSOR_CALLBACK_PATH};
pub use clients::{OAuthClients, PredefinedClient};
pub use connect::ConnectSection;
pub use database::Database;
pub use encryption::{ConfiguredKey, EncryptionKey, KeyFileError};
pub use errors::{ConfigError, ConfigErrors, ValueSource};
pub use keys::KeysSection;
pub use log_format::LogFormat;
pub use metrics::MetricsSection;
pub use network::Network;
pub use oauth::OAuthSection;
pub use ownerrez::{OwnerRezClient, OwnerRezSection};
pub use partial_config::PartialConfig;
pub use registration::{RegistrationMode, RegistrationSection};
pub use server::ServerSection;
pub use sessions::SessionsSection;
pub use single_account::SingleAccount;
pub use sources::Sources;
pub use tool_settings::ToolSettings;
pub use transport::Transport;

use self::{
    clients::oauth_clients,
    connect::connect,
    database::database,
    encryption::{encryption, parse_previous_key},
    keys::keys,
    layers::Layers,
    log_format::log_format,
    metrics::metrics,
    oauth::oauth,
    ownerrez::ownerrez,
    registration::registration,
    server::server,
    sessions::sessions,
    tool_settings::{refuse_tools, tools},
    transport::transport,
};

/// All settings, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// The HTTP server.
    pub server: ServerSection,
    /// The database.
    pub database: Database,
    /// The maximum number of open database connections.
    pub database_pool_size: u32,
    /// The key that encrypts the tokens.
    pub encryption: EncryptionKey,
    /// Earlier keys: used for decryption only.
    pub previous_keys: Vec<ConfiguredKey>,
    /// OwnerRez's addresses and the operator's access to it.
    pub ownerrez: OwnerRezSection,
    /// The users' sessions.
    pub sessions: SessionsSection,
    /// API keys.
    pub keys: KeysSection,
    /// Links for connecting an account.
    pub connect: ConnectSection,
    /// Registration and removal of users.
    pub registration: RegistrationSection,
    /// Predefined OAuth clients, and what other clients may request.
    pub oauth_clients: OAuthClients,
    /// Limits on OAuth clients and their tokens.
    pub oauth: OAuthSection,
    /// How this process serves its clients.
    pub transport: Transport,
    /// The tools that the one client of `stdio` sees.
    pub tools: ToolSettings,
    /// The format of the log.
    pub log_format: LogFormat,
    /// Access to the metrics.
    pub metrics: MetricsSection,
}

impl Config {
    /// Reads and validates all settings.
    ///
    /// # Errors
    /// All mistakes together, each with its remedy.
    pub fn load(sources: Sources) -> Result<Self, ConfigErrors> {
        read(sources).map_err(ConfigErrors)
    }

    /// Reads as many settings as possible, for the command that checks everything at once.
    pub fn load_lenient(sources: Sources) -> PartialConfig {
        let errors = read(sources.clone()).err().unwrap_or_default();
        PartialConfig::of(sources, errors)
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

/// Reads every section. The values are returned only if no mistake was found.
fn read(sources: Sources) -> Result<Config, Vec<ConfigError>> {
    let mut layers = Layers::of(sources);
    let config = sections(&mut layers);
    let errors = layers.finish();
    match config {
        Some(config) if errors.is_empty() => Ok(config),
        _ => Err(errors),
    }
}

fn sections(layers: &mut Layers) -> Option<Config> {
    let server = server(layers);
    let database = database(layers);
    let database_pool_size = layers.number("database.pool_size", 1..=1000);
    let ownerrez = ownerrez(layers, server.as_ref().and_then(|server| server.url.as_ref()));
    let sessions = sessions(layers);
    let connect = connect(layers);
    let registration = registration(layers);
    let oauth_clients = oauth_clients(layers);
    let oauth = oauth(layers);
    let transport = transport(layers, server.as_ref());
    let tools = tools(layers);
    if matches!(transport, Some(Transport::Http | Transport::SingleUser { .. })) {
        refuse_tools(layers, &tools);
    }
    let log_format = layers.text("log.format", log_format);
    let metrics = metrics(layers);
    // The built-in defaults contain an address, a database and OwnerRez's URLs (a test loads them), so none is missing.
    let (server, database, ownerrez, log_format) = (server?, database?, ownerrez?, log_format?);
    let registration = registration?;
    let keys = keys(layers, &server);
    let previous_keys = layers.list("encryption.previous_keys", parse_previous_key).unwrap_or_default();
    let (encryption, transport) = (encryption(layers, &server, &database)?, transport?);
    Some(Config {
        server,
        database,
        database_pool_size,
        encryption,
        previous_keys,
        ownerrez,
        sessions,
        keys,
        connect,
        registration,
        oauth_clients,
        oauth,
        transport,
        tools,
        log_format,
        metrics,
    })
}
