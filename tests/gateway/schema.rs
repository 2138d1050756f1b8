//! The schema and state of the database from an operator's point of view: newer than the program, reverted, damaged.

use std::{
    fs::OpenOptions,
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    processes::program::{Ending, Program},
    world::{Gateway, Person, TestDatabase, on_each_database},
};

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

fn run(database: &TestDatabase, arguments: &[&str]) -> Ending {
    let home = tempfile::tempdir().unwrap();
    let url = database.url();
    let environment = [("PORT", "0"), ("DATABASE_URL", &*url), ("ENCRYPTION_KEY", KEY)];
    Program::start(home.path(), arguments, &environment).end()
}

#[actix_web::test]
async fn a_program_that_is_older_than_the_database_says_which_one_to_start() {
    on_each_database(async |database| {
        assert_eq!(run(database, &["migrate", "up"]).code, Some(0));
        database.execute("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_later', 0)").await;
        for (stored, told) in [("'9.8.7'", "start version 9.8.7 or newer"), ("NULL", "m9999_later")] {
            database.execute(&format!("UPDATE gateway_state SET schema_version = {stored}")).await;
            for (arguments, code) in [
                (&["serve"][..], 1),
                (&["migrate", "up"], 1),
                (&["migrate", "status"], 1),
                (&["migrate", "down", "--yes"], 1),
                (&["users", "list"], 1),
                (&["reseal"], 1),
                (&["check"], 2),
            ] {
                let ending = run(database, arguments);
                let said = ending.output + &ending.errors;
                assert_eq!(ending.code, Some(code), "{arguments:?}: {said}");
                assert!(said.contains("the database schema is newer than this program"), "{arguments:?}: {said}");
                assert!(said.contains(told), "{arguments:?}: {said}");
            }
        }
        // The program changed nothing.
        let later = "SELECT count(*) FROM seaql_migrations WHERE version = 'm9999_later'";
        assert_eq!(database.number(later).await, 1);
    })
    .await;
}

#[actix_web::test]
async fn the_schema_names_the_program_that_made_it() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let own = format!("SELECT count(*) FROM gateway_state WHERE schema_version = '{}'", env!("CARGO_PKG_VERSION"));
        assert_eq!(database.number(&own).await, 1);
        // A program that applies no migration does not change the recorded version.
        database.execute("UPDATE gateway_state SET schema_version = '0.0.1'").await;
        let gateway = gateway.restart().await;
        assert_eq!(database.number(&own).await, 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_people_rely_on_is_dropped_only_when_that_is_said() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let ada = gateway.user("Ada").await;
        gateway.stop().await;
        let applied = async || database.number("SELECT count(*) FROM seaql_migrations").await;
        let all = applied().await;
        for steps in ["1", "9", "4294967295"] {
            let refused = run(database, &["migrate", "down", "--steps", steps]);
            assert_eq!(refused.code, Some(1), "{refused:?}");
            assert!(refused.errors.contains("--yes") && refused.errors.contains("m2026"), "{refused:?}");
            assert_eq!(applied().await, all);
        }
        assert_eq!(database.number("SELECT count(*) FROM users").await, 1);

        assert_eq!(run(database, &["migrate", "down", "--yes"]).code, Some(0));
        assert_eq!(applied().await, all - 1);
        let gateway = Gateway::start(database).await;
        assert_eq!(ada.at(&gateway.url).get("/api/keys").await.status, 200);
        gateway.stop().await;
    })
    .await;
}

/// Overwrites every page but the first.
fn damage(file: &Path) {
    let mut file = OpenOptions::new().write(true).open(file).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    for page in 1..pages {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xa5; 4096]).unwrap();
    }
}

#[actix_web::test]
async fn a_damaged_file_is_named_and_costs_no_500() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("gateway.db");
    let database = TestDatabase::file(&format!("sqlite://{}", path.display()));
    let gateway = Gateway::start(&database).await;
    let ada = gateway.connected_user("Ada").await;
    gateway.stop().await;
    assert_eq!(run(&database, &["check"]).code, Some(0));

    // The pages of users' rows; those of the schema are intact.
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'ownerrez_connections'";
    let page = u64::try_from(database.number(root).await).unwrap();
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start((page - 1) * 4096)).unwrap();
    file.write_all(&[0xa5; 4096]).unwrap();
    drop(file);

    let checked = run(&database, &["check"]);
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.output.contains("database: damaged") && checked.output.contains("backup"), "{}", checked.output);

    let gateway = Gateway::start(&database).await;
    let ada = ada.at(&gateway.url);
    let asked = ada.get("/api/connect/ownerrez/status").await;
    assert_eq!((asked.status, asked.error()), (503, "database_damaged"), "{}", asked.body);
    assert!(asked.header("retry-after").is_some());
    let told = ada.call("list_owners", json!({})).await.refused();
    assert!(told.contains("damaged") && told.contains("operator"), "{told}");
    gateway.advance(TimeDelta::seconds(2));
    let ready = Person::visitor(&gateway.url).get("/ready").await;
    assert_eq!((ready.status, &ready.body["reason"]), (503, &json!("database_damaged")), "{}", ready.body);
    gateway.stop().await;

    // A file that is not a database any more.
    damage(&path);
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(&[0xa5; 4096]).unwrap();
    drop(file);
    let checked = run(&database, &["check"]);
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.output.contains("damaged") && checked.output.contains("backup"), "{}", checked.output);
}
