//! One actor per user: order, bounds, callers that leave, sessions that end.

use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use futures_util::{
    FutureExt,
    future::{join, join_all},
};
use ownerrez_gateway::sandbox::Rule;
use serde_json::{Value, json};

use crate::world::{Gateway, Person, eventually, on_each_database};

const LIST: &str = "GET /v2/properties";
const CREATE: &str = "POST /v2/guests";

async fn list(person: &Person) -> Value {
    person.call("list_properties", json!({})).await.ok()
}

#[actix_web::test]
async fn one_call_at_a_time_for_a_user_and_nobody_else_waits() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.connected_user("Bob").await);
        let held = gateway.ownerrez().hold_account(LIST, alice.account.unwrap());
        let (first, second) = (alice.clone(), alice.clone());
        let look = async {
            held.wait_arrived(1).await;
            list(&bob).await;
            assert_eq!(held.arrived(), 1, "Alice's second call waits for her first");
            held.release();
        };
        futures_util::future::join3(list(&first), list(&second), look).await;
        assert_eq!(gateway.ownerrez().count(LIST), 3);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_full_queue_says_so_at_once_and_empties_again() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold(LIST);
        let twins: Vec<_> = (0..25).map(|_| alice.clone()).collect();
        let busy = AtomicUsize::new(0);
        let calls = join_all(twins.iter().map(async |twin| {
            let answer = twin.call("list_properties", json!({})).await;
            if !answer.is_ok() {
                assert!(answer.refused().contains("waiting"));
                busy.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let release = async {
            held.wait_arrived(1).await;
            // One runs and sixteen wait: the others are answered while nothing moves.
            eventually("the calls that find no place", async || {
                (busy.load(Ordering::Relaxed) == 25 - 17).then_some(())
            })
            .await;
            held.release();
        };
        join(calls, release).await;
        assert_eq!(busy.load(Ordering::Relaxed), 25 - 17);
        list(&alice).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn at_the_deadline_a_waiting_call_is_dropped_and_a_running_read_given_up() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold(LIST);
        let twins: Vec<_> = (0..3).map(|_| alice.clone()).collect();
        let calls = join_all(twins.iter().map(|twin| twin.call("list_properties", json!({}))));
        let turn = async {
            held.wait_arrived(1).await;
            // Twenty seconds for the answer, then the next one runs and thirty are over.
            gateway.advance(TimeDelta::seconds(20));
            held.wait_arrived(2).await;
            gateway.advance(TimeDelta::seconds(10));
        };
        let (answers, ()) = join(calls, turn).await;
        for answer in answers {
            let text = answer.refused();
            assert!(text.contains("in time"), "{text}");
        }
        assert_eq!(held.arrived(), 2, "the third was never sent");
        drop(held);
        list(&alice).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_write_that_was_sent_runs_to_its_end_and_is_not_sent_again() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let create = |name: &str| {
            let (alice, name) = (alice.clone(), name.to_owned());
            async move { alice.call("create_guest", json!({"first_name": name, "last_name": "Zed"})).await }
        };
        // Its answer is slow.
        gateway.ownerrez().script(Rule::on(CREATE).delay(TimeDelta::seconds(25)));
        let turn = async {
            gateway.ownerrez().wait_for(CREATE, 1).await;
            gateway.advance(TimeDelta::seconds(20));
        };
        let (answer, ()) = join(create("Slow"), turn).await;
        let text = answer.refused();
        assert!(text.contains("unknown") && text.contains("read"), "{text}");

        // Its caller leaves.
        let held = gateway.ownerrez().hold(CREATE);
        {
            let leaving = create("Left").fuse();
            futures_util::pin_mut!(leaving);
            futures_util::select_biased! {
                _ = leaving => panic!("it is held"),
                () = held.wait_arrived(1).fuse() => {}
            }
        }
        held.release();
        eventually("it is carried out all the same", async || {
            let found = alice.call("list_guests", json!({"q": "Left"})).await;
            (found.is_ok() && found.ok()["items"].as_array().is_some_and(|items| items.len() == 1)).then_some(())
        })
        .await;
        assert_eq!(gateway.ownerrez().count(CREATE), 2, "no write is ever sent twice");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_caller_who_leaves_takes_waiting_calls_and_reads_along() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold(LIST);
        {
            let running = alice.clone();
            let running = running.call("list_properties", json!({})).fuse();
            let waiting = alice.clone();
            let waiting = waiting.call("list_owners", json!({})).fuse();
            futures_util::pin_mut!(running, waiting);
            futures_util::select_biased! {
                _ = running => panic!("it is held"),
                _ = waiting => panic!("it waits"),
                () = held.wait_arrived(1).fuse() => {}
            }
        }
        // The next call does not wait for the one that is still held.
        alice.call("get_current_user", json!({})).await.ok();
        assert_eq!(gateway.ownerrez().count("GET /v2/owners"), 0);
        drop(held);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn idle_sessions_leave_and_busy_ones_stay() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.connected_user("Bob").await);
        let stats = async || gateway.app().sessions().observe().await.unwrap();
        list(&alice).await;
        list(&bob).await;
        assert_eq!((stats().await.sessions, stats().await.started), (2, 2));

        gateway.advance(TimeDelta::seconds(901));
        eventually("both have left", async || (stats().await.sessions == 0).then_some(())).await;
        list(&alice).await;
        assert_eq!((stats().await.sessions, stats().await.started), (1, 3));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_panic_of_one_session_harms_no_other() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.connected_user("Bob").await);
        list(&alice).await;
        let held = gateway.ownerrez().hold(LIST);
        let (hers, his) = (alice.clone(), bob.clone());
        let calls = join(hers.call("list_properties", json!({})), his.call("list_properties", json!({})));
        let panic = async {
            held.wait_arrived(2).await;
            gateway.app().sessions().panic_for_test(alice.user()).await;
            held.release();
        };
        let ((hers, his), ()) = join(calls, panic).await;
        his.ok();
        assert!(hers.refused().contains("failed"));
        list(&alice).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_stop_lets_calls_in_flight_come_to_their_end() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.connected_user("Alice").await, gateway.connected_user("Bob").await);
        let ownerrez = gateway.ownerrez().clone();
        let (read, write) = (ownerrez.hold(LIST), ownerrez.hold(CREATE));
        let (hers, his) = (alice.clone(), bob.clone());
        let calls = join(
            hers.call("list_properties", json!({})),
            his.call("create_guest", json!({"first_name": "Last", "last_name": "Minute"})),
        );
        let stop = async {
            read.wait_arrived(1).await;
            write.wait_arrived(1).await;
            let release = async {
                read.release();
                write.release();
            };
            join(gateway.stop(), release).await;
        };
        let ((hers, his), ()) = join(calls, stop).await;
        hers.ok();
        his.ok();
    })
    .await;
}
