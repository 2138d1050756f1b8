//! The operator's commands next to a running gateway: `check` and `users`.

use chrono::TimeDelta;
use ownerrez_gateway::{
    app::{self, UsersCommand},
    config::{Config, Sources},
};
use serde_json::{Value, json};

use crate::{
    processes::program::{Ending, Program},
    world::{ClientApp, Gateway, Person, Settings, TestDatabase, on_each_database, on_postgres},
};

const REVOKE: &str = "DELETE /oauth/access_token/{token}";
const TOKEN: &str = "POST /oauth/access_token";
const OTHER_KEY: &str = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU=";

/// Runs the program with the settings of this gateway and with overrides.
fn run(gateway: &Gateway, arguments: &[&str], over: &[(&str, &str)]) -> Ending {
    let home = tempfile::tempdir().unwrap();
    let mut environment = gateway.environment();
    environment.extend_from_slice(over);
    Program::start(home.path(), arguments, &environment).end()
}

fn succeeds(gateway: &Gateway, arguments: &[&str]) -> String {
    let ending = run(gateway, arguments, &[]);
    assert_eq!(ending.code, Some(0), "{ending:?}");
    ending.output
}

fn listed(gateway: &Gateway) -> Value {
    serde_json::from_str(&succeeds(gateway, &["users", "list", "--json"])).unwrap()
}

async fn works(person: &Person) {
    person.call("get_current_user", json!({})).await.ok();
}

#[actix_web::test]
async fn users_are_shown_beside_a_running_gateway() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.user("Bob").await;
        // A name from before names were validated.
        database.execute("UPDATE api_keys SET name = 'Bob \u{1b}[2J' WHERE name = 'Bob'").await;
        works(&alice).await;

        let all = listed(&gateway);
        let [first, second] = &all.as_array().unwrap()[..] else { panic!("{all}") };
        let (shown_alice, shown_bob) = if first["id"] == json!(alice.id) { (first, second) } else { (second, first) };
        assert_eq!(shown_alice["keys"][0]["prefix"], json!(alice.key[..24]));
        assert_eq!(
            (&shown_alice["keys"][0]["name"], &shown_alice["keys"][0]["scope"]),
            (&json!("Alice"), &json!("full"))
        );
        assert_ne!(shown_alice["keys"][0]["last_used_at"], Value::Null);
        assert_eq!(shown_alice["connection"]["state"], json!("connected"));
        assert_eq!(shown_alice["connection"]["ownerrez_user_id"], json!(alice.account.unwrap().0));
        assert_eq!(shown_alice["disabled_at"], Value::Null);
        assert_eq!((&shown_bob["id"], &shown_bob["connection"]), (&json!(bob.id), &Value::Null));

        let text = succeeds(&gateway, &["users", "list"]);
        for part in [&alice.id, &bob.id, &alice.key[..24], "connected", "2 users"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\u{1b}'), "names steer no terminal: {text:?}");
        assert!(!text.contains(&alice.key), "{text}");

        gateway.ownerrez().revoke_account_grants(alice.account.unwrap());
        alice.call("list_owners", json!({})).await.refused();
        assert!(succeeds(&gateway, &["users", "list"]).contains("needs_reconnect"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn who_signed_in_and_with_which_clients_is_shown_too() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        for name in ["App", "Other app"] {
            let app = ClientApp::register(&gateway, name).await;
            let tokens = app.tokens(&gateway, account, &[]).await;
            gateway.advance(TimeDelta::minutes(1));
            app.refresh(&tokens["refresh_token"], &[]).await;
            // Authorized but never redeemed.
            app.sign_in(&gateway, account, &[]).await;
        }

        let all = operate(&gateway, UsersCommand::List).await;
        let user = &all[0];
        assert_eq!(user["identities"][0]["ownerrez_user_id"], json!(account.0.to_string()));
        let clients: Vec<_> = user["clients"].as_array().unwrap().iter().map(|client| &client["name"]).collect();
        assert_eq!(clients, ["App", "Other app"]);
        assert!(user["clients"][1]["last_used_at"].as_str() > user["clients"][0]["last_used_at"].as_str());
        let text = said(&gateway, UsersCommand::List, false).await;
        for part in [format!("signs in as {account} at http"), "clients signed in: 2, last used 20".to_owned()] {
            assert!(text.contains(&part), "{part}: {text}");
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_user_is_disabled_and_enabled() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let disabled = async || database.number("SELECT count(*) FROM users WHERE disabled_at IS NOT NULL").await;

        let text = succeeds(&gateway, &["users", "disable", &alice.key[..24]]);
        assert!(text.contains(&alice.id) && text.contains("users enable"), "{text}");
        assert_eq!(disabled().await, 1);
        let since = listed(&gateway)[0]["disabled_at"].clone();
        assert_ne!(since, Value::Null);
        succeeds(&gateway, &["users", "disable", &alice.id]);
        assert_eq!(listed(&gateway)[0]["disabled_at"], since, "since the first time");

        // Tokens of a disabled user are not refreshed; after the user is enabled, they are.
        gateway.advance(TimeDelta::days(27) + TimeDelta::hours(1));
        gateway.ownerrez().clear_requests();
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 0);
        succeeds(&gateway, &["users", "enable", &alice.id]);
        assert_eq!(disabled().await, 0);
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count(TOKEN), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_deleted_user_leaves_nothing_but_the_revocation() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        works(&alice).await;
        alice.get("/api/connect/ownerrez/status").await;
        gateway.app().sessions().run_background_jobs().await;

        let told = operate(&gateway, UsersCommand::Delete { user: alice.id.clone() }).await;
        assert_eq!(told, json!({"id": alice.id, "deleted": true, "revocation_queued": true}));
        for table in ["users", "api_keys", "ownerrez_connections"] {
            assert_eq!(database.number(&format!("SELECT count(*) FROM {table}")).await, 1, "{table}");
        }
        assert_eq!(database.number("SELECT count(*) FROM pending_revocations").await, 1);

        gateway.app().sessions().run_background_jobs().await;
        let revoked = gateway.ownerrez().requests_to(REVOKE);
        let revoked: Vec<_> = revoked.iter().map(|sent| (sent.account, sent.status)).collect();
        assert_eq!(revoked, [(alice.account.map(|account| account.0), Some(200))]);
        assert_eq!(database.number("SELECT count(*) FROM pending_revocations").await, 0);
        works(&bob).await;

        // A deleted user cannot be deleted again, and the error does not repeat the argument: it may be a whole key.
        for (command, user) in [("delete", alice.id.as_str()), ("disable", &bob.key), ("enable", "nobody")] {
            let refused = run(&gateway, &["users", command, user], &[]);
            assert_eq!(refused.code, Some(1), "{refused:?}");
            assert!(refused.errors.contains("users list") && !refused.errors.contains(user), "{refused:?}");
        }
        gateway.stop().await;
    })
    .await;
}

async fn usage(gateway: &Gateway) -> Value {
    operate(gateway, UsersCommand::Usage).await
}

/// Runs a command with the test's clock, where the time matters: the program itself uses the system time.
async fn operate(gateway: &Gateway, command: UsersCommand) -> Value {
    serde_json::from_str(&said(gateway, command, true).await).unwrap()
}

async fn said(gateway: &Gateway, command: UsersCommand, as_json: bool) -> String {
    let environment =
        gateway.environment().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let config = Config::load(Sources { file: None, environment }).unwrap();
    app::run_users_command(&config, command, as_json, gateway.clock.clone()).await.unwrap()
}

#[actix_web::test]
async fn the_use_of_the_allowance_is_told_per_user() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        for _ in 0..5 {
            works(&alice).await;
        }
        works(&bob).await;
        gateway.app().sessions().run_background_jobs().await;
        gateway.app().sessions().run_background_jobs().await;
        // Connecting cost each of them one request.
        assert_eq!(
            usage(&gateway).await,
            json!({"last_hour": 8, "last_day": 8, "users": [
                {"id": alice.id, "last_hour": 6, "last_hour_percent": 75.0, "last_day": 6, "last_day_percent": 75.0},
                {"id": bob.id, "last_hour": 2, "last_hour_percent": 25.0, "last_day": 2, "last_day_percent": 25.0},
            ]})
        );

        // Two hours later; a process that stops stores its counters.
        gateway.advance(TimeDelta::hours(2));
        works(&bob).await;
        let gateway = gateway.restart().await;
        let later = usage(&gateway).await;
        assert_eq!((&later["last_hour"], &later["last_day"]), (&json!(1), &json!(9)));
        assert_eq!((&later["users"][0]["id"], &later["users"][0]["last_hour"]), (&json!(bob.id), &json!(1)));

        gateway.advance(TimeDelta::days(3));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(usage(&gateway).await, json!({"last_hour": 0, "last_day": 0, "users": []}));
        assert_eq!(database.number("SELECT count(*) FROM allowance_use").await, 0);
        assert!(succeeds(&gateway, &["users", "usage"]).contains("LAST HOUR"));
        gateway.stop().await;
    })
    .await;
}

#[test]
fn users_of_a_database_that_is_not_there_make_none() {
    let home = tempfile::tempdir().unwrap();
    let ending = Program::start(home.path(), &["users", "list"], &[]).end();
    assert_eq!(ending.code, Some(1));
    assert!(ending.errors.contains("DATABASE_URL"), "{ending:?}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[actix_web::test]
async fn check_finds_nothing_wrong_with_a_gateway_that_works() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        gateway.connected_user("Carol").await;
        succeeds(&gateway, &["users", "delete", &bob.id]);
        gateway.ownerrez().clear_requests();

        let text = succeeds(&gateway, &["check"]);
        for part in ["up to date", "(current): 2 connections, 1 token to be revoked", "c_sandbox", "No problems."] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(gateway.ownerrez().requests().len(), 0, "without --upstream nothing is sent");
        let text = succeeds(&gateway, &["check", "--upstream"]);
        assert!(text.contains("responds (status 404)"), "{text}");
        assert_eq!(gateway.ownerrez().requests().len(), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn check_tells_which_rows_hang_on_which_key() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        gateway.connected_user("Alice").await;
        let first = gateway.environment().into_iter().find(|(name, _)| *name == "ENCRYPTION_KEY").unwrap().1.to_owned();

        // The operator's key differs from the key of these rows.
        let wrong = run(&gateway, &["check"], &[("ENCRYPTION_KEY", OTHER_KEY)]);
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
        assert!(wrong.output.contains("which is not configured: 1 connection"), "{wrong:?}");
        assert!(wrong.output.contains("ENCRYPTION_KEYS_PREVIOUS") && wrong.output.ends_with("1 problem."), "{wrong:?}");
        assert!(!wrong.output.contains(OTHER_KEY) && !wrong.errors.contains(OTHER_KEY));

        let both = Settings::default().set("ENCRYPTION_KEY", OTHER_KEY).set("ENCRYPTION_KEYS_PREVIOUS", &first);
        let gateway = gateway.restart_with(both).await;
        gateway.connected_user("Bob").await;
        let text = succeeds(&gateway, &["check"]);
        assert!(text.contains("(current)") && text.contains("(previous"), "{text}");

        // A token that was moved to another user's row cannot be decrypted.
        database
            .execute(
                "UPDATE ownerrez_connections SET refresh_token = (SELECT refresh_token FROM ownerrez_connections AS o
                 WHERE o.user_id <> ownerrez_connections.user_id)",
            )
            .await;
        let moved = run(&gateway, &["check"], &[]);
        assert_eq!(moved.code, Some(2), "{moved:?}");
        assert!(
            moved.output.contains("1 cannot be decrypted") || moved.output.contains("2 cannot be decrypted"),
            "{moved:?}"
        );
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn check_knows_the_seals_of_the_predecessor_before_and_after_the_take_over() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/fixtures");
    let dump = std::fs::read_to_string(folder.join("predecessor.sql")).unwrap();
    let contents: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("predecessor.json")).unwrap()).unwrap();
    let key = contents["encryption_key"].as_str().unwrap().to_owned();
    on_postgres(async |database: &TestDatabase| {
        database.execute(&dump).await;
        let url = database.url();
        let home = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str], key: &str| {
            Program::start(home.path(), arguments, &[("DATABASE_URL", &url), ("ENCRYPTION_KEY", key)]).end()
        };
        for taken_over in [false, true] {
            let right = run(&["check"], &key);
            assert_eq!(right.code, Some(0), "{right:?}");
            assert!(right.output.contains("TypeScript server (key configured)"), "{right:?}");
            assert_eq!(right.output.contains("first_tables"), !taken_over, "{right:?}");
            let wrong = run(&["check"], OTHER_KEY);
            assert_eq!(wrong.code, Some(2), "{wrong:?}");
            assert!(wrong.output.contains("cannot be decrypted"), "{wrong:?}");
            assert_eq!(run(&["migrate", "up"], &key).code, Some(0));
        }
    })
    .await;
}

#[actix_web::test]
async fn check_finds_tables_that_the_gateway_would_refuse() {
    on_postgres(async |database: &TestDatabase| {
        database.execute("CREATE TABLE users (id integer)").await;
        let (url, home) = (database.url(), tempfile::tempdir().unwrap());
        let environment = [("DATABASE_URL", &*url), ("ENCRYPTION_KEY", OTHER_KEY)];
        for arguments in [&["check"][..], &["migrate", "up"], &["serve"]] {
            let ending = Program::start(home.path(), arguments, &environment).end();
            assert_ne!(ending.code, Some(0), "{ending:?}");
            assert!(ending.written.contains("users.id is integer, not uuid"), "{ending:?}");
            assert!(!ending.written.contains("next start applies"), "{ending:?}");
        }
    })
    .await;
}

#[test]
fn check_tells_every_problem_at_once() {
    let home = tempfile::tempdir().unwrap();
    let dead = [
        ("DATABASE_URL", "postgres://nobody:hush@127.0.0.1:1/none"),
        ("PORT", "many"),
        ("OWNERREZ_API_URL", "http://127.0.0.1:1"),
        ("OWNERREZ_REDIRECT_URI", "http://localhost:3000/oauth/callback"),
        ("OWNERREZ_CLIENT_ID", "c_half"),
    ];
    let ending = Program::start(home.path(), &["check", "--upstream"], &dead).end();
    assert_eq!(ending.code, Some(2), "{ending:?}");
    let text = &ending.output;
    for part in [
        "PORT (server.port in a file)",
        "ENCRYPTION_KEY (encryption.key in a file)",
        "PROBLEM  database: the database is unavailable",
        "PROBLEM  OWNERREZ_REDIRECT_URI is http://localhost:3000/oauth/callback",
        "/api/connect/ownerrez/callback",
        "PROBLEM  OwnerRez: no response from http://127.0.0.1:1/",
        "OWNERREZ_CLIENT_SECRET (ownerrez.client_secret in a file)",
        "6 problems.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.matches("To fix it: ").count(), 6, "{text}");
    assert!(!text.contains("no OAuth app is configured"), "{text}");
    assert!(!text.contains("hush"), "{text}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "it makes nothing");
}

#[test]
fn check_before_the_first_start_is_fine_and_makes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let ending = Program::start(home.path(), &["check"], &[]).end();
    assert_eq!(ending.code, Some(0), "{ending:?}");
    assert!(ending.output.contains("the first start creates it") && ending.output.contains("OWNERREZ_CLIENT_ID"));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[actix_web::test]
async fn check_misses_a_key_file_that_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("data/gateway.db");
    let database = format!("sqlite://{}", file.display());
    let kept = Settings::default().set("ENCRYPTION_KEY", "");
    let gateway = Gateway::start_with(&TestDatabase::file(&database), kept).await;
    gateway.connected_user("Alice").await;
    let key = home.path().join("data/gateway.db.key");
    assert!(succeeds(&gateway, &["check"]).contains("(current)"));
    std::fs::rename(&key, home.path().join("elsewhere")).unwrap();
    let ending = run(&gateway, &["check"], &[]);
    assert_eq!(ending.code, Some(2), "{ending:?}");
    assert!(ending.output.contains("restore the key file"), "{ending:?}");
    assert!(!key.exists(), "none is made in its place");
    gateway.stop().await;
}
