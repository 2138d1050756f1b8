//! No user sees data of another: many users at once over few connections, and ids of other users.

use std::{cell::Cell, rc::Rc};

use chrono::TimeDelta;
use futures_util::future::{join, join_all};
use ownerrez_gateway::simulator::Rule;
use serde_json::{Value, json};

use crate::world::{Gateway, Person, Settings, Wire, WireReply, on_each_database, rpc};

const USERS: usize = 40;
const CONNECTIONS: usize = 4;

async fn crowd(gateway: &Gateway) -> Vec<Person> {
    let mut crowd = Vec::new();
    for number in 0..USERS {
        crowd.push(gateway.connected_user(&format!("Tenant{number:02}")).await);
    }
    crowd
}

fn roomy() -> Settings {
    Settings::default().set("UPSTREAM_LIMIT", "10000").tune(|config| config.sessions.queue_depth = 100)
}

/// The request of one user in one round. Exactly one request reaches OwnerRez, except for `Status`.
#[derive(Clone, Copy, Debug)]
enum Question {
    Me,
    Properties,
    Property,
    Search,
    Test,
    Status,
}

impl Question {
    const ASKING: [Question; 5] =
        [Question::Me, Question::Properties, Question::Property, Question::Search, Question::Test];

    /// Returns one HTTP/1.1 request.
    fn written(self, person: &Person, property: i64) -> String {
        let tool = |name: &str, arguments: Value| {
            Wire::mcp(person, &rpc(1, "tools/call", json!({"name": name, "arguments": arguments})))
        };
        match self {
            Question::Me => tool("get_current_user", json!({})),
            Question::Properties => tool("list_properties", json!({"limit": 5})),
            Question::Property => tool("get_property", json!({"id": property})),
            Question::Search => tool("search_properties", json!({"guests_min": 1})),
            Question::Test => Wire::get(person, "/api/connect/ownerrez/test"),
            Question::Status => Wire::get(person, "/api/connect/ownerrez/status"),
        }
    }

    /// Checks that the response has the marker of this user, and of no other.
    fn check(self, reply: &WireReply, person: &Person, name: &str) {
        let told = format!("{self:?} of {name}: {} {}", reply.status, reply.body);
        assert_eq!(reply.status, 200, "{told}");
        let content = &reply.body["result"]["structuredContent"];
        let account = json!(person.account.unwrap().0);
        let is_own = match self {
            Question::Me => content["id"] == account,
            Question::Property => content["name"].as_str().unwrap().contains(name),
            Question::Properties | Question::Search => {
                let items = content["items"].as_array().unwrap();
                !items.is_empty() && items.iter().all(|item| item["name"].as_str().unwrap().contains(name))
            }
            Question::Test => reply.body["user"]["id"] == account,
            Question::Status => reply.body["ownerrez_user_id"] == account,
        };
        assert!(is_own, "{told}");
        let others = reply.body.to_string().matches("Tenant").count();
        assert_eq!(others, reply.body.to_string().matches(name).count(), "{told}");
    }
}

/// `tests/mutants/shared_user.sh` expects this test to fail when the user id is made global.
#[actix_web::test]
async fn forty_users_over_four_connections_get_their_own_answers() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, roomy()).await;
        let crowd = crowd(&gateway).await;
        let homes = homes(&crowd).await;
        gateway.ownerrez().clear_requests();
        // Every body arrives a second after its head.
        gateway.ownerrez().script(Rule::on("* /v2/*").always().body_delay(TimeDelta::seconds(1)));

        let mut wires = Vec::new();
        for _ in 0..CONNECTIONS {
            wires.push(Wire::open(&gateway.url).await);
        }
        let rounds = Question::ASKING.len();
        for round in 0..rounds {
            // User 0 on the first connection, user 1 on the second, …: each connection carries ten users in turn, and
            // all requests are written before the first response is read.
            let lanes = wires.iter_mut().enumerate().map(async |(lane, wire)| {
                let turns: Vec<(usize, Question)> = (lane..USERS)
                    .step_by(CONNECTIONS)
                    .flat_map(|user| {
                        let question = Question::ASKING[(user + user / CONNECTIONS + round) % Question::ASKING.len()];
                        [(user, question), ((user + 7) % USERS, Question::Status)]
                    })
                    .collect();
                for (user, question) in &turns {
                    wire.write(&question.written(&crowd[*user], homes[*user])).await;
                }
                for (user, question) in &turns {
                    question.check(&wire.read().await, &crowd[*user], &format!("Tenant{user:02}"));
                }
            });
            // A lane cannot continue before its body arrives, so all four are at OwnerRez when the clock advances.
            let turner = async {
                for step in 1..=USERS / CONNECTIONS {
                    gateway.ownerrez().wait_for("* /v2/*", round * USERS + step * CONNECTIONS).await;
                    gateway.advance(TimeDelta::seconds(1));
                }
            };
            join(join_all(lanes), turner).await;
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn forty_bodies_that_come_at_the_same_moment_reach_their_users() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, roomy()).await;
        let crowd = crowd(&gateway).await;
        gateway.ownerrez().clear_requests();
        gateway.ownerrez().script(Rule::on("* /v2/*").always().body_delay(TimeDelta::seconds(3)));

        for round in 1..=3 {
            let calls = crowd.iter().map(|person| person.call("get_current_user", json!({})));
            let turn = async {
                gateway.ownerrez().wait_for("* /v2/*", round * USERS).await;
                gateway.advance(TimeDelta::seconds(3));
            };
            let (answers, ()) = join(join_all(calls), turn).await;
            for (answer, person) in answers.into_iter().zip(&crowd) {
                assert_eq!(answer.ok()["id"], json!(person.account.unwrap().0));
            }
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn records_of_another_account_are_not_found() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        let property = first(&alice, "list_properties", json!({})).await;
        let booking = first(&alice, "list_bookings", json!({"property_ids": [property]})).await;
        let guest = first(&alice, "list_guests", json!({"created_since_utc": "2000-01-01T00:00:00Z"})).await;
        let owner = first(&alice, "list_owners", json!({})).await;

        for (tool, id) in
            [("get_property", property), ("get_booking", booking), ("get_guest", guest), ("get_owner", owner)]
        {
            alice.call(tool, json!({"id": id})).await.ok();
            let text = bob.call(tool, json!({"id": id})).await.refused();
            assert!(text.contains("404") && !text.contains("Alice"), "{text}");
        }
        let change = bob.call("update_guest", json!({"id": guest, "first_name": "Mallory"})).await.refused();
        assert!(change.contains("404"), "{change}");
        let removal = bob.call_confirmed("delete_guest", json!({"id": guest})).await.refused();
        assert!(removal.contains("404"), "{removal}");
        assert_ne!(alice.call("get_guest", json!({"id": guest})).await.ok()["first_name"], json!("Mallory"));

        let bookings = bob.call("list_bookings", json!({"property_ids": [property]})).await;
        if bookings.is_ok() {
            assert_eq!(bookings.ok()["items"], json!([]));
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn nobody_disconnects_or_slows_another() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;

        let held = gateway.ownerrez().hold_account("* /v2/*", alice.account.unwrap());
        let finished = Rc::new(Cell::new(false));
        let slow = {
            let (alice, finished) = (alice.clone(), finished.clone());
            actix_rt::spawn(async move {
                let answer = alice.call("get_current_user", json!({})).await;
                finished.set(true);
                answer
            })
        };
        held.wait_arrived(1).await;
        for _ in 0..3 {
            bob.call("get_current_user", json!({})).await.ok();
        }
        assert_eq!(bob.delete("/api/connect/ownerrez").await.status, 200);
        assert!(!finished.get());
        held.release();
        slow.await.unwrap().ok();
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.body["connected"], json!(true));
        gateway.stop().await;
    })
    .await;
}

/// Returns one property of each user, requested by all at once.
async fn homes(crowd: &[Person]) -> Vec<i64> {
    let homes = join_all(crowd.iter().map(|person| person.call("list_properties", json!({})))).await;
    let homes = homes.into_iter().enumerate().map(|(number, page)| {
        let home = page.ok()["items"][0].take();
        assert!(home["name"].as_str().unwrap().contains(&format!("Tenant{number:02}")), "Tenant{number:02}: {home}");
        home["id"].as_i64().unwrap()
    });
    homes.collect()
}

/// Returns the id of the first record of a list.
async fn first(person: &Person, tool: &str, arguments: Value) -> i64 {
    let page = person.call(tool, arguments).await.ok();
    page["items"][0]["id"].as_i64().unwrap_or_else(|| panic!("{tool} lists nothing: {page}"))
}
