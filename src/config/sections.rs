//! Turns the layers of raw values into validated sections: the rules for each setting, and for several together.

use std::net::IpAddr;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    ClientCredentials, Config, Connect, Database, EncryptionKey, Keys, LogFormat, Metrics, OAuth, OwnerRez,
    PartialConfig, Registration, RegistrationMode, Server, Sessions, Sources, ToolSettings,
    address::{CALLBACK_PATH, base_address, host_name, redirect_address, web_origin},
    clients::oauth_clients,
    encryption::{MAKE_A_KEY, parse_configured_key, parse_previous_key},
    errors::{ConfigError, Problem},
    layers::{self, Layers},
    network::network,
    settings, transport,
};

/// The maximum length in bytes of `server.contact`.
const CONTACT_LENGTH: usize = 200;

const MEBIBYTE: i64 = 1024 * 1024;
const MAKE_A_TOKEN: &str = "generate one with `openssl rand -hex 32`";
/// Shorter tokens could be guessed.
const TOKEN_LENGTH: usize = 16;

/// Reads every section. The values are returned only if no mistake was found.
pub(super) fn read(sources: Sources) -> Result<Config, Vec<ConfigError>> {
    let mut layers = Layers::of(sources);
    let config = sections(&mut layers);
    let errors = layers.finish();
    match config {
        Some(config) if errors.is_empty() => Ok(config),
        _ => Err(errors),
    }
}

/// Reads as many settings as possible, and reports every mistake.
pub(super) fn load_lenient(sources: Sources) -> PartialConfig {
    let errors = read(sources.clone()).err().unwrap_or_default();
    // If a value is wrong, the next lower layer takes its place. That is enough to find the next mistake, but the value
    // must not be used.
    let is_valid = |key| {
        let names = settings::at(key).map(settings::Setting::label);
        errors.iter().all(|error| Some(&error.setting) != names.as_ref() && !is_unreadable_file(error))
    };
    let layers = &mut Layers::of(sources);
    let server = server(layers).filter(|_| is_valid("server.bind"));
    let database = database(layers).filter(|_| is_valid("database.url") && is_valid("database.direct_url"));
    let encryption = match (&server, &database) {
        (Some(server), Some(database)) => encryption(layers, server, database),
        _ => layers.verbatim("encryption.key", parse_configured_key).map(EncryptionKey::Configured),
    };
    PartialConfig {
        database,
        encryption: encryption.filter(|_| is_valid("encryption.key")),
        previous_keys: layers.list("encryption.previous_keys", parse_previous_key).unwrap_or_default(),
        ownerrez: ownerrez(layers, None).filter(|_| is_valid("ownerrez.api_url")),
        errors,
    }
}

/// Returns whether the file is unreadable. A setting that seems to have its default may be set in that file.
fn is_unreadable_file(error: &ConfigError) -> bool {
    error.setting == layers::WHOLE_FILE
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
    let transport = transport::transport(layers, server.as_ref());
    let tools = tools(layers);
    if matches!(transport, Some(super::Transport::Http | super::Transport::SingleUser { .. })) {
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

fn server(layers: &mut Layers) -> Option<Server> {
    let server = Server {
        bind: layers.text("server.bind", bind_address)?,
        port: layers.number("server.port", 0..=65535),
        url: layers.text("server.url", base_address),
        allowed_hosts: layers.list("server.allowed_hosts", host_name),
        allowed_origins: layers.list("server.allowed_origins", web_origin).unwrap_or_default(),
        trusted_proxies: layers.list("server.trusted_proxies", network).unwrap_or_default(),
        contact: layers.text("server.contact", contact),
        max_body_bytes: layers.number("server.max_body_bytes", 1024..=64 * MEBIBYTE),
        max_body_bytes_under_way: layers.number("server.max_body_bytes_under_way", MEBIBYTE..=64 * 1024 * MEBIBYTE),
        header_timeout_seconds: layers.number("server.header_timeout_seconds", 1..=600),
        body_timeout_seconds: layers.number("server.body_timeout_seconds", 1..=600),
        send_timeout_seconds: layers.number("server.send_timeout_seconds", 1..=600),
        max_connections: layers.number("server.max_connections", 16..=1_000_000),
        max_connections_per_source: layers.number("server.max_connections_per_source", 1..=1_000_000),
        max_unfinished_requests_per_source: layers.number("server.max_unfinished_requests_per_source", 1..=1_000_000),
        large_requests_per_minute: layers.number("server.large_requests_per_minute", 1..=1_000_000),
        shutdown_seconds: layers.number("server.shutdown_seconds", 1..=600),
        workers: layers.number("server.workers", 1..=256),
    };
    if !server.is_loopback_only() && !layers.is_set("server.url") {
        layers.refuse(
            "server.url",
            "it is not set, but server.bind (BIND) is not loopback",
            "set it to the public address of the gateway, like https://gateway.example.com",
        );
    }
    Some(server)
}

fn database(layers: &mut Layers) -> Option<Database> {
    let database = layers.text("database.url", Database::parse)?;
    let Some(direct_url) = layers.text("database.direct_url", Database::parse_direct) else { return Some(database) };
    let with_direct_url = database.clone().with_direct(direct_url);
    if with_direct_url.is_none() {
        let what = "it is set, but database.url (DATABASE_URL) is not a PostgreSQL URL";
        layers.refuse("database.direct_url", what, "remove it, or set DATABASE_URL to the pooler of that server");
    }
    Some(with_direct_url.unwrap_or(database))
}

fn tools(layers: &mut Layers) -> ToolSettings {
    // The value may be forwarded as a header, so it must be valid in one.
    let name = |text: &str| {
        let good = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let remedy = "use names such as bookings or list_guests, separated by commas";
        if good { Ok(text.to_owned()) } else { Err(Problem::new("an entry is not a valid name", remedy)) }
    };
    ToolSettings {
        toolsets: layers.list("tools.toolsets", name).unwrap_or_default(),
        tools: layers.list("tools.tools", name).unwrap_or_default(),
        excluded: layers.list("tools.exclude", name).unwrap_or_default(),
        read_only: layers.flag("tools.read_only"),
        two_steps: layers.choice("tools.two_steps"),
    }
}

/// Nothing reads these settings over HTTP. An operator who set them would expect them to limit every client.
fn refuse_tools(layers: &mut Layers, tools: &ToolSettings) {
    for (key, is_set) in [
        ("tools.toolsets", !tools.toolsets.is_empty()),
        ("tools.tools", !tools.tools.is_empty()),
        ("tools.exclude", !tools.excluded.is_empty()),
        ("tools.read_only", tools.read_only),
        ("tools.two_steps", tools.two_steps == Some(true)),
    ] {
        if is_set {
            layers.refuse(
                key,
                "it is for stdio only, but server.transport (TRANSPORT_MODE) is http",
                "remove it; over HTTP each client selects tools by its URL, such as /mcp/readonly, or by its key",
            );
        }
    }
}

fn log_format(text: &str) -> Result<LogFormat, Problem> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Problem::new("it is not a log format", "set it to text or json")),
    }
}

fn metrics(layers: &mut Layers) -> Metrics {
    let remedy = "set it to an IP address and a port, like 127.0.0.1:9090";
    let bind = layers.text("metrics.bind", |text| {
        text.parse().map_err(|_| Problem::new("it is not an IP address with a port", remedy))
    });
    Metrics { bind, token: layers.text("metrics.token", header_token) }
}

pub(super) fn header_token(text: &str) -> Result<SecretString, Problem> {
    let good = text.len() >= TOKEN_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(text.into()) } else { Err(Problem::new("it is too short, or not a valid header value", MAKE_A_TOKEN)) }
}

fn registration(layers: &mut Layers) -> Option<Registration> {
    const TOKEN: &str = "registration.token";
    let token = layers.text(TOKEN, header_token);
    let mode = layers.text("registration.mode", |text| match text {
        "open" => Ok(RegistrationMode::Open),
        // An empty token is never compared with anything: it is rejected below.
        "token" => Ok(RegistrationMode::Token(token.clone().unwrap_or_default())),
        "closed" => Ok(RegistrationMode::Closed),
        _ => Err(Problem::new("it is not a registration mode", "set it to open, token or closed")),
    });
    match mode {
        Some(RegistrationMode::Token(_)) if !layers.is_set(TOKEN) => {
            layers.refuse(TOKEN, "it is not set, but registration.mode (REGISTRATION_MODE) is token", MAKE_A_TOKEN);
        }
        Some(RegistrationMode::Open) if token.is_some() && !layers.is_set("registration.mode") => layers.refuse(
            TOKEN,
            "it is set, but registration is open: registration.mode (REGISTRATION_MODE) is not token",
            "set REGISTRATION_MODE=token, or remove the token",
        ),
        _ => {}
    }
    Some(Registration {
        mode: mode?,
        per_hour_and_address: layers.number("registration.per_hour_and_address", 1..=1_000_000),
        unconnected_days: layers.number("registration.unconnected_days", 0..=3650),
    })
}

/// Parses an e-mail address, a telephone number or an https address: something that users can act on.
fn contact(text: &str) -> Result<String, Problem> {
    let is_page = || Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.username().is_empty());
    let is_number = || text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | ' ' | '(' | ')'));
    let is_mailbox =
        || text.split_once('@').is_some() && !text.contains(|c: char| c.is_whitespace() || "/:".contains(c));
    let shown = text.len() <= CONTACT_LENGTH && !text.chars().any(char::is_control);
    if shown && (is_page() || is_number() || is_mailbox()) {
        return Ok(text.to_owned());
    }
    let remedy = "set it to an e-mail address, a telephone number or an https URL";
    Err(Problem::new("it is not a contact address", remedy))
}

fn bind_address(text: &str) -> Result<IpAddr, Problem> {
    let remedy =
        "set it to 127.0.0.1 for this machine only, 0.0.0.0 for every network, or one of this machine's addresses";
    text.parse().map_err(|_| Problem::new("it is not an IP address", remedy))
}

/// Returns the operator's key, if one is set. Without one, a key is generated only if the database is SQLite and the
/// gateway is bound to loopback, whatever SERVER_URL is.
fn encryption(layers: &mut Layers, server: &Server, database: &Database) -> Option<EncryptionKey> {
    if let Some(key) = layers.verbatim("encryption.key", parse_configured_key) {
        return Some(EncryptionKey::Configured(key));
    }
    if layers.is_set("encryption.key") {
        return None;
    }
    let file = database.key_file();
    let missing = match &file {
        None => "it is not set, but required for PostgreSQL",
        Some(_) if !server.is_loopback_only() => "it is not set, but server.bind (BIND) is not loopback",
        Some(_) => return file.map(EncryptionKey::KeyFile),
    };
    layers.refuse("encryption.key", missing, format!("{MAKE_A_KEY}, and back it up separately from the database"));
    None
}

fn ownerrez(layers: &mut Layers, server_url: Option<&Url>) -> Option<OwnerRez> {
    let api_url = layers.text("ownerrez.api_url", base_address);
    let app_url = layers.text("ownerrez.app_url", base_address);
    let (client, webhook) = (client(layers), webhook(layers));
    let given = layers.text("ownerrez.redirect_uri", redirect_address);
    let (redirect_uri, unused_redirect_uri) = match given {
        Some(url) if url.path() != CALLBACK_PATH => (None, Some(url)),
        ours => (ours, None),
    };
    if let (Some(redirect), Some(server)) = (&redirect_uri, server_url)
        && redirect.origin() != server.origin()
    {
        let (there, here) = (redirect.origin().ascii_serialization(), server.origin().ascii_serialization());
        layers.refuse(
            "ownerrez.redirect_uri",
            format!("it points to {there}, but the gateway is at {here} (server.url, SERVER_URL)"),
            "use the same scheme, host and port in both, so that the browser sends its cookie to the callback",
        );
    }
    Some(OwnerRez {
        api_url: api_url?,
        app_url: app_url?,
        client,
        webhook,
        redirect_uri,
        unused_redirect_uri,
        send_redirect_uri: layers.flag("ownerrez.send_redirect_uri"),
        request_limit: layers.number("ownerrez.request_limit", 1..=10_000),
        shared: layers.flag("ownerrez.shared"),
    })
}

fn client(layers: &mut Layers) -> Option<ClientCredentials> {
    let id = layers.text("ownerrez.client_id", |text| Ok(text.to_owned()));
    let secret = layers.text("ownerrez.client_secret", |text| Ok(text.into()));
    let remedy = "set both, as OwnerRez shows them for your OAuth app, or neither";
    match (id, secret) {
        (Some(id), Some(secret)) => Some(ClientCredentials { id, secret }),
        (None, None) => None,
        // If the missing half was given but is unreadable, its own mistake is enough.
        (None, Some(_)) => {
            if !layers.is_set("ownerrez.client_id") {
                layers.refuse("ownerrez.client_id", "it is not set, but the client secret is", remedy);
            }
            None
        }
        (Some(_), None) => {
            if !layers.is_set("ownerrez.client_secret") {
                layers.refuse("ownerrez.client_secret", "it is not set, but the client id is", remedy);
            }
            None
        }
    }
}

fn webhook(layers: &mut Layers) -> Option<SecretString> {
    const USER: &str = "ownerrez.webhook_user";
    const PASSWORD: &str = "ownerrez.webhook_password";
    let user = layers.text(USER, |text| {
        // In the Basic scheme the user name ends at the first colon (RFC 7617).
        let good = !text.contains(':') && text.bytes().all(|byte| byte.is_ascii_graphic());
        if good { Ok(text.to_owned()) } else { Err(Problem::new("it is not a user name", "remove colons and spaces")) }
    });
    let password = layers.text(PASSWORD, header_token);
    let missing = match (user, password) {
        (Some(user), Some(password)) => return Some(format!("{user}:{}", password.expose_secret()).into()),
        (Some(_), None) => PASSWORD,
        (None, Some(_)) => USER,
        (None, None) => return None,
    };
    // If the missing half was given but is unreadable, its own mistake is enough.
    if !layers.is_set(missing) {
        let remedy = "set both, as configured for the webhooks of your OAuth app at OwnerRez, or neither";
        layers.refuse(missing, "it is not set, but the other half of the credentials is", remedy);
    }
    None
}

fn sessions(layers: &mut Layers) -> Sessions {
    let sessions = Sessions {
        call_deadline_seconds: layers.number("sessions.call_deadline_seconds", 1..=600),
        queue_depth: layers.number("sessions.queue_depth", 1..=1000),
        connect_timeout_seconds: layers.number("sessions.connect_timeout_seconds", 1..=60),
        upstream_timeout_seconds: layers.number("sessions.upstream_timeout_seconds", 1..=600),
        answer_limit_bytes: layers.number("sessions.answer_limit_bytes", 64 * 1024..=64 * MEBIBYTE),
        recent_answers_bytes: layers.number("sessions.recent_answers_bytes", 0..=1024 * MEBIBYTE),
        idle_seconds: layers.number("sessions.idle_seconds", 1..=86_400),
        renewal_sweep_seconds: layers.number("sessions.renewal_sweep_seconds", 1..=86_400),
    };
    let allowed = sessions.connect_timeout_seconds..=sessions.call_deadline_seconds;
    if !allowed.contains(&sessions.upstream_timeout_seconds) {
        layers.refuse(
            "sessions.upstream_timeout_seconds",
            format!("{} is out of range", sessions.upstream_timeout_seconds),
            format!(
                "use at least {} (sessions.connect_timeout_seconds) and at most {} (sessions.call_deadline_seconds)",
                allowed.start(),
                allowed.end()
            ),
        );
    }
    sessions
}

fn keys(layers: &mut Layers, server: &Server) -> Keys {
    let keys = Keys {
        bcrypt_cost: layers.number("keys.bcrypt_cost", 4..=15),
        bcrypt_parallel: layers.number("keys.bcrypt_parallel", 1..=64),
        cache_entries: layers.number("keys.cache_entries", 1..=10_000_000),
        failures_per_address: layers.number("keys.failures_per_address", 1..=1_000_000),
        failures_per_lookup_id: layers.number("keys.failures_per_lookup_id", 1..=1_000_000),
        failure_minutes: layers.number("keys.failure_minutes", 1..=1440),
    };
    if keys.bcrypt_cost < 10 && !server.is_loopback_only() {
        let what = format!("{} is too low if server.bind (BIND) is not loopback", keys.bcrypt_cost);
        layers.refuse("keys.bcrypt_cost", what, "set it to 10 or more, or remove it");
    }
    keys
}

fn oauth(layers: &mut Layers) -> OAuth {
    OAuth {
        registrations_per_hour_and_address: layers.number("oauth.registrations_per_hour_and_address", 1..=1_000_000),
        access_token_minutes: layers.number("oauth.access_token_minutes", 1..=1440),
        refresh_token_days: layers.number("oauth.refresh_token_days", 1..=365),
    }
}

fn connect(layers: &mut Layers) -> Connect {
    Connect {
        link_minutes: layers.number("connect.link_minutes", 1..=60),
        open_links_per_user: layers.number("connect.open_links_per_user", 1..=100),
        personal_tokens: layers.flag("connect.personal_tokens"),
    }
}
