//! Defaults, the file and the environment.

use super::*;

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
fn the_example_loads_once_its_key_is_filled_in() {
    let example = include_str!("../../../config/env.example");
    let lines = example.lines().filter(|line| !line.starts_with('#'));
    let mut variables: Vec<_> = lines.filter_map(|line| line.split_once('=')).collect();
    let inside_compose = [("BIND", "0.0.0.0"), ("DATABASE_URL", "postgres://gateway:gateway@postgres/gateway")];
    variables.extend(inside_compose);
    refused(&variables, "ENCRYPTION_KEY");
    variables.push(("ENCRYPTION_KEY", KEY));
    good(&variables);
}
