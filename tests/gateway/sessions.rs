//! One session per user: order, limits, callers that disconnect, idle timeouts, panics, and the stop of the process.

use std::future::Future;

use actix_rt::task::JoinHandle;
use chrono::TimeDelta;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::world::{Answer, Gateway, Person, Settings, eventually, on_each_database};

fn seconds(count: i64) -> TimeDelta {
    TimeDelta::seconds(count)
}

/// Runs a call in a separate task, like another window of the same user.
fn calling(person: &Person, tool: &'static str, arguments: Value) -> JoinHandle<Answer> {
    let person = person.clone();
    actix_rt::spawn(async move { person.call(tool, arguments).await })
}

async fn until_waiting(gateway: &Gateway, person: &Person, waiting: usize) {
    eventually("calls wait in the session", async || {
        let session = gateway.app().sessions().observe_session(person.user()).await?;
        (session.waiting == waiting).then_some(())
    })
    .await;
}

async fn until_idle(gateway: &Gateway, person: &Person) {
    eventually("the session is idle", async || {
        let session = gateway.app().sessions().observe_session(person.user()).await?;
        (!session.busy && session.waiting == 0).then_some(())
    })
    .await;
}

fn guest(name: &str) -> Value {
    json!({"first_name": name, "last_name": "Story"})
}

async fn guests_named(person: &Person, name: &str) -> usize {
    let found = person.call("list_guests", json!({"q": name})).await.ok();
    found["items"].as_array().unwrap().len()
}

/// Returns the paths of the requests to OwnerRez's API so far, in order.
fn sent(gateway: &Gateway) -> Vec<String> {
    gateway.ownerrez().requests_to("* /v2/*").into_iter().map(|request| request.path).collect()
}

#[actix_web::test]
async fn one_call_of_a_user_runs_at_a_time_and_in_order() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        gateway.ownerrez().clear_requests();

        let held = gateway.ownerrez().hold_account("* /v2/*", alice.account.unwrap());
        let mut calls = vec![calling(&alice, "get_current_user", json!({}))];
        held.wait_arrived(1).await;
        for (waiting, tool) in [(1, "list_properties"), (2, "list_owners"), (3, "search_properties")] {
            calls.push(calling(&alice, tool, json!({})));
            until_waiting(&gateway, &alice, waiting).await;
        }
        // Other users are not delayed.
        bob.call("list_properties", json!({})).await.ok();
        assert_eq!(held.arrived(), 1);

        held.release();
        for call in calls {
            call.await.unwrap().ok();
        }
        let paths = sent(&gateway);
        let expected = ["/v2/users/me", "/v2/properties", "/v2/properties", "/v2/owners", "/v2/propertysearch"];
        assert_eq!(paths, expected, "the second one is Bob's");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_full_queue_refuses_at_once_and_is_free_again_afterwards() {
    on_each_database(async |database| {
        let settings = Settings::default().tune(|config| config.sessions.queue_depth = 3);
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold("* /v2/*");
        let mut calls = vec![calling(&alice, "list_owners", json!({}))];
        held.wait_arrived(1).await;
        for waiting in 1..=3 {
            calls.push(calling(&alice, "list_owners", json!({})));
            until_waiting(&gateway, &alice, waiting).await;
        }

        let refused = alice.call("list_owners", json!({})).await.refused();
        assert!(refused.contains("wait"), "{refused}");
        let rest = alice.get("/api/connect/ownerrez/test").await;
        assert!(rest.status == 429 || rest.status == 503, "{} {}", rest.status, rest.body);

        held.release();
        for call in calls {
            call.await.unwrap().ok();
        }
        alice.call("list_owners", json!({})).await.ok();
        assert_eq!(gateway.ownerrez().count("GET /v2/owners"), 5);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_queued_call_is_answered_at_its_deadline_and_never_sent() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, patient()).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold("GET /v2/users/me");
        let running = calling(&alice, "get_current_user", json!({}));
        held.wait_arrived(1).await;
        gateway.advance(seconds(1));
        let queued = calling(&alice, "create_guest", guest("Never"));
        until_waiting(&gateway, &alice, 1).await;

        gateway.advance(seconds(30));
        let text = queued.await.unwrap().refused();
        assert!(text.contains("nothing was changed"), "{text}");
        running.await.unwrap().refused();

        held.release();
        assert_eq!(guests_named(&alice, "Never").await, 0);
        assert_eq!(gateway.ownerrez().count("POST /v2/guests"), 0);
        gateway.stop().await;
    })
    .await;
}

/// Lets OwnerRez take as long as the whole call, so that the call's deadline ends it.
fn patient() -> Settings {
    Settings::default().tune(|config| config.sessions.upstream_timeout_seconds = 60)
}

#[actix_web::test]
async fn a_running_read_is_given_up_at_its_deadline() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, patient()).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold("GET /v2/owners");
        let running = calling(&alice, "list_owners", json!({}));
        held.wait_arrived(1).await;

        gateway.advance(seconds(30));
        let text = running.await.unwrap().refused();
        assert!(text.contains("nothing was changed"), "{text}");
        // OwnerRez still delays the first response, but the user's next call runs.
        alice.call("get_current_user", json!({})).await.ok();
        drop(held);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_running_write_is_called_unknown_at_its_deadline_and_completes_once() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, patient()).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold("POST /v2/guests");
        let running = calling(&alice, "create_guest", guest("Late"));
        held.wait_arrived(1).await;

        gateway.advance(seconds(30));
        let text = running.await.unwrap().refused();
        assert!(text.contains("unknown") && text.contains("read"), "{text}");

        held.release();
        until_idle(&gateway, &alice).await;
        assert_eq!(guests_named(&alice, "Late").await, 1);
        assert_eq!(gateway.ownerrez().count("POST /v2/guests"), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn whoever_hangs_up_while_waiting_is_never_sent() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold("GET /v2/users/me");
        let running = calling(&alice, "get_current_user", json!({}));
        held.wait_arrived(1).await;
        let first = calling(&alice, "create_guest", guest("Gone"));
        until_waiting(&gateway, &alice, 1).await;
        let second = calling(&alice, "list_owners", json!({}));
        until_waiting(&gateway, &alice, 2).await;

        first.abort();
        until_waiting(&gateway, &alice, 1).await;
        held.release();
        running.await.unwrap().ok();
        second.await.unwrap().ok();
        assert_eq!(gateway.ownerrez().count("POST /v2/guests"), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn whoever_hangs_up_while_reading_frees_the_session() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold("GET /v2/owners");
        let running = calling(&alice, "list_owners", json!({}));
        held.wait_arrived(1).await;

        running.abort();
        alice.call("get_current_user", json!({})).await.ok();
        drop(held);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn whoever_hangs_up_while_writing_has_still_written_once() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold("POST /v2/guests");
        let writing = calling(&alice, "create_guest", guest("Kept"));
        held.wait_arrived(1).await;
        let next = calling(&alice, "get_current_user", json!({}));
        until_waiting(&gateway, &alice, 1).await;

        writing.abort();
        held.release();
        next.await.unwrap().ok();
        assert_eq!(guests_named(&alice, "Kept").await, 1);
        assert_eq!(gateway.ownerrez().count("POST /v2/guests"), 1);
        gateway.stop().await;
    })
    .await;
}

async fn started(gateway: &Gateway) -> u64 {
    gateway.app().sessions().observe().await.unwrap().started
}

async fn living(gateway: &Gateway) -> usize {
    gateway.app().sessions().observe().await.unwrap().sessions
}

#[actix_web::test]
async fn an_idle_session_leaves_and_comes_back_when_called() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        alice.call("get_current_user", json!({})).await.ok();
        until_idle(&gateway, &alice).await;
        assert_eq!((living(&gateway).await, started(&gateway).await), (1, 1));

        gateway.advance(seconds(1200));
        eventually("the idle session is gone", async || (living(&gateway).await == 0).then_some(())).await;
        alice.call("get_current_user", json!({})).await.ok();
        assert_eq!((living(&gateway).await, started(&gateway).await), (1, 2));
        gateway.stop().await;
    })
    .await;
}

/// Sets an idle timeout of two seconds.
fn restless() -> Settings {
    Settings::default().set("UPSTREAM_LIMIT", "10000").tune(|config| config.sessions.idle_seconds = 2)
}

#[actix_web::test]
async fn a_busy_session_stays() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, restless()).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        let before = started(&gateway).await;
        let held = gateway.ownerrez().hold_account("* /v2/*", alice.account.unwrap());
        let running = calling(&alice, "get_current_user", json!({}));
        held.wait_arrived(1).await;

        // Bob's session has ended, so the sweep has run; Alice's is busy and stays.
        gateway.advance(seconds(3));
        eventually("the idle session is gone", async || (living(&gateway).await == 1).then_some(())).await;
        held.release();
        running.await.unwrap().ok();
        alice.call("get_current_user", json!({})).await.ok();
        assert_eq!(started(&gateway).await, before, "Alice's has not been replaced");
        bob.call("get_current_user", json!({})).await.ok();
        assert_eq!(started(&gateway).await, before + 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_call_during_the_leave_is_answered_by_one_session() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, restless()).await;
        let alice = gateway.connected_user("Alice").await;
        for _ in 0..60 {
            let calls = join_all((0..3).map(|_| alice.call("get_current_user", json!({}))));
            let turn = async { gateway.advance(seconds(3)) };
            let ((), answers) = join(turn, calls).await;
            answers.into_iter().for_each(|answer| drop(answer.ok()));
            assert!(living(&gateway).await <= 1);
        }
        assert!(started(&gateway).await > 2, "the sessions never left, so nothing was shown");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_panic_in_one_session_harms_no_other() {
    on_each_database(async |database| {
        // All sessions are on one thread, the worst case.
        let gateway = Gateway::start(database).await;
        let victim = gateway.connected_user("Victim").await;
        let others = [gateway.connected_user("Alice").await, gateway.connected_user("Bob").await];
        let before = started(&gateway).await;
        let held = gateway.ownerrez().hold("* /v2/*");
        let theirs: Vec<_> = others.iter().map(|person| calling(person, "get_current_user", json!({}))).collect();
        let running = calling(&victim, "create_guest", guest("Perhaps"));
        held.wait_arrived(3).await;
        let queued = calling(&victim, "create_guest", guest("Queued"));
        until_waiting(&gateway, &victim, 1).await;

        gateway.app().sessions().panic_for_test(victim.user()).await;
        let text = running.await.unwrap().refused();
        assert!(text.contains("unknown"), "a write that was under way: {text}");
        let text = queued.await.unwrap().refused();
        assert!(!text.contains("unknown"), "a write that had not been sent: {text}");

        held.release();
        for (call, person) in theirs.into_iter().zip(&others) {
            assert_eq!(call.await.unwrap().ok()["id"], json!(person.account.unwrap().0));
        }
        let me = victim.call("get_current_user", json!({})).await.ok();
        assert_eq!(me["id"], json!(victim.account.unwrap().0));
        assert_eq!(started(&gateway).await, before + 1);
        assert_eq!(gateway.ownerrez().count("POST /v2/guests"), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_stop_lets_what_runs_come_to_its_end() {
    on_each_database(async |database| {
        let settings = Settings::default().tune(|config| config.server.shutdown_seconds = 5);
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        let ownerrez = gateway.ownerrez().clone();
        let held = ownerrez.hold("* /v2/*");
        let read = calling(&alice, "get_current_user", json!({}));
        let write = calling(&bob, "create_guest", guest("Drained"));
        held.wait_arrived(2).await;

        let url = gateway.url.clone();
        let stopping = actix_rt::spawn(gateway.stop());
        until_closed(&url).await;
        held.release();
        read.await.unwrap().ok();
        write.await.unwrap().ok();
        stopping.await.unwrap();
        assert_eq!(ownerrez.count("POST /v2/guests"), 1);
    })
    .await;
}

/// Waits until new connections are no longer accepted.
fn until_closed(url: &str) -> impl Future<Output = ()> {
    let address = url.strip_prefix("http://").unwrap().to_owned();
    async move {
        eventually("the server has stopped listening", async || {
            tokio::net::TcpStream::connect(&address).await.is_err().then_some(())
        })
        .await;
    }
}

#[actix_web::test]
async fn a_gateway_that_is_stopping_says_so() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let held = gateway.ownerrez().hold("* /v2/*");
        let running = calling(&alice, "create_guest", guest("Last"));
        held.wait_arrived(1).await;

        let sessions = gateway.app().sessions().clone();
        let draining = actix_rt::spawn(async move { sessions.drain().await });
        let text = eventually("the gateway refuses new calls", async || {
            let answer = alice.call("list_owners", json!({}));
            let refused = actix_rt::time::timeout(std::time::Duration::from_millis(50), answer).await.ok()?;
            Some(refused.refused())
        })
        .await;
        assert!(text.contains("restarting") && text.contains("nothing was sent"), "{text}");
        assert_eq!(alice.get("/api/connect/ownerrez/test").await.status, 503);

        held.release();
        running.await.unwrap().ok();
        draining.await.unwrap();
        assert_eq!(gateway.ownerrez().count("GET /v2/owners"), 0);
        gateway.stop().await;
    })
    .await;
}
