//! A complete lifecycle, once with all log levels enabled and once at the default level: registering, connecting,
//! calls, refreshes, wrong keys, new keys, deletion. Afterwards no secret may be in the log, in a response that is not
//! meant to contain it, in the metrics or in the database.

mod account;
mod scanner;
mod scenario;

use std::{path::Path, sync::Arc};

use ownerrez_gateway::{
    app::SystemClock,
    domain::is_invisible,
    simulator::{Simulator, SimulatorOptions},
};
use sea_orm::{ConnectionTrait, Statement};

use self::{scanner::SecretScanner, scenario::Scenario};
use crate::{
    processes::program::Program,
    tenant_tables::schema::Schema,
    world::{TestDatabase, on_each_database},
};

/// The tables that the story of the account page writes; the scenario writes all others.
const OF_THE_ACCOUNT_PAGE: [&str; 6] =
    ["account_sessions", "authorization_codes", "identities", "oauth_grants", "refresh_tokens", "sign_in_requests"];

/// The program does not write this table, which contains digests only.
const UNUSED: &str = "forgotten_clients";

const CLIENT_SECRET: &str = "s_Client+Secret/4711=";
const REGISTRATION_TOKEN: &str = "registration-token/0123+4567=";
const METRICS_TOKEN: &str = "metrics-token/89ab+cdef=";
const DATABASE_PASSWORD: &str = "database-password-7";
const KEY: &str = "+/+/Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MD8/Pz8=";
const PREVIOUS_KEY: &str = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIz/zU=";

#[actix_web::test]
async fn no_secret_of_a_life_is_told_at_any_level_of_the_log() {
    on_each_database(async |database| {
        for (format, level) in [("text", "trace"), ("json", "trace")] {
            run_scenario(database, format, level).await;
        }
    })
    .await;
}

/// The level without RUST_LOG: library log lines must not interfere with the gateway's own.
#[actix_web::test]
async fn no_secret_of_a_life_is_told_by_the_log_as_operators_have_it() {
    on_each_database(async |database| {
        for format in ["text", "json"] {
            run_scenario(database, format, "").await;
        }
    })
    .await;
}

async fn run_scenario(database: &TestDatabase, format: &str, level: &str) {
    let home = tempfile::tempdir().unwrap();
    let options =
        SimulatorOptions { client_secret: CLIENT_SECRET.into(), ..SimulatorOptions::new(Arc::new(SystemClock::new())) };
    let ownerrez = Simulator::start(options).await.unwrap();
    let scanner = SecretScanner::default();
    for (name, value) in [
        ("client secret", CLIENT_SECRET),
        ("registration token", REGISTRATION_TOKEN),
        ("metrics token", METRICS_TOKEN),
        ("database password", DATABASE_PASSWORD),
    ] {
        scanner.secret(name, value);
    }
    for (name, key) in [("encryption key", KEY), ("previous key", PREVIOUS_KEY)] {
        scanner.secret(name, base64::Engine::decode(&base64::engine::general_purpose::STANDARD, key).unwrap());
    }
    let (database_url, ownerrez_url) = (with_password(&database.url()), ownerrez.url());
    let mut environment = vec![
        ("PORT", "0"),
        ("LOG_FORMAT", format),
        ("DATABASE_URL", &database_url),
        ("ENCRYPTION_KEY", KEY),
        ("ENCRYPTION_KEYS_PREVIOUS", PREVIOUS_KEY),
        ("OWNERREZ_API_URL", &ownerrez_url),
        ("OWNERREZ_APP_URL", &ownerrez_url),
        ("OWNERREZ_CLIENT_ID", "c_sandbox"),
        ("OWNERREZ_CLIENT_SECRET", CLIENT_SECRET),
        ("REGISTRATION_MODE", "token"),
        ("REGISTRATION_TOKEN", REGISTRATION_TOKEN),
        ("METRICS_TOKEN", METRICS_TOKEN),
    ];
    if !level.is_empty() {
        environment.push(("RUST_LOG", level));
    }
    let gateway = Program::start(home.path(), &["serve"], &environment);
    let url = address(&gateway.says("public address "));

    let scenario = Scenario { url, ownerrez: ownerrez.controls(), scanner: &scanner };
    scenario.run().await;
    scanner.check_absent("the database", &contents(database).await);
    let schema = Schema::of(database).await;
    let mut empty = schema.empty_tables(database).await;
    let ends = scenario.finish().await;
    for command in [&["check"][..], &["users", "list", "--json"], &["reseal"]] {
        let ending = Program::start(home.path(), command, &environment).end();
        assert_eq!(ending.code, Some(0), "{}", ending.written);
        scanner.check_absent(command[0], ending.written.as_bytes());
    }
    let ending = gateway.stop();
    assert_eq!(ending.code, Some(0));
    for word in [&*ends, "request answered", "mcp_error"] {
        assert!(ending.written.contains(word), "the log tells of {word}");
    }
    assert_eq!(ending.written.contains("DEBUG"), level == "trace");
    for line in ending.written.lines() {
        let begins = if format == "json" { line.starts_with('{') } else { line.starts_with('[') };
        assert!(begins && !line.contains("rmcp"), "a line that is not the gateway's own: {line:?}");
        assert!(!line.contains(|c: char| c.is_control() || is_invisible(c)), "{line:?}");
    }
    scanner.check_absent("the log", ending.written.as_bytes());
    empty = &empty & &schema.empty_tables(database).await;
    empty.retain(|table| *table != UNUSED && !OF_THE_ACCOUNT_PAGE.contains(table));
    assert!(empty.is_empty(), "write these tables in a step of secrets/scenario.rs: {empty:?}");
    scanner.check_absent("the database at the end", &contents(database).await);
    scanner.check_responses();
    ownerrez.stop(true).await;
}

/// Adds a password to the URL if it has none; the tests' server then accepts any.
fn with_password(url: &str) -> String {
    let mut url = url::Url::parse(url).unwrap();
    if url.scheme() == "postgres" && url.password().is_none() {
        url.set_password(Some(DATABASE_PASSWORD)).unwrap();
    }
    url.to_string()
}

pub(crate) fn address(line: &str) -> String {
    let (_, url) = line.split_once("public address ").unwrap();
    let end = url.find(['"', ' ', ',']).unwrap_or(url.len());
    url[..end].trim_end_matches('/').to_owned()
}

/// Returns every byte of SQLite's files, or every column of every row of PostgreSQL.
async fn contents(database: &TestDatabase) -> Vec<u8> {
    if let Some(file) = database.url().strip_prefix("sqlite://") {
        let files = std::fs::read_dir(Path::new(file).parent().unwrap()).unwrap();
        return files.flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    }
    let db = database.open().await;
    let column = async |query: &str| -> Vec<String> {
        let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), query)).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    };
    let mut all = Vec::new();
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
    for table in column(tables).await {
        all.extend(column(&format!(r#"SELECT t::text FROM "{table}" t"#)).await);
    }
    all.join("\n").into_bytes()
}
