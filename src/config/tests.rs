//! Complete loads: the sources, and the resulting configuration.

use std::io::Write;

use secrecy::ExposeSecret;
use tempfile::NamedTempFile;

use super::*;

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const PUBLIC: [(&str, &str); 3] =
    [("BIND", "0.0.0.0"), ("SERVER_URL", "https://gateway.example.com"), ("ENCRYPTION_KEY", KEY)];

fn environment(variables: &[(&str, &str)]) -> HashMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::load(Sources { file: None, environment: environment(variables) })
}

fn load_file(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let mut file = NamedTempFile::new().expect("temp file");
    file.write_all(text.as_bytes()).expect("write");
    Config::load(Sources { file: Some(file.path().to_owned()), environment: environment(variables) })
}

fn good(variables: &[(&str, &str)]) -> Config {
    load(variables).unwrap_or_else(|errors| panic!("{variables:?}: {errors}"))
}

/// Returns the settings with a mistake, in order.
fn at_fault(outcome: Result<Config, ConfigErrors>) -> Vec<String> {
    outcome.expect_err("something is wrong").0.into_iter().map(|error| error.setting).collect()
}

/// Asserts that only the named setting has a mistake.
#[track_caller]
fn refused(variables: &[(&str, &str)], setting: &str) {
    let faults = at_fault(load(variables));
    assert!(faults.len() == 1 && faults[0].contains(setting), "{variables:?}: {faults:?}");
}

fn public(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    PUBLIC.iter().chain(more).copied().collect()
}

#[test]
fn the_tools_of_one_client_are_set_for_stdio_only_and_by_their_exact_names() {
    let stdio = [("TRANSPORT_MODE", "stdio"), ("OWNERREZ_ACCESS_TOKEN", "at_invented")];
    for (name, value) in [
        ("MCP_TOOLSETS", "guests"),
        ("MCP_TOOLS", "list_guests"),
        ("MCP_EXCLUDE_TOOLS", "delete_guest"),
        ("MCP_READ_ONLY", "true"),
        ("MCP_TWO_STEPS", "true"),
    ] {
        refused(&[(name, value)], name);
        good(&[&stdio[..], &[(name, value)]].concat());
    }
    good(&[("MCP_READ_ONLY", "false"), ("MCP_TWO_STEPS", "false"), ("MCP_TOOLS", "")]);
    refused(&[&stdio[..], &[("MCP_READONLY", "true")]].concat(), "MCP_READONLY");
    let set = |more: &[(&str, &str)]| good(&[&stdio[..], more].concat()).tools.two_steps;
    assert_eq!((set(&[("MCP_TWO_STEPS", "false")]), set(&[])), (Some(false), None));
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = good(&[]);
    let Config {
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
        log_format,
        transport,
        tools,
        metrics,
    } = &config;
    assert_eq!((server.bind.to_string().as_str(), server.port, &server.url), ("127.0.0.1", 8080, &None));
    assert_eq!((server.max_body_bytes, server.shutdown_seconds), (128 * 1024, 25));
    assert_eq!((server.max_body_bytes_under_way, server.large_requests_per_minute), (64 * 1024 * 1024, 60));
    assert_eq!((server.header_timeout_seconds, server.body_timeout_seconds), (10, 20));
    assert_eq!((server.send_timeout_seconds, server.max_connections), (60, 10_000));
    assert_eq!((server.max_connections_per_source, server.max_unfinished_requests_per_source), (256, 64));
    assert!(server.allowed_hosts.is_none() && server.allowed_origins.is_empty());
    assert!(matches!(database, Database::Sqlite { path } if path.as_os_str() == "data/gateway.db"));
    assert_eq!(*database_pool_size, 10);
    assert!(matches!(encryption, EncryptionKey::KeyFile(path) if path.as_os_str() == "data/gateway.db.key"));
    assert!(previous_keys.is_empty());
    assert_eq!(ownerrez.api_url.as_str(), "https://api.ownerrez.com/");
    assert_eq!(ownerrez.app_url.as_str(), "https://app.ownerrez.com/");
    assert!(ownerrez.client.is_none() && ownerrez.redirect_uri.is_none() && ownerrez.send_redirect_uri);
    assert_eq!((ownerrez.request_limit, ownerrez.shared), (300, false));
    assert_eq!((sessions.call_deadline_seconds, sessions.queue_depth, sessions.idle_seconds), (30, 16, 900));
    assert_eq!((sessions.connect_timeout_seconds, sessions.upstream_timeout_seconds), (5, 20));
    assert_eq!((sessions.answer_limit_bytes, sessions.renewal_sweep_seconds), (5 * 1024 * 1024, 60));
    assert_eq!(server.workers, 1);
    assert_eq!((keys.bcrypt_cost, keys.bcrypt_parallel, keys.cache_entries), (10, 2, 10_000));
    assert_eq!((keys.failures_per_address, keys.failures_per_lookup_id, keys.failure_minutes), (30, 10, 5));
    assert_eq!((connect.link_minutes, connect.open_links_per_user), (10, 5));
    assert!(matches!(registration.mode, RegistrationMode::Open) && server.trusted_proxies.is_empty());
    assert_eq!((registration.per_hour_and_address, registration.unconnected_days), (10, 30));
    let apps: Vec<_> = oauth_clients.app_redirect_uris.iter().map(|uri| uri.as_str()).collect();
    assert_eq!(
        apps,
        [
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "claude://claude.ai/mcp-auth-callback/sdk",
            "warp://mcp/oauth2callback",
        ]
    );
    assert!(oauth_clients.client_documents);
    assert_eq!((oauth_clients.known_redirect_uris.len(), oauth_clients.registration_days), (14, 365));
    assert!(oauth_clients.predefined.is_empty());
    assert_eq!((oauth.access_token_minutes, oauth.refresh_token_days), (60, 60));
    assert_eq!(oauth.registrations_per_hour_and_address, 100);
    assert_eq!(*log_format, LogFormat::Text);
    assert!(matches!(transport, Transport::Http));
    assert!(tools.toolsets.is_empty() && tools.tools.is_empty() && tools.excluded.is_empty() && !tools.read_only);
    assert_eq!(tools.two_steps, None);
    assert!(metrics.bind.is_none() && metrics.token.is_none());
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    let file = "[server]\nport = 1000\nshutdown_seconds = 5\n[ownerrez]\nshared = true\n";
    let config = load_file(file, &[("PORT", "2000")]).expect("good");
    assert_eq!((config.server.port, config.server.shutdown_seconds, config.ownerrez.shared), (2000, 5, true));
    assert_eq!(config.ownerrez.request_limit, 300);
}

#[test]
fn an_empty_value_counts_as_not_set() {
    let file = "[server]\nport = 1000\nallowed_hosts = []\nurl = \"\"\n";
    let config = load_file(file, &[("PORT", " "), ("SERVER_URL", ""), ("ENCRYPTION_KEY", ""), ("ALLOWED_HOSTS", ", ")]);
    let config = config.expect("good");
    assert_eq!(config.server.port, 1000);
    assert!(config.server.url.is_none() && config.server.allowed_hosts.is_none());
}

/// No setting accepts a date, so every setting must report one: this proves that each listed setting is read.
#[test]
fn every_setting_is_read() {
    for setting in settings::SETTINGS {
        let (section, name) = setting.key.split_once('.').expect("a section");
        let faults = at_fault(load_file(&format!("[{section}]\n{name} = 1979-05-27\n"), &[]));
        assert_eq!(faults, [setting.label()]);
    }
}

#[test]
fn every_value_out_of_bounds_is_refused_by_name() {
    for (section, name, values) in [
        ("server", "port", &[-1, 65_536][..]),
        ("oauth", "registration_days", &[0, 3651]),
        ("server", "max_body_bytes", &[1023, 67_108_865]),
        ("server", "max_body_bytes_under_way", &[1_048_575, 68_719_476_737]),
        ("server", "header_timeout_seconds", &[0, 601]),
        ("server", "body_timeout_seconds", &[0, 601]),
        ("server", "send_timeout_seconds", &[0, 601]),
        ("server", "max_connections", &[15, 1_000_001]),
        ("server", "max_connections_per_source", &[0, 1_000_001]),
        ("server", "max_unfinished_requests_per_source", &[0, 1_000_001]),
        ("server", "large_requests_per_minute", &[0, 1_000_001]),
        ("server", "shutdown_seconds", &[0, 601]),
        ("server", "workers", &[0, 257]),
        ("database", "pool_size", &[0, 1001]),
        ("ownerrez", "request_limit", &[0, -300, 10_001]),
        ("sessions", "call_deadline_seconds", &[0, 601]),
        ("sessions", "queue_depth", &[0, 1001]),
        ("sessions", "connect_timeout_seconds", &[0, 61]),
        ("sessions", "upstream_timeout_seconds", &[0, 4, 31, i64::MAX]),
        ("sessions", "answer_limit_bytes", &[65_535, 67_108_865]),
        ("sessions", "recent_answers_bytes", &[-1, 1_073_741_825]),
        ("sessions", "idle_seconds", &[0, 86_401]),
        ("sessions", "renewal_sweep_seconds", &[0, 86_401]),
        ("keys", "bcrypt_cost", &[3, 16]),
        ("keys", "bcrypt_parallel", &[0, 65]),
        ("keys", "cache_entries", &[0, 10_000_001]),
        ("keys", "failures_per_address", &[0, 1_000_001]),
        ("keys", "failures_per_lookup_id", &[0, 1_000_001]),
        ("keys", "failure_minutes", &[0, 1441]),
        ("registration", "per_hour_and_address", &[0, 1_000_001]),
        ("registration", "unconnected_days", &[-1, 3651]),
        ("connect", "link_minutes", &[0, 61]),
        ("connect", "open_links_per_user", &[0, 101]),
    ] {
        for value in values {
            let faults = at_fault(load_file(&format!("[{section}]\n{name} = {value}\n"), &[]));
            let key = format!("{section}.{name}");
            assert!(faults.len() == 1 && faults[0].contains(&key), "{key} = {value}: {faults:?}");
        }
    }
}

#[test]
fn all_mistakes_are_reported_together_with_their_remedies() {
    let file = "[servr]\nport = 1\n[sessions]\nqueue_depth = \"many\"\n";
    let variables = [
        ("TRANSPORT_MODE", "stdio"),
        ("PORT", "http"),
        ("SERVER_URL", "http://gateway.example.com"),
        ("DATABASE_URL", "mysql://root@db/x"),
        ("ENCRYPTION_KEY", "c2hvcnQ="),
        ("OWNERREZ_CLIENT_ID", "c_1"),
        ("UPSTREAM_LIMIT", "0"),
        ("UPSTREAM_SHARED", "perhaps"),
    ];
    let errors = load_file(file, &variables).expect_err("all wrong");
    assert_eq!(errors.0.len(), variables.len() + 2, "{errors}");
    let shown = errors.to_string();
    assert_eq!(shown.split("\n\n").count(), errors.0.len());
    for told in ["PORT", "SERVER_URL", "openssl rand -base64 32", "server.port", "sessions.queue_depth", "stdio"] {
        assert!(shown.contains(told), "{told} is missing in: {shown}");
    }
    assert!(shown.contains("OWNERREZ_CLIENT_SECRET"), "the half that is missing is named: {shown}");
}

#[test]
fn a_mistake_tells_where_it_was_made() {
    let errors = load_file("[server]\nport = -1\n", &[("BIND", "localhost")]).expect_err("two mistakes");
    let origins: Vec<_> = errors.0.iter().map(|error| &error.source).collect();
    assert!(matches!(origins[..], [ValueSource::Environment, ValueSource::File(_)]), "{errors}");
}

#[test]
fn no_mistake_repeats_a_value() {
    let secret = "s3cr3t/value";
    for setting in settings::SETTINGS {
        let (section, name) = setting.key.split_once('.').expect("a section");
        let mut outcomes = vec![load_file(&format!("[{section}]\n{name} = \"{secret}\"\n"), &[])];
        outcomes.extend(setting.env.map(|env| load(&[(env, secret)])));
        outcomes.extend(setting.env.map(|env| load(&[(env, &format!("https://user:{secret}@host/"))])));
        outcomes.push(load_file(&format!("[{section}]\n{name} = \"{secret}\nnext = 1"), &[]));
        outcomes.push(load_file(&format!("[{section}]\n{name} = {secret}\n"), &[]));
        for outcome in outcomes {
            let shown = match outcome {
                Ok(config) => format!("{config:?}"),
                Err(errors) => format!("{errors}\n{errors:?}"),
            };
            assert!(!shown.contains("s3cr3t"), "{}: {shown}", setting.key);
        }
    }
}

#[test]
fn debug_shows_no_secret() {
    let config = good(&[
        ("DATABASE_URL", "postgres://u:p4ssw0rd@db/x"),
        ("ENCRYPTION_KEY", KEY),
        ("OWNERREZ_CLIENT_ID", "c_1"),
        ("OWNERREZ_CLIENT_SECRET", "s_hush"),
    ]);
    let shown = format!("{config:?}");
    for secret in ["p4ssw0rd", KEY, "s_hush", "48, 49, 50"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let client = config.ownerrez.client.expect("given");
    assert_eq!((client.id.as_str(), client.secret.expose_secret()), ("c_1", "s_hush"));
}

#[test]
fn an_unknown_setting_names_the_closest() {
    let errors = load_file("port = 1\n[server]\nbnid = \"::1\"\n[server.port]\nx = 1\n", &[]).expect_err("unknown");
    let told: Vec<_> = errors.0.iter().map(|e| (e.setting.as_str(), e.remedy.rsplit(' ').next())).collect();
    let port = Some("server.port");
    assert_eq!(told, [("port", port), ("server.bnid", Some("server.bind")), ("server.port.x", port)]);
}

#[test]
fn unknown_variables_are_ignored() {
    good(&[("HOME", "/root"), ("SERVER_PORT", "x"), ("POSTGRES_PASSWORD", "x")]);
}

#[test]
fn a_file_that_cannot_be_used_hides_no_mistake_and_makes_none_up() {
    let variables = [("BIND", "0.0.0.0"), ("PORT", "x")];
    let missing = Sources { file: Some("/nowhere/at/all.toml".into()), environment: environment(&variables) };
    for outcome in [Config::load(missing), load_file("[server\nport = 1\n", &variables)] {
        let faults = at_fault(outcome);
        assert_eq!(faults.len(), 2, "SERVER_URL and ENCRYPTION_KEY may stand in the file: {faults:?}");
        assert!(faults[0].contains("all settings") && faults[1].contains("PORT"), "{faults:?}");
    }
    let errors = load_file("[server]\nport = 1\nport = 2\n", &[]).expect_err("twice");
    assert!(errors.to_string().contains("line 3"), "{errors}");
}

#[test]
fn loopback_permits_a_kept_key_and_a_missing_address() {
    for bind in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
        let config = good(&[("BIND", bind)]);
        assert!(config.server.is_loopback_only(), "{bind}");
        assert!(matches!(config.encryption, EncryptionKey::KeyFile(_)), "{bind}");
    }
}

#[test]
fn the_privileges_of_loopback_hang_on_the_bind_address() {
    for bind in ["0.0.0.0", "::", "192.168.1.2", "::ffff:192.168.1.2"] {
        let faults = at_fault(load(&[("BIND", bind)]));
        assert!(matches!(&faults[..], [url, key] if url.contains("SERVER_URL") && key.contains("ENCRYPTION_KEY")));
        refused(&[("BIND", bind), ("SERVER_URL", "http://localhost:8080")], "ENCRYPTION_KEY");
    }
    let cheap = "[server]\nbind = \"0.0.0.0\"\nurl = \"http://localhost\"\n[keys]\nbcrypt_cost = 9\n";
    assert_eq!(at_fault(load_file(cheap, &[("ENCRYPTION_KEY", KEY)])), ["keys.bcrypt_cost"]);
    assert!(load_file("[keys]\nbcrypt_cost = 4\n", &[]).is_ok());
    good(&PUBLIC);
}

#[test]
fn postgres_needs_a_key_of_the_operators() {
    refused(&[("DATABASE_URL", "postgres://u:p@db/x")], "ENCRYPTION_KEY");
    good(&[("DATABASE_URL", "postgres://u:p@db/x"), ("ENCRYPTION_KEY", KEY)]);
}

#[test]
fn a_way_past_a_pooler_needs_a_server_to_lead_to() {
    const DIRECT: &str = "DATABASE_DIRECT_URL";
    let served = [("DATABASE_URL", "postgres://u:p@pooler/x"), ("ENCRYPTION_KEY", KEY)];
    let with = |direct| [served[0], served[1], (DIRECT, direct)];
    let config = good(&with("postgres://u:h1dden@server/x"));
    assert!(!format!("{config:?}").contains("h1dden"));
    assert!(matches!(&config.database, Database::Postgres { direct_url: Some(_), .. }));
    assert!(matches!(good(&served).database, Database::Postgres { direct_url: None, .. }));
    refused(&with("sqlite://x.db"), DIRECT);
    refused(&with("postgres://u:p@server:port/x"), DIRECT);
    refused(&[(DIRECT, "postgres://u:p@server/x")], DIRECT);
}

#[test]
fn a_bad_key_is_never_replaced_by_a_kept_one() {
    refused(&[("ENCRYPTION_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")], "ENCRYPTION_KEY");
}

#[test]
fn the_server_url_is_https_or_loopback() {
    refused(&[("SERVER_URL", "http://gateway.example.com")], "SERVER_URL");
    refused(&[("SERVER_URL", "https://gateway.example.com/mcp")], "SERVER_URL");
    refused(&[("OWNERREZ_API_URL", "http://api.ownerrez.com")], "OWNERREZ_API_URL");
    refused(&[("OWNERREZ_APP_URL", "http://10.0.0.1")], "OWNERREZ_APP_URL");
    let config = good(&[("SERVER_URL", "http://localhost:9000/"), ("OWNERREZ_API_URL", "http://127.0.0.1:9001")]);
    assert_eq!(config.server.public_url(8080).as_str(), "http://localhost:9000/");
}

#[test]
fn the_public_address_follows_the_bound_one_unless_set() {
    for (bind, expected) in [("127.0.0.1", "http://127.0.0.1:4242/"), ("::1", "http://[::1]:4242/")] {
        let config = good(&[("BIND", bind), ("PORT", "0")]);
        assert_eq!(config.server.public_url(4242).as_str(), expected);
        assert_eq!(config.redirect_uri(4242).as_str(), format!("{expected}api/connect/ownerrez/callback"));
    }
    let config = good(&PUBLIC);
    assert_eq!(config.redirect_uri(8080).as_str(), "https://gateway.example.com/api/connect/ownerrez/callback");
}

#[test]
fn the_redirect_uri_leads_back_to_the_gateway() {
    const OURS: &str = "https://gateway.example.com/api/connect/ownerrez/callback";
    let config = good(&public(&[("OWNERREZ_REDIRECT_URI", OURS)]));
    assert_eq!(config.redirect_uri(8080).as_str(), OURS);
    for strange in [
        "https://gateway.example.com/callback",
        "https://other.example.com/api/connect/ownerrez/callback",
        "http://gateway.example.com/api/connect/ownerrez/callback",
        "/api/connect/ownerrez/callback",
    ] {
        refused(&public(&[("OWNERREZ_REDIRECT_URI", strange)]), "OWNERREZ_REDIRECT_URI");
    }
}

#[test]
fn the_redirect_uri_of_the_predecessor_is_set_aside() {
    for theirs in ["https://gateway.example.com/oauth/callback", "http://localhost:3000/oauth/callback"] {
        let config = good(&public(&[("OWNERREZ_REDIRECT_URI", theirs)]));
        assert_eq!(config.redirect_uri(8080).as_str(), "https://gateway.example.com/api/connect/ownerrez/callback");
        assert_eq!(config.ownerrez.unused_redirect_uri.as_ref().map(|url| url.as_str()), Some(theirs));
    }
}

#[test]
fn hosts_and_origins_have_safe_defaults() {
    let config = good(&PUBLIC);
    assert_eq!(config.server.hosts(), ["127.0.0.1", "[::1]", "gateway.example.com", "localhost"]);
    assert_eq!(config.server.origins(8080), ["https://gateway.example.com"]);
    let config = good(&public(&[
        ("ALLOWED_HOSTS", "a.example.com, B.example.com:81"),
        ("ALLOWED_ORIGINS", "https://t.example"),
    ]));
    assert_eq!(config.server.hosts(), ["a.example.com", "b.example.com:81"]);
    assert_eq!(config.server.origins(8080), ["https://gateway.example.com", "https://t.example"]);
    assert_eq!(good(&[]).server.origins(4242), ["http://127.0.0.1:4242"]);
    refused(&[("ALLOWED_HOSTS", "*")], "ALLOWED_HOSTS");
    refused(&[("ALLOWED_ORIGINS", "*")], "ALLOWED_ORIGINS");
}

#[test]
fn the_log_has_two_formats() {
    assert_eq!(good(&[("LOG_FORMAT", "json")]).log_format, LogFormat::Json);
    refused(&[("LOG_FORMAT", "xml")], "LOG_FORMAT");
}

#[test]
fn metrics_have_an_address_or_a_token_worth_the_name() {
    let config = good(&[("METRICS_BIND", "[::1]:9090"), ("METRICS_TOKEN", "0123456789abcdef")]);
    assert_eq!(config.metrics.bind.map(|bind| bind.to_string()).as_deref(), Some("[::1]:9090"));
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    for bind in ["9090", "127.0.0.1", "localhost:9090"] {
        refused(&[("METRICS_BIND", bind)], "METRICS_BIND");
    }
    for token in ["short", "with a space in it, but long", "ümläutümläutümläut"] {
        refused(&[("METRICS_TOKEN", token)], "METRICS_TOKEN");
    }
}

#[test]
fn half_of_the_client_credentials_is_a_mistake() {
    refused(&[("OWNERREZ_CLIENT_ID", "c_1")], "OWNERREZ_CLIENT_SECRET");
    refused(&[("OWNERREZ_CLIENT_SECRET", "s_1")], "OWNERREZ_CLIENT_ID");
}

#[test]
fn webhooks_have_a_user_and_a_password_worth_the_name() {
    const USER: &str = "OWNERREZ_WEBHOOK_USER";
    const PASSWORD: &str = "OWNERREZ_WEBHOOK_PASSWORD";
    let config = good(&[(USER, "ownerrez"), (PASSWORD, "0123456789abcdef")]);
    assert_eq!(config.ownerrez.webhook.as_ref().expect("given").expose_secret(), "ownerrez:0123456789abcdef");
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    assert!(good(&[]).ownerrez.webhook.is_none());
    refused(&[(USER, "ownerrez")], PASSWORD);
    refused(&[(PASSWORD, "0123456789abcdef")], USER);
    refused(&[(USER, "ownerrez"), (PASSWORD, "short")], PASSWORD);
    refused(&[(USER, "owner:rez"), (PASSWORD, "0123456789abcdef")], USER);
}

#[test]
fn the_example_loads_once_its_key_is_filled_in() {
    let example = include_str!("../../config/env.example");
    let lines = example.lines().filter(|line| !line.starts_with('#'));
    let mut variables: Vec<_> = lines.filter_map(|line| line.split_once('=')).collect();
    let inside_compose = [("BIND", "0.0.0.0"), ("DATABASE_URL", "postgres://gateway:gateway@postgres/gateway")];
    variables.extend(inside_compose);
    refused(&variables, "ENCRYPTION_KEY");
    variables.push(("ENCRYPTION_KEY", KEY));
    good(&variables);
}

#[test]
fn registration_by_token_needs_one_that_nobody_guesses() {
    let mode = |variables: &[(&str, &str)]| good(variables).registration.mode;
    const TOKEN: &str = "0123456789abcdef";
    assert!(matches!(mode(&[("REGISTRATION_MODE", "closed")]), RegistrationMode::Closed));
    assert!(matches!(mode(&[("REGISTRATION_MODE", "open"), ("REGISTRATION_TOKEN", TOKEN)]), RegistrationMode::Open));
    let by_token = good(&[("REGISTRATION_MODE", "token"), ("REGISTRATION_TOKEN", TOKEN)]);
    let RegistrationMode::Token(token) = &by_token.registration.mode else { panic!("{:?}", by_token.registration) };
    assert_eq!(token.expose_secret(), TOKEN);
    assert!(!format!("{by_token:?}").contains(TOKEN));

    refused(&[("REGISTRATION_MODE", "token")], "REGISTRATION_TOKEN");
    refused(&[("REGISTRATION_MODE", "token"), ("REGISTRATION_TOKEN", "short")], "REGISTRATION_TOKEN");
    refused(&[("REGISTRATION_MODE", "invite")], "REGISTRATION_MODE");
    // An operator who sets a token expects it to prevent open registration.
    refused(&[("REGISTRATION_TOKEN", TOKEN)], "REGISTRATION_TOKEN");
}

#[test]
fn trusted_proxies_are_addresses_and_networks() {
    let config = good(&[("TRUSTED_PROXIES", "127.0.0.1, 172.16.0.0/12,fdaa::/16")]);
    assert_eq!(config.server.trusted_proxies.len(), 3);
    let from_file = load_file("[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n", &[]).expect("good");
    assert_eq!(from_file.server.trusted_proxies.len(), 1);
    for entries in ["proxy", "10.0.0.0/8;10.1.0.0/16", "0.0.0.0/0", "127.0.0.1,::/0"] {
        refused(&[("TRUSTED_PROXIES", entries)], "TRUSTED_PROXIES");
    }
}

#[test]
fn stdio_serves_one_account_or_a_gateway_and_not_both() {
    const KEY: &str = "ownerrez_sk_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123";
    let told = |variables: &[(&str, &str)]| {
        let stdio = [&[("TRANSPORT_MODE", "stdio")], variables].concat();
        load_file("", &stdio).map(|config| config.transport)
    };
    let bearer = told(&[("OWNERREZ_ACCESS_TOKEN", "at_1")]);
    assert!(matches!(bearer, Ok(Transport::Stdio(SingleAccount::Bearer(_)))));
    let basic = told(&[("OWNERREZ_USERNAME", "a@b.example"), ("OWNERREZ_TOKEN", "pt_1")]);
    assert!(matches!(basic, Ok(Transport::Stdio(SingleAccount::Basic { .. }))));
    let remote = told(&[("OWNERREZ_GATEWAY_URL", "http://127.0.0.1:8080"), ("OWNERREZ_API_KEY", KEY)]);
    assert!(matches!(remote, Ok(Transport::Remote { .. })));
    for (variables, named) in [
        (&[][..], "OWNERREZ_ACCESS_TOKEN"),
        (&[("OWNERREZ_USERNAME", "a@b.example")], "OWNERREZ_TOKEN"),
        (&[("OWNERREZ_TOKEN", "pt_1")], "OWNERREZ_USERNAME"),
        (&[("OWNERREZ_GATEWAY_URL", "http://127.0.0.1:8080")], "OWNERREZ_API_KEY"),
        (&[("OWNERREZ_API_KEY", KEY)], "OWNERREZ_GATEWAY_URL"),
        (&[("OWNERREZ_GATEWAY_URL", "http://127.0.0.1:8080"), ("OWNERREZ_API_KEY", "secret")], "OWNERREZ_API_KEY"),
        (&[("OWNERREZ_ACCESS_TOKEN", "at_1\nx")], "OWNERREZ_ACCESS_TOKEN"),
        (
            &[("OWNERREZ_ACCESS_TOKEN", "at_1"), ("OWNERREZ_USERNAME", "a@b.example"), ("OWNERREZ_TOKEN", "pt_1")],
            "several accounts",
        ),
    ] {
        let shown = told(variables).expect_err("a mistake").to_string();
        assert!(shown.contains(named), "{variables:?}: {shown}");
        assert!(!shown.contains("at_1") && !shown.contains("pt_1") && !shown.contains("secret"), "{shown}");
    }
}

#[test]
fn one_person_without_a_key_is_served_on_loopback_only() {
    let told = |variables: &[(&str, &str)]| {
        let alone = [&[("SINGLE_USER", "true")], variables].concat();
        load_file("", &alone).map(|config| config.transport)
    };
    let account = ("OWNERREZ_ACCESS_TOKEN", "at_1");
    assert!(matches!(told(&[account]), Ok(Transport::SingleUser { account: SingleAccount::Bearer(_), token: None })));
    let token = ("SINGLE_USER_TOKEN", "0123456789abcdef");
    assert!(matches!(told(&[account, token]), Ok(Transport::SingleUser { token: Some(_), .. })));
    let basic = told(&[("OWNERREZ_USERNAME", "a@b.example"), ("OWNERREZ_TOKEN", "pt_1")]);
    assert!(matches!(basic, Ok(Transport::SingleUser { account: SingleAccount::Basic { .. }, token: None })));
    let given = told(&[account, ("SINGLE_USER", "false")]);
    assert!(matches!(given, Ok(Transport::Http)), "an account alone opens nothing");
    for variables in [
        &[][..],
        &[("OWNERREZ_USERNAME", "a@b.example")],
        &[account, ("OWNERREZ_USERNAME", "a@b.example"), ("OWNERREZ_TOKEN", "pt_1")],
        &[account, ("TRANSPORT_MODE", "stdio")],
        &[account, ("SINGLE_USER_TOKEN", "too short")],
        &[account, token, ("SINGLE_USER", "false")],
        &[account, ("BIND", "0.0.0.0"), ("SERVER_URL", "https://gateway.example")],
    ] {
        let shown = told(variables).expect_err("a mistake").to_string();
        assert!(shown.contains("SINGLE_USER"), "{variables:?}: {shown}");
    }
}

#[test]
fn clients_of_the_operators_own_are_read_from_a_file() {
    let file = r#"[oauth]
        clients = [
            { id = "plain", redirect_uris = ["http://localhost/cb", "myapp://cb"] },
            { id = "signs", name = "Signs", redirect_uris = ["https://a.example/cb"], jwks_uri = "https://a.example/jwks" },
        ]"#;
    let clients = load_file(file, &[]).expect("good").oauth_clients.predefined;
    let told = |client: &PredefinedClient| (client.id.clone(), client.name.clone(), client.redirect_uris.len());
    assert_eq!(told(&clients[0]), ("plain".to_owned(), "plain".to_owned(), 2));
    assert_eq!(told(&clients[1]), ("signs".to_owned(), "Signs".to_owned(), 1));
    assert!(clients[0].jwks_uri.is_none());
    assert_eq!(clients[1].jwks_uri.as_ref().map(Url::as_str), Some("https://a.example/jwks"));
}

#[test]
fn clients_that_make_no_sense_are_refused() {
    for clients in [
        "1",
        "[1]",
        r#"[{ redirect_uris = ["https://a.example/cb"] }]"#,
        r#"[{ id = "a b", redirect_uris = ["https://a.example/cb"] }]"#,
        r#"[{ id = "a", redirect_uris = [] }]"#,
        r#"[{ id = "a" }]"#,
        r#"[{ id = "a", redirect_uris = [7] }]"#,
        r#"[{ id = "a", redirect_uris = ["http://a.example/cb"] }]"#,
        r#"[{ id = "a", redirect_uris = ["javascript:x"] }]"#,
        r#"[{ id = "a", redirect_uris = ["https://a.example/cb"], jwks_uri = "http://a.example/jwks" }]"#,
        r#"[{ id = "a", redirect_uris = ["https://a.example/cb"], client_secret = "s" }]"#,
        r#"[{ id = "a", redirect_uris = ["https://a.example/1"] }, { id = "a", redirect_uris = ["https://a.example/2"] }]"#,
    ] {
        assert_eq!(
            at_fault(load_file(&format!("[oauth]\nclients = {clients}\n"), &[])),
            ["oauth.clients"],
            "{clients}"
        );
    }
    for wrong in ["javascript:alert(1)", "cursor", "https://a.example/cb", "http://localhost/cb", "cursor://*/cb"] {
        let file = format!("[oauth]\nredirect_uris = [\"{wrong}\"]\n");
        assert_eq!(at_fault(load_file(&file, &[])), ["oauth.redirect_uris"], "{wrong}");
    }
    let wrong = "[oauth]\nknown_redirect_uris = [\"https://*.example/cb\"]\n";
    assert_eq!(at_fault(load_file(wrong, &[])), ["oauth.known_redirect_uris"]);
}

#[test]
fn the_setting_of_an_earlier_version_names_the_new_one() {
    let errors = load_file("[oauth]\nredirect_schemes = [\"cursor\"]\n", &[]).unwrap_err();
    let text = errors.to_string();
    assert!(text.contains("oauth.redirect_schemes") && text.contains("oauth.redirect_uris"), "{text}");
}

#[test]
fn a_contact_is_something_that_people_can_use() {
    for good in ["help@gateway.example", "+44 20 7946 0000", "https://gateway.example/help"] {
        assert_eq!(load(&[("OPERATOR_CONTACT", good)]).unwrap().server.contact.as_deref(), Some(good));
    }
    for bad in ["the office", "http://gateway.example", "https://user:word@gateway.example", "a@b\nc", "javascript:x@y"]
    {
        assert_eq!(
            at_fault(load(&[("OPERATOR_CONTACT", bad)])),
            ["OPERATOR_CONTACT (server.contact in a file)"],
            "{bad:?}"
        );
    }
}
