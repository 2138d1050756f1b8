//! A real process gets SIGTERM during requests.

use std::{path::Path, sync::Arc};

use futures_util::future::join;
use ownerrez_gateway::{
    app::SystemClock,
    simulator::{Held, Simulator, SimulatorOptions},
};
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::{Value, json};

use super::{Away, TOKEN, WRITE};
use crate::{
    processes::program::Program,
    world::{Browser, Person, TestDatabase, Wire, eventually, on_each_database, on_postgres, rpc},
};

pub(super) const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

pub(super) async fn ownerrez() -> Simulator {
    let simulator = Simulator::start(SimulatorOptions::new(Arc::new(SystemClock::new()))).await.unwrap();
    simulator.controls().change(|switches| switches.rotate_refresh_tokens = true);
    simulator
}

fn gateway(home: &Path, database: &TestDatabase, ownerrez: &Simulator) -> (Program, String) {
    std::fs::write(home.join("quick.toml"), "[server]\nshutdown_seconds = 2\n[keys]\nbcrypt_cost = 4\n").unwrap();
    let (database, ownerrez) = (database.url(), ownerrez.url());
    let environment = [
        ("PORT", "0"),
        ("RUST_LOG", "info"),
        ("DATABASE_URL", &*database),
        ("ENCRYPTION_KEY", KEY),
        ("OWNERREZ_API_URL", &ownerrez),
        ("OWNERREZ_APP_URL", &ownerrez),
        ("OWNERREZ_CLIENT_ID", "c_sandbox"),
        ("OWNERREZ_CLIENT_SECRET", "s_sandbox"),
    ];
    let program = Program::start(home, &["serve", "--config", "quick.toml"], &environment);
    let url = program.url();
    (program, url)
}

pub(super) async fn connected_user(url: &str, name: &str, ownerrez: &Simulator) -> Person {
    let visitor = Person::visitor(url);
    let reply = visitor.post("/api/users/register", &json!({"name": name})).await;
    let text = |name: &str| reply.body[name].as_str().unwrap_or_else(|| panic!("{}", reply.body));
    let mut person = visitor.with_key(text("api_key"), text("user_id"));
    let started = person.get("/api/connect/ownerrez/start").await;
    let mut browser = Browser::new();
    let onward = browser.give_key(started.body["authorization_url"].as_str().unwrap(), &person.key).await;
    let account = ownerrez.controls().add_account(name).id;
    let back = ownerrez.controls().approve(&onward.location(), account).unwrap();
    assert_eq!(browser.open(&back).await.status, 200);
    person.account = Some(account);
    person
}

#[actix_web::test]
async fn a_stop_cuts_no_call_short_and_begins_none() {
    on_each_database(async |database| {
        let home = tempfile::tempdir().unwrap();
        let ownerrez = ownerrez().await;
        let (program, url) = gateway(home.path(), database, &ownerrez);
        let mut people = Vec::new();
        for name in ["Ada", "Bea", "Cleo", "Dora"] {
            people.push(connected_user(&url, name, &ownerrez).await);
        }
        // Ada's call first needs new tokens, which only this process has when the signal arrives.
        let (ada, others) = people.split_first().unwrap();
        ownerrez.controls().expire_access_tokens(ada.account.unwrap());
        let mut status = Wire::open(&url).await;
        let mut writes = Vec::new();
        for person in &people {
            let mut wire = Wire::open(&url).await;
            wire.write(&Wire::get(person, "/health")).await;
            assert_eq!(wire.read().await.status, 200);
            writes.push((wire, person));
        }
        status.write(&Wire::get(ada, "/health")).await;
        assert_eq!(status.read().await.status, 200);
        let mut held = vec![ownerrez.controls().hold_account(TOKEN, ada.account.unwrap())];
        held.extend(others.iter().map(|other| ownerrez.controls().hold_account("* /v2/*", other.account.unwrap())));
        let reads = people.iter().map(|person| {
            let person = person.clone();
            actix_rt::spawn(async move { person.call("list_owners", json!({})).await })
        });
        let reads: Vec<_> = reads.collect();
        for one in &held {
            one.wait_arrived(1).await;
        }
        for (wire, person) in &mut writes {
            let guest = json!({"first_name": person.id, "last_name": "Story"});
            let create = json!({"name": "create_guest", "arguments": guest});
            wire.write(&Wire::mcp(person, &rpc(1, "tools/call", create))).await;
        }
        status.write(&Wire::get(ada, "/api/connect/ownerrez/test")).await;
        program.signal("TERM");
        // While OwnerRez processes the requests that were sent, the calls that were not sent are rejected.
        for (wire, _) in &mut writes {
            let reply = wire.read().await;
            let text = reply.body["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{}", reply.body));
            assert!(text.contains("restarting") && text.contains("nothing was sent"), "{text}");
        }
        let refused = status.read().await;
        assert_eq!((refused.status, &refused.body["error"]), (503, &json!("try_again")));
        let address = url.trim_start_matches("http://");
        eventually("no connection is taken", async || tokio::net::TcpStream::connect(address).await.err()).await;
        held.iter().for_each(Held::release);
        for read in reads {
            read.await.unwrap().ok();
        }
        let ending = program.end();
        assert_eq!(ending.code, Some(0));
        assert!(!ending.written.contains("panicked"), "{}", ending.written);
        assert_eq!(ownerrez.controls().count(WRITE), 0);

        let (program, url) = gateway(home.path(), database, &ownerrez);
        for person in &people {
            person.at(&url).call("list_owners", json!({})).await.ok();
        }
        assert_eq!(program.stop().code, Some(0));
        ownerrez.stop(true).await;
    })
    .await;
}

#[actix_web::test]
async fn a_stop_whose_time_is_over_ends_quietly_and_breaks_nothing() {
    on_postgres(async |database| {
        let home = tempfile::tempdir().unwrap();
        let ownerrez = ownerrez().await;
        let (program, url) = gateway(home.path(), database, &ownerrez);
        let ada = connected_user(&url, "Ada", &ownerrez).await;
        let bea = connected_user(&url, "Bea", &ownerrez).await;

        // Ada's call is blocked at OwnerRez; Bea's disconnect and status are blocked in the database, one on a
        // session's thread, the other on a worker's.
        let call = ownerrez.controls().hold_account("* /v2/*", ada.account.unwrap());
        let (mut first, mut second, mut third) =
            (Wire::open(&url).await, Wire::open(&url).await, Wire::open(&url).await);
        let write = json!({"name": "create_guest", "arguments": {"first_name": "Ada", "last_name": "Story"}});
        first.write(&Wire::mcp(&ada, &rpc(1, "tools/call", write))).await;
        call.wait_arrived(1).await;
        let lock = database.open().await;
        let lock = lock.begin().await.unwrap();
        lock.execute_unprepared("LOCK TABLE ownerrez_connections").await.unwrap();
        second.write(&Wire::get(&bea, "/api/connect/ownerrez/status")).await;
        third.write(&Wire::get(&bea, "/api/connect/ownerrez").replacen("GET", "DELETE", 1)).await;
        let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                       WHERE NOT granted AND datname = current_database()";
        eventually("both wait", async || (database.number(waiting).await == 2).then_some(())).await;

        let ending = program.stop();
        assert_eq!(ending.code, Some(0));
        assert!(!ending.written.contains("panicked"), "{}", ending.written);
        lock.rollback().await.unwrap();
        drop(call);

        let (program, url) = gateway(home.path(), database, &ownerrez);
        for person in [ada, bea] {
            person.at(&url).call("list_owners", json!({})).await.ok();
        }
        assert_eq!(ownerrez.controls().count(WRITE), 1, "not repeated");
        assert_eq!(program.stop().code, Some(0));
        ownerrez.stop(true).await;
    })
    .await;
}

#[actix_web::test]
async fn a_client_that_does_not_take_its_answers_holds_a_stop_no_longer_than_its_time() {
    on_each_database(async |database| {
        let home = tempfile::tempdir().unwrap();
        let ownerrez = ownerrez().await;
        let (program, url) = gateway(home.path(), database, &ownerrez);
        let ada = connected_user(&url, "Ada", &ownerrez).await;
        // A response of several megabytes, more than the operating system buffers for a client that does not read, and
        // more requests behind it.
        let (mut wire, mut other) = (Wire::open(&url).await, Wire::open(&url).await);
        let batch = Value::from(vec![rpc(1, "tools/list", json!({})); 20]);
        let ask = Wire::mcp(&ada, &batch).replacen("/mcp", "/mcp?toolsets=all&output_schemas=true", 1);
        wire.write(&ask.replace("2025-06-18", "2025-03-26").repeat(5)).await;
        program.says("route=/mcp");
        // And a call that takes most of the shutdown time.
        let slow = json!({"pattern": "* /v2/*", "delay_seconds": 1.5});
        let before = ownerrez.controls().count("* /v2/*");
        assert_eq!(Person::visitor(&ownerrez.url()).post("/_control/rules", &slow).await.status, 200);
        other.write(&Wire::mcp(&ada, &rpc(1, "tools/call", json!({"name": "list_owners", "arguments": {}})))).await;
        ownerrez.controls().wait_for("* /v2/*", before + 1).await;
        let ending = program.stop();
        assert_eq!(ending.code, Some(0));
        assert_eq!(other.read().await.status, 200);
        // The stop waits for it, but the client gets no extra time after the call's.
        let took = ending.took.as_millis();
        assert!((1_500..3_000).contains(&took), "{took} ms");
        assert!(!ending.written.contains("panicked"), "{}", ending.written);
        drop(wire);
        ownerrez.stop(true).await;
    })
    .await;
}

/// Starts a process whose new tokens for Ada are not stored, because the database is unreachable.
async fn with_unsaved_tokens(home: &Path, database: &TestDatabase, ownerrez: &Simulator) -> (Program, String, Away) {
    let (program, url) = gateway(home, database, ownerrez);
    let ada = connected_user(&url, "Ada", ownerrez).await;
    ownerrez.controls().expire_access_tokens(ada.account.unwrap());
    let held = ownerrez.controls().hold(TOKEN);
    let goes = async {
        held.wait_arrived(1).await;
        let away = Away::begins(database).await;
        held.release();
        away
    };
    let (answer, away) = join(ada.call("list_owners", json!({})), goes).await;
    assert!(answer.refused().contains("database"));
    (program, url, away)
}

#[actix_web::test]
async fn a_stop_waits_until_new_tokens_are_stored() {
    on_each_database(async |database| {
        let home = tempfile::tempdir().unwrap();
        let ownerrez = ownerrez().await;
        let (program, url, away) = with_unsaved_tokens(home.path(), database, &ownerrez).await;
        program.signal("TERM");
        let address = url.trim_start_matches("http://");
        eventually("the stop has begun", async || tokio::net::TcpStream::connect(address).await.err()).await;
        away.ends(database).await;
        let ending = program.end();
        assert_eq!(ending.code, Some(0), "{}", ending.written);
        assert_eq!(database.number("SELECT version FROM ownerrez_connections").await, 1);
        ownerrez.stop(true).await;
    })
    .await;
}

#[actix_web::test]
async fn a_stop_that_loses_tokens_fails_and_says_so() {
    on_each_database(async |database| {
        let home = tempfile::tempdir().unwrap();
        let ownerrez = ownerrez().await;
        let (program, _, away) = with_unsaved_tokens(home.path(), database, &ownerrez).await;
        let ending = program.stop();
        assert_eq!(ending.code, Some(1), "{}", ending.written);
        assert!(ending.written.contains("new OwnerRez tokens of 1 users were not stored"), "{}", ending.written);
        assert!(!ending.written.contains("panicked"), "{}", ending.written);
        away.ends(database).await;
        ownerrez.stop(true).await;
    })
    .await;
}
