//! The database stops and starts again during requests: every caller gets a correct response, nothing happens twice,
//! nothing is lost, and no restart is needed.

mod full_disk;
mod outcomes;
mod stopping;
mod won_tokens;

use std::{cell::RefCell, time::Duration};

use actix_rt::time::timeout;
use chrono::TimeDelta;
use futures_util::future::{join, join_all};
use ownerrez_gateway::simulator::{Controls, Held};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use serde_json::{Value, json};

use crate::world::{Answer, Gateway, Person, Reply, TestDatabase, Wire, on_each_database};

const TOKEN: &str = "POST /oauth/access_token";
const WRITE: &str = "POST /v2/guests";
const PEOPLE: [&str; 6] = ["Ada", "Bea", "Cleo", "Dora", "Edda", "Fay"];

#[actix_web::test]
async fn a_database_that_stops_under_load_costs_nobody_anything() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        gateway.ownerrez().change(|switches| {
            switches.rotate_refresh_tokens = true;
            switches.token_life_seconds = Some(500);
        });
        let town = Town::settles(&gateway).await;
        town.works().await;
        let newest = gateway.user("Nobody knows this key yet").await;
        let mut idle = Wire::open(&gateway.url).await;
        let ask = Wire::get(&newest, "/health");
        idle.write(&ask).await;
        assert_eq!(idle.read().await.status, 200);

        // SQLite is locked by another program, and each attempt takes the full lock timeout. PostgreSQL fails at once,
        // so time may pass: tokens expire, cached keys are no longer trusted, and the lock on the allowance is lost.
        let (times, steps) = if database.is_postgres() { (2, 12) } else { (1, 0) };
        for _ in 0..times {
            let away = town.loses_the_database_at_work(database).await;
            for _ in 0..steps {
                gateway.advance(TimeDelta::seconds(6));
                town.tries().await;
                let reply = newest.get("/api/connect/ownerrez/status").await;
                assert_eq!((reply.status, reply.error()), (503, "database_unavailable"));
            }
            let back = async {
                away.ends(database).await;
                if database.is_postgres() {
                    gateway.regains_its_share().await;
                }
            };
            join(town.tries(), back).await;
            town.works().await;
            // Closing an idle connection can lose a request in transit, so the client decides when to close. On SQLite,
            // this connection has been idle for more than five seconds.
            idle.write(&ask).await;
            assert_eq!(idle.read().await.status, 200);
        }

        assert_eq!(newest.get("/api/connect/ownerrez/status").await.status, 200);
        let lost = "SELECT count(*) FROM ownerrez_connections WHERE rejected_at IS NOT NULL";
        assert_eq!(database.number(lost).await, 0);
        town.judges_its_writes();
        town.uses_everything_up().await;
        gateway.stop().await;
    })
    .await;
}

/// The users, and the reported outcome of each change that they requested.
struct Town<'a> {
    ownerrez: &'a Controls,
    people: Vec<Person>,
    told: RefCell<Vec<(String, Told)>>,
}

/// The reported outcome of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Done,
    NotDone,
    Unknown,
}

impl<'a> Town<'a> {
    async fn settles(gateway: &'a Gateway) -> Self {
        let people = join_all(PEOPLE.map(|name| gateway.connected_user(name))).await;
        Self { ownerrez: gateway.ownerrez(), people, told: RefCell::default() }
    }

    /// Every user reads, writes and requests their status, all at once; all of it succeeds.
    async fn works(&self) {
        assert_eq!(self.tries().await, [""; 0], "all works without a restart");
    }

    /// Does the same without requiring success; returns the failed responses.
    async fn tries(&self) -> Vec<String> {
        let all = self.people.iter().map(async |person| {
            let name = format!("Guest {}", self.told.borrow().len());
            self.told.borrow_mut().push((name.clone(), Told::Unknown));
            let write = async {
                let answer = person.call("create_guest", json!({"first_name": name, "last_name": "Story"})).await;
                let told = what_is_told(&answer);
                let mut all = self.told.borrow_mut();
                all.iter_mut().find(|(known, _)| *known == name).unwrap().1 = told;
                (told != Told::Done).then(|| answer.0.body.to_string())
            };
            let read = async {
                let answer = person.call("list_owners", json!({})).await;
                (what_is_told(&answer) != Told::Done).then(|| answer.0.body.to_string())
            };
            let ask = async {
                let reply = person.get("/api/connect/ownerrez/status").await;
                (!is_honest(&reply)).then(|| reply.body.to_string())
            };
            let (read, (write, asked)) = join(read, join(write, ask)).await;
            [read, write, asked]
        });
        // An upper bound: no request may wait for ever.
        let answered = timeout(Duration::from_secs(60), join_all(all)).await;
        answered.expect("everyone is answered").into_iter().flatten().flatten().collect()
    }

    /// Takes the database away while OwnerRez processes a request of each user: calls and, for one of them, a refresh,
    /// whose tokens then cannot be stored.
    async fn loses_the_database_at_work(&self, database: &TestDatabase) -> Away {
        let (unlucky, others) = self.people.split_first().unwrap();
        self.ownerrez.expire_access_tokens(unlucky.account.unwrap());
        let mut held = vec![self.ownerrez.hold_account(TOKEN, unlucky.account.unwrap())];
        held.extend(others.iter().map(|other| self.ownerrez.hold_account("* /v2/*", other.account.unwrap())));
        let goes = async {
            for one in &held {
                one.wait_arrived(1).await;
            }
            let away = Away::begins(database).await;
            held.iter().for_each(Held::release);
            away
        };
        let (refused, away) = join(self.tries(), goes).await;
        assert!(!refused.is_empty(), "the database is away");
        away
    }

    /// Checks that each change was made once if it was confirmed, never if it was denied, and at most once otherwise.
    fn judges_its_writes(&self) {
        let mut made = self.ownerrez.requests_to(WRITE);
        // A request that was rejected for its token has changed nothing.
        made.retain(|request| request.status != Some(401));
        for (name, told) in &*self.told.borrow() {
            let of_that_name = |body: &Value| body["first_name"] == json!(name);
            let count = made.iter().filter(|request| request.body.as_ref().is_some_and(of_that_name)).count();
            let right = match told {
                Told::Done => count == 1,
                Told::NotDone => count == 0,
                Told::Unknown => count <= 1,
            };
            assert!(right, "{name} was told {told:?} and made {count} times");
        }
        let times = |wanted| self.told.borrow().iter().filter(|(_, told)| *told == wanted).count();
        assert!(times(Told::Done) >= 3 * PEOPLE.len() && times(Told::NotDone) > 0);
    }

    async fn uses_everything_up(&self) {
        for person in &self.people {
            while person.call("list_owners", json!({})).await.is_ok() {}
            assert_eq!(self.ownerrez.count_status(429), 0, "the allowance was overspent");
        }
    }
}

/// Returns the outcome that a tool call reported. Every response is either the result, or states what happened to the
/// change and what to do next.
fn what_is_told(answer: &Answer) -> Told {
    let body = &answer.0.body;
    if answer.0.status == 503 {
        assert_eq!(answer.0.error(), "database_unavailable");
        return Told::NotDone;
    }
    assert_eq!(answer.0.status, 200, "{body}");
    if answer.is_ok() {
        return Told::Done;
    }
    let text = body["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{body}"));
    assert!(!text.contains("reconnect") && !text.contains("The gateway failed"), "{text}");
    if text.contains("unknown") {
        assert!(text.contains("read"), "{text}");
        return Told::Unknown;
    }
    assert!(text.contains("nothing was") || text.contains("Nothing was"), "{text}");
    assert!(text.contains("Try again in"), "{text}");
    Told::NotDone
}

/// Returns whether a REST response is a success; otherwise it must be a 503 with Retry-After.
fn is_honest(reply: &Reply) -> bool {
    if reply.status == 200 {
        assert_eq!(reply.body["connected"], json!(true), "{}", reply.body);
        return true;
    }
    assert_eq!((reply.status, reply.error()), (503, "database_unavailable"));
    assert!(reply.header("retry-after").is_some());
    false
}

/// An outage of the database: PostgreSQL rejects connections; SQLite's file is locked for writing by another program.
struct Away(Option<DatabaseConnection>);

impl Away {
    async fn begins(database: &TestDatabase) -> Self {
        if database.is_postgres() {
            database.make_unavailable().await;
            return Self(None);
        }
        let other = database.open_alone().await;
        other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
        Self(Some(other))
    }

    async fn ends(self, database: &TestDatabase) {
        match self.0 {
            None => database.make_available().await,
            Some(other) => {
                other.execute_unprepared("ROLLBACK").await.unwrap();
            }
        }
    }
}
