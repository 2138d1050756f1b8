//! Nobody ever sees another's data.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use chrono::TimeDelta;
use futures_util::future::{join, join_all};
use ownerrez_gateway::sandbox::Rule;
use serde_json::json;

use crate::world::{Gateway, Person, Settings, on_each_database};

const USERS: usize = 40;
const CONNECTIONS: usize = 4;

/// Forty users over four connections, the bodies of all answers sent long after their heads: whatever a gateway could
/// mix up (a current user in a variable, a buffer, a cached token), it would mix up here. `tests/mutants/shared_user.sh`
/// shows that this story notices.
#[actix_web::test]
async fn forty_users_at_once_get_their_own_answers() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, Settings::default().set("UPSTREAM_LIMIT", "3000")).await;
        let mut people = Vec::new();
        for number in 0..USERS {
            people.push(gateway.connected_user(&format!("Tenant {number}")).await);
        }
        let mut houses = HashMap::new();
        for person in &people {
            houses.insert(person.key.clone(), first_house(person).await);
        }
        assert_eq!(houses.values().collect::<HashSet<_>>().len(), USERS, "everyone's data is their own");
        for round in 0..3 {
            let arrived = gateway.ownerrez().count("* /v2/*");
            gateway.ownerrez().script(Rule::on("* /v2/*").times(USERS as u32).body_delay(TimeDelta::seconds(2)));
            // Each connection carries ten users, one after the other; the answers of all come in together.
            let lanes: Vec<Vec<Person>> =
                (0..CONNECTIONS).map(|lane| people.iter().skip(lane).step_by(CONNECTIONS).cloned().collect()).collect();
            let answered = AtomicUsize::new(0);
            let talk = join_all(lanes.iter().map(|lane| {
                let connection = lane[0].clone();
                let (answered, houses) = (&answered, &houses);
                async move {
                    join_all(lane.iter().map(|person| async {
                        // The connection is the lane's, the key the user's own.
                        let person = connection.speaking_for(person);
                        owns_what_it_sees(&person, round, houses).await;
                        answered.fetch_add(1, Ordering::Relaxed);
                    }))
                    .await
                }
            }));
            let turn = async {
                gateway.ownerrez().wait_for("* /v2/*", arrived + USERS).await;
                assert_eq!(answered.load(Ordering::Relaxed), 0, "everyone waits for a body");
                gateway.advance(TimeDelta::seconds(2));
            };
            join(talk, turn).await;
        }
        gateway.stop().await;
    })
    .await;
}

async fn owns_what_it_sees(person: &Person, round: usize, houses: &HashMap<String, i64>) {
    let account = person.account.unwrap().0;
    match round {
        0 => assert_eq!(person.call("get_current_user", json!({})).await.ok()["id"], json!(account)),
        1 => {
            let test = person.get("/api/connect/ownerrez/test").await;
            assert_eq!(test.body["user"]["id"], json!(account));
        }
        _ => assert_eq!(first_house(person).await, houses[&person.key]),
    }
}

async fn first_house(person: &Person) -> i64 {
    let page = person.call("list_properties", json!({"limit": 1})).await.ok();
    page["items"][0]["id"].as_i64().unwrap()
}

#[actix_web::test]
async fn a_record_of_someone_else_is_not_found() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.connected_user("Bob").await);
        let page = alice.call("list_properties", json!({"limit": 1})).await.ok();
        let id = page["items"][0]["id"].clone();
        alice.call("get_property", json!({"id": id})).await.ok();
        let refused = bob.call("get_property", json!({"id": id})).await.refused();
        assert!(refused.contains("404"), "{refused}");
        gateway.stop().await;
    })
    .await;
}
