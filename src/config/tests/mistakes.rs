//! Errors of the settings: all of them, with their places and remedies, and without secrets.

use secrecy::ExposeSecret;

use super::*;

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
fn the_setting_of_an_earlier_version_names_the_new_one() {
    let errors = load_file("[oauth]\nredirect_schemes = [\"cursor\"]\n", &[]).unwrap_err();
    let text = errors.to_string();
    assert!(text.contains("oauth.redirect_schemes") && text.contains("oauth.redirect_uris"), "{text}");
}
