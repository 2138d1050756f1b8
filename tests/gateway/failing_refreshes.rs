//! OwnerRez's token endpoint fails: the gateway backs off with growing pauses, per user and for the endpoint.

use chrono::TimeDelta;
use futures_util::future::join_all;
use ownerrez_gateway::simulator::Rule;
use serde_json::json;

use crate::world::{Gateway, Person, on_each_database};

const TOKEN: &str = "POST /oauth/access_token";

async fn works(person: &Person) {
    person.call("list_owners", json!({})).await.ok();
}

async fn is_refused(person: &Person) {
    let text = person.call("list_owners", json!({})).await.refused();
    assert!(text.contains("Try again in") && text.contains("nothing was sent"), "{text}");
}

#[actix_web::test]
async fn five_calls_of_a_user_cost_one_refresh() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().script(Rule::on(TOKEN).always().reply(503, json!({})));
        gateway.ownerrez().expire_access_tokens(alice.account.unwrap());
        gateway.ownerrez().clear_requests();
        for _ in 0..5 {
            is_refused(&alice).await;
        }
        let test = alice.get("/api/connect/ownerrez/test").await;
        assert_eq!((test.status, test.error()), (503, "ownerrez_unavailable"));
        assert_eq!(test.header("retry-after"), Some("10"));
        assert_eq!(gateway.ownerrez().count(TOKEN), 1);
        assert_eq!(gateway.ownerrez().requests().len(), 2, "the token that was refused is not sent again");

        for (attempt, pause) in [10, 20, 40, 80, 120, 120].into_iter().enumerate() {
            gateway.advance(TimeDelta::seconds(pause - 1));
            is_refused(&alice).await;
            assert_eq!(gateway.ownerrez().count(TOKEN), attempt + 1, "a second before its time");
            gateway.advance(TimeDelta::seconds(1));
            is_refused(&alice).await;
            is_refused(&alice).await;
            assert_eq!(gateway.ownerrez().count(TOKEN), attempt + 2);
        }
        assert_eq!(gateway.ownerrez().requests().len(), 8);

        // After one success, everything works as before.
        gateway.ownerrez().clear_rules();
        gateway.advance(TimeDelta::minutes(2));
        works(&alice).await;
        gateway.ownerrez().expire_access_tokens(alice.account.unwrap());
        works(&alice).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn many_users_do_not_ask_an_endpoint_that_fails() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let mut people = Vec::new();
        for number in 0..8 {
            people.push(gateway.connected_user(&format!("Person {number}")).await);
        }
        // One user's failure does not stop the others.
        let (unlucky, others) = people.split_first().unwrap();
        for person in &people {
            gateway.ownerrez().expire_access_tokens(person.account.unwrap());
        }
        gateway.ownerrez().script(Rule::on(TOKEN).account(unlucky.account.unwrap()).reply(500, json!({})));
        is_refused(unlucky).await;
        for other in others {
            works(other).await;
        }
        gateway.advance(TimeDelta::seconds(10));
        works(unlucky).await;

        // Failures of all users do.
        for person in &people {
            gateway.ownerrez().expire_access_tokens(person.account.unwrap());
        }
        gateway.ownerrez().script(Rule::on(TOKEN).always().reply(502, json!("<html>")));
        gateway.ownerrez().clear_requests();
        for _ in 0..3 {
            for person in &people {
                is_refused(person).await;
            }
        }
        assert_eq!(gateway.ownerrez().count(TOKEN), 2);
        for _ in 0..30 {
            gateway.advance(TimeDelta::seconds(10));
            join_all(people.iter().map(is_refused)).await;
        }
        let asked = gateway.ownerrez().count(TOKEN);
        assert!((5..=15).contains(&asked), "{asked} in five minutes of eight users");

        gateway.ownerrez().clear_rules();
        gateway.advance(TimeDelta::minutes(2));
        // One request tries for all.
        works(&people[3]).await;
        join_all(people.iter().map(works)).await;
        gateway.stop().await;
    })
    .await;
}
