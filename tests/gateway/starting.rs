//! The start waits for its database, and the port answers meanwhile; a signal ends it at any moment.

use std::net::TcpListener;

use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::{Value, json};

use crate::{
    processes::program::Program,
    world::{Person, TestDatabase, eventually, on_each_database, on_postgres},
};

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
/// The lock of the migrations, see `ownerrez_gateway::store::lock`.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(1869768557, 0)";

fn gateway(database_url: &str) -> (Program, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    (start(home.path(), database_url), home)
}

fn start(home: &std::path::Path, database_url: &str) -> Program {
    let environment = [("PORT", "0"), ("RUST_LOG", "info"), ("DATABASE_URL", database_url), ("ENCRYPTION_KEY", KEY)];
    Program::start(home, &["serve"], &environment)
}

/// Checks the responses of the port while the start waits.
async fn waits_for(url: &str, reason: &str) {
    let visitor = Person::visitor(url);
    assert_eq!(visitor.get("/health").await.body, json!({"status": "ok"}));
    let answer = eventually("the reason is shown", async || {
        let answer = visitor.get("/ready").await;
        assert_eq!(answer.status, 503);
        (answer.body["reason"] == json!(reason)).then_some(answer)
    })
    .await;
    assert!(answer.body["hint"].as_str().is_some_and(|hint| hint.contains("by itself")), "{}", answer.body);
    for path in ["/mcp", "/api/users/register", "/authorize", "/metrics", "/"] {
        let refused = visitor.post(path, &Value::Null).await;
        assert_eq!((refused.status, refused.error()), (503, "starting"), "{path}");
        assert!(refused.header("retry-after").is_some(), "{path}");
    }
}

async fn serves(program: &Program) {
    let url = program.url();
    let reply = Person::visitor(&url).post("/api/users/register", &json!({"name": "Ada"})).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(Person::visitor(&url).get("/ready").await.status, 200);
}

fn ends_in_order(program: Program, signal: &str) {
    program.signal(signal);
    let ending = program.end();
    assert_eq!(ending.code, Some(0), "{}", ending.written);
    assert!(!ending.written.contains("panicked"), "{}", ending.written);
}

#[actix_web::test]
async fn a_start_that_waits_for_migrations_says_so() {
    on_postgres(async |database| {
        // In the second round the tables exist.
        for lock in [MIGRATION_LOCK, "LOCK TABLE seaql_migrations"] {
            let other = database.open_alone().await;
            let held = other.begin().await.unwrap();
            held.execute_unprepared(lock).await.unwrap();
            let (stopped, _home) = gateway(&database.url());
            waits_for(&stopped.starting_url(), "migrations_pending").await;
            ends_in_order(stopped, "TERM");

            let (program, _home) = gateway(&database.url());
            waits_for(&program.starting_url(), "migrations_pending").await;
            held.rollback().await.unwrap();
            serves(&program).await;
            ends_in_order(program, "TERM");
        }
    })
    .await;
}

#[actix_web::test]
async fn a_start_that_waits_for_an_embedded_database_says_so() {
    let home = tempfile::tempdir().unwrap();
    let database = TestDatabase::file(&format!("sqlite://{}", home.path().join("gateway.db").display()));
    let program = start(home.path(), &database.url());
    serves(&program).await;
    ends_in_order(program, "TERM");
    let other = database.open_alone().await;
    other.execute_unprepared("BEGIN EXCLUSIVE").await.unwrap();
    let program = start(home.path(), &database.url());
    waits_for(&program.starting_url(), "migrations_pending").await;
    other.execute_unprepared("ROLLBACK").await.unwrap();
    serves(&program).await;
    ends_in_order(program, "TERM");
}

#[actix_web::test]
async fn a_start_without_a_server_says_so_and_ends_at_a_signal() {
    // Accepts connections but never sends anything.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = format!("postgres://gateway@{}/gateway", mute.local_addr().unwrap());
    for (url, signal) in [(&*mute, "TERM"), (&*mute, "HUP"), ("postgres://gateway@127.0.0.1:1/gateway", "INT")] {
        let (program, _home) = gateway(url);
        waits_for(&program.starting_url(), "database_unavailable").await;
        ends_in_order(program, signal);
    }
}

#[actix_web::test]
async fn a_signal_in_the_first_moment_ends_the_start_in_order() {
    on_each_database(async |database| {
        for signal in ["TERM", "HUP", "INT"] {
            let (program, _home) = gateway(&database.url());
            // Before anything was opened.
            program.starting_url();
            ends_in_order(program, signal);
        }
        let (program, _home) = gateway(&database.url());
        serves(&program).await;
        ends_in_order(program, "HUP");
    })
    .await;
}

#[actix_web::test]
async fn a_gateway_that_is_to_outlive_its_terminal_does() {
    let home = tempfile::tempdir().unwrap();
    let environment = [("PORT", "0"), ("RUST_LOG", "info"), ("ENCRYPTION_KEY", KEY)];
    let program = Program::start_ignoring("HUP", home.path(), &["serve"], &environment);
    let url = program.url();
    program.signal("HUP");
    assert_eq!(Person::visitor(&url).get("/health").await.status, 200);
    ends_in_order(program, "TERM");
}
