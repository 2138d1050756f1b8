//! The disk of an SQLite database is full for a while. Acknowledged data is in the file, whether it was acknowledged
//! before, during or after; rejected data is not, and no restart is needed.

use std::time::Duration;

use serde_json::json;

use super::{
    Told, WRITE,
    stopping::{KEY, connected_user, ownerrez},
    what_is_told,
};
use crate::{
    processes::program::Program,
    world::{Person, TestDatabase, eventually},
};

/// Registrations by their outcome.
#[derive(Default)]
struct Registered {
    acknowledged: Vec<Person>,
    refused: Vec<String>,
}

impl Registered {
    async fn tries(&mut self, url: &str, name: &str) {
        let visitor = Person::visitor(url);
        let reply = visitor.post("/api/users/register", &json!({"name": name})).await;
        if reply.status == 201 {
            let text = |name: &str| reply.body[name].as_str().unwrap();
            self.acknowledged.push(visitor.with_key(text("api_key"), text("user_id")));
        } else {
            assert_eq!((reply.status, reply.error()), (503, "database_unavailable"), "{}", reply.body);
            self.refused.push(name.to_owned());
        }
    }
}

async fn readiness(url: &str) -> Option<String> {
    let reply = Person::visitor(url).get("/ready").await;
    (reply.status == 503).then(|| reply.body["reason"].as_str().unwrap().to_owned())
}

async fn becomes(url: &str, reason: Option<&str>) {
    eventually("the readiness changes", async || {
        // A response is cached for a second.
        tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>()).await.unwrap_err();
        (readiness(url).await.as_deref() == reason).then_some(())
    })
    .await;
}

async fn writes(ada: &Person, number: usize) -> Told {
    what_is_told(
        &ada.call("create_guest", json!({"first_name": format!("Guest {number}"), "last_name": "Story"})).await,
    )
}

#[actix_web::test]
async fn what_is_acknowledged_after_a_full_disk_is_in_the_file() {
    let home = tempfile::tempdir().unwrap();
    let ownerrez = ownerrez().await;
    let database = TestDatabase::file(&format!("sqlite://{}", home.path().join("gateway.db").display()));
    let (at, ownerrez_url) = (database.url(), ownerrez.url());
    std::fs::write(
        home.path().join("quick.toml"),
        "[keys]\nbcrypt_cost = 4\n[registration]\nper_hour_and_address = 100000\n",
    )
    .unwrap();
    let environment = [
        ("PORT", "0"),
        ("RUST_LOG", "info"),
        ("DATABASE_URL", &*at),
        ("ENCRYPTION_KEY", KEY),
        ("OWNERREZ_API_URL", &ownerrez_url),
        ("OWNERREZ_APP_URL", &ownerrez_url),
        ("OWNERREZ_CLIENT_ID", "c_sandbox"),
        ("OWNERREZ_CLIENT_SECRET", "s_sandbox"),
    ];
    let serve = ["serve", "--config", "quick.toml"];
    let program = Program::start_ignoring("XFSZ", home.path(), &serve, &environment);
    let url = program.url();
    let ada = connected_user(&url, "Ada", &ownerrez).await;
    let mut people = Registered::default();
    let mut guests = 0;
    let mut made = 0;
    for round in 0..2 {
        people.tries(&url, &format!("before {round}")).await;
        becomes(&url, None).await;

        program.limit_files("0");
        for attempt in 0..3 {
            people.tries(&url, &format!("meanwhile {round}.{attempt}")).await;
            assert_ne!(writes(&ada, guests).await, Told::Done, "it cannot be recorded");
            guests += 1;
        }
        becomes(&url, Some("database_not_writable")).await;
        assert_eq!(Person::visitor(&url).get("/health").await.status, 200);
        assert_eq!(ada.get("/api/connect/ownerrez/status").await.status, 200, "reads go on");

        program.limit_files("unlimited");
        becomes(&url, None).await;
        for attempt in 0..10 {
            people.tries(&url, &format!("after {round}.{attempt}")).await;
            assert_eq!(writes(&ada, guests).await, Told::Done);
            // The same call again ends in an ordinary rollback.
            assert_eq!(writes(&ada, guests).await, Told::Done);
            guests += 1;
            made += 1;
        }
    }
    assert_eq!((people.acknowledged.len(), people.refused.len()), (22, 6));
    assert_eq!(ownerrez.controls().count(WRITE), made, "nothing that was refused, and nothing twice");

    // Another connection sees all of it while the gateway runs, and can write.
    for person in &people.acknowledged {
        let key = format!("SELECT count(*) FROM api_keys WHERE user_id = X'{}'", person.id.replace('-', ""));
        assert_eq!(database.number(&key).await, 1);
    }
    let refused = "SELECT count(*) FROM api_keys WHERE name LIKE 'meanwhile%'";
    assert_eq!(database.number(refused).await, 0);
    assert_eq!(
        database.number("SELECT count(*) FROM writes WHERE outcome = 'done'").await,
        i64::try_from(made).unwrap()
    );
    database.execute("UPDATE users SET disabled_at = NULL").await;

    // So does the next process after a crash.
    program.kill();
    let program = Program::start(home.path(), &serve, &environment);
    let url = program.url();
    for person in &people.acknowledged {
        assert_eq!(person.at(&url).get("/api/keys").await.status, 200);
    }
    assert_eq!(writes(&ada.at(&url), guests - 1).await, Told::Done, "it is known as made");
    assert_eq!(ownerrez.controls().count(WRITE), made);
    assert_eq!(program.stop().code, Some(0));
    ownerrez.stop(true).await;
}
