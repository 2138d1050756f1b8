//! The shared allowance from the users' point of view: 300 requests in 5 minutes, shared fairly, and never a 429 from
//! OwnerRez.

use chrono::TimeDelta;
use futures_util::future::join_all;
use ownerrez_gateway::simulator::Rule;
use serde_json::json;

use crate::world::{Gateway, Person, Settings, TestDatabase, eventually, on_each_database, on_postgres, rpc};

const ANY: &str = "* /v2/*";

/// Counts the requests that count at OwnerRez: all requests to its API host, including its token endpoint.
fn counted(gateway: &Gateway) -> usize {
    gateway.ownerrez().requests().iter().filter(|request| request.path != "/oauth/authorize").count()
}

async fn occupied(gateway: &Gateway) -> usize {
    gateway.app().sessions().observe_allowance().await.unwrap().budget.occupied as usize
}

async fn ask(person: &Person) -> Result<(), String> {
    let answer = person.call("get_current_user", json!({})).await;
    if answer.is_ok() { Ok(()) } else { Err(answer.refused()) }
}

/// Calls until the first refusal; returns the number of successful calls and the text of the refusal.
async fn use_up(person: &Person) -> (usize, String) {
    for answered in 0..1000 {
        if let Err(refusal) = ask(person).await {
            return (answered, refusal);
        }
    }
    panic!("no end to it");
}

/// Returns the wait that a refusal names.
fn seconds_in(text: &str) -> i64 {
    let (_, rest) = text.split_once("Try again in ").expect(text);
    rest.split(' ').next().unwrap().parse().expect(text)
}

#[actix_web::test]
async fn a_lone_user_may_use_everything_and_is_told_how_long_to_wait() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let before = counted(&gateway);
        // Permits are settled by a message: wait until the allowance has processed it before advancing the clock.
        occupied(&gateway).await;
        gateway.advance(TimeDelta::seconds(100));

        let (answered, refusal) = use_up(&alice).await;
        assert_eq!(answered, 300 - before);
        assert_eq!(seconds_in(&refusal), 200, "until the slot of the first request is free: {refusal}");
        assert_eq!((counted(&gateway), occupied(&gateway).await), (300, 300));

        // Rejected calls cost nothing; the same applies to REST.
        for _ in 0..5 {
            ask(&alice).await.unwrap_err();
        }
        let test = alice.get("/api/connect/ownerrez/test").await;
        assert!([429, 503].contains(&test.status), "{test:?}");
        assert!(!test.error().is_empty());
        assert_eq!(test.header("retry-after"), Some("200"));
        assert_eq!(counted(&gateway), 300);

        gateway.advance(TimeDelta::seconds(200));
        let (answered, _) = use_up(&alice).await;
        assert_eq!(answered, before, "as many as are free again");
        gateway.advance(TimeDelta::minutes(5));
        assert_eq!(use_up(&alice).await.0, 300);
        assert_eq!(gateway.ownerrez().count_status(429), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_call_waits_for_a_slot_that_is_due_within_its_deadline() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        use_up(&alice).await;
        gateway.advance(TimeDelta::seconds(280));
        let turn = async {
            eventually("the call to wait", async || {
                let stats = gateway.app().sessions().observe_allowance().await?;
                (stats.budget.waiting == 1).then_some(())
            })
            .await;
            gateway.advance(TimeDelta::seconds(20));
        };
        let (answer, ()) = futures_util::future::join(ask(&alice), turn).await;
        answer.unwrap();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn twenty_gluttons_leave_room_for_a_newcomer() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let mut gluttons = Vec::new();
        for number in 0..20 {
            gluttons.push(gateway.connected_user(&format!("Glutton {number}")).await);
            if number % 10 == 9 {
                // Connecting has its own small part of the allowance.
                gateway.advance(TimeDelta::minutes(5));
            }
        }
        let newcomer = gateway.connected_user("Newcomer").await;
        occupied(&gateway).await;
        gateway.advance(TimeDelta::minutes(5));
        let used = join_all(gluttons.iter().map(use_up)).await;
        let total: usize = used.iter().map(|(answered, _)| answered).sum();
        assert_eq!(total, 300 - 30 - 15, "the reserve, and the part of connecting");
        // Faster callers get more while slots are plentiful; every caller gets some.
        assert!(used.iter().all(|(answered, _)| (5..=50).contains(answered)), "{used:?}");
        for _ in 0..5 {
            ask(&newcomer).await.unwrap();
            ask(&gluttons[0]).await.unwrap_err();
        }
        assert_eq!(gateway.ownerrez().count_status(429), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_429_closes_for_everyone_and_reopens_gradually() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        let throttled = || Rule::on(ANY).reply(429, json!({"messages": ["slow down"]}));

        gateway.ownerrez().script(throttled().header("retry-after", "77"));
        ask(&alice).await.unwrap_err();
        let before = counted(&gateway);
        let told = ask(&bob).await.unwrap_err();
        assert_eq!(seconds_in(&told), 77, "what OwnerRez asked for: {told}");
        let test = bob.get("/api/connect/ownerrez/test").await;
        assert_eq!((test.status, test.header("retry-after")), (503, Some("77")));
        assert_eq!(counted(&gateway), before, "nothing was sent");

        // After reopening, a single request goes first.
        gateway.advance(TimeDelta::seconds(77));
        let held = gateway.ownerrez().hold(ANY);
        let watch = async {
            held.wait_arrived(1).await;
            eventually("the other one to wait", async || {
                let stats = gateway.app().sessions().observe_allowance().await?.budget;
                (stats.in_flight == 1 && stats.waiting == 1).then_some(())
            })
            .await;
            assert_eq!(counted(&gateway), before + 1);
            held.release();
        };
        let (first, second, ()) = futures_util::future::join3(ask(&alice), ask(&bob), watch).await;
        first.and(second).unwrap();

        // Without a Retry-After, the pause grows with each consecutive 429.
        for pause in [15, 30, 60] {
            gateway.ownerrez().script(throttled());
            ask(&bob).await.unwrap_err();
            // Permits are settled by a message: wait until the allowance has processed it before advancing the clock.
            occupied(&gateway).await;
            if pause >= 30 {
                // Calls wait for a shorter pause instead of failing.
                assert_eq!(seconds_in(&ask(&alice).await.unwrap_err()), pause);
            }
            gateway.advance(TimeDelta::seconds(pause));
        }
        ask(&alice).await.unwrap();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_window_survives_an_orderly_restart() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        for _ in 0..200 {
            ask(&alice).await.unwrap();
        }
        let spent = counted(&gateway);
        // Permits are settled by a message: wait until the allowance has processed it before advancing the clock.
        occupied(&gateway).await;
        gateway.advance(TimeDelta::seconds(60));
        let gateway = gateway.restart().await;
        assert_eq!(occupied(&gateway).await, spent, "not one more, since everything was written down");
        let alice = alice.at(&gateway.url);
        let (answered, refusal) = use_up(&alice).await;
        assert_eq!(answered, 300 - spent);
        assert_eq!(seconds_in(&refusal), 240);
        gateway.advance(TimeDelta::seconds(240));
        assert_eq!(use_up(&alice).await.0, spent);
        assert_eq!(gateway.ownerrez().count_status(429), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn one_source_that_connects_leaves_most_of_the_window() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        occupied(&gateway).await;
        gateway.advance(TimeDelta::minutes(5));
        let mut refused = 0;
        for number in 0..90 {
            let stranger = gateway.user(&format!("Stranger {number}")).await;
            let account = gateway.ownerrez().accounts()[0].id;
            let page = stranger.connect_in(&mut crate::world::Browser::new(), &gateway, account).await;
            refused += usize::from(page.status != 200);
        }
        let spent = counted_within(&gateway, TimeDelta::minutes(5));
        // Connecting may use half of an idle window, and one source half of that if its codes are good.
        assert!(refused > 0 && spent <= 80, "{refused} refused, {spent} sent");
        for _ in 0..100 {
            ask(&alice).await.unwrap();
        }
        gateway.stop().await;
    })
    .await;
}

fn counted_within(gateway: &Gateway, span: TimeDelta) -> usize {
    let since = gateway.now() - span;
    gateway.ownerrez().requests().iter().filter(|request| request.at > since).count()
}

#[actix_web::test]
async fn every_request_to_the_api_host_is_counted() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let agree = async |what: &str| assert_eq!(occupied(&gateway).await, counted(&gateway), "{what}");
        agree("exchange").await;
        ask(&alice).await.unwrap();
        agree("a tool call").await;
        assert_eq!(alice.get("/api/connect/ownerrez/test").await.status, 200);
        agree("the test").await;
        gateway.ownerrez().expire_access_tokens(alice.account.unwrap());
        ask(&alice).await.unwrap();
        agree("a refused token, its renewal, the call again").await;
        alice.delete("/api/connect/ownerrez").await;
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count("DELETE /oauth/access_token/{token}"), 1);
        agree("the revocation").await;
        gateway.stop().await;
    })
    .await;
}

/// Reserved permits are used first; after that, no request is sent that could not be recorded.
#[actix_web::test]
async fn nothing_is_sent_that_could_not_be_written_down() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        database.execute("ALTER TABLE allowance_blocks RENAME TO away").await;
        let (answered, told) = use_up(&alice).await;
        assert!(answered <= 30, "{answered}");
        assert!(told.contains("database"), "{told}");
        let before = counted(&gateway);
        ask(&alice).await.unwrap_err();
        assert_eq!(counted(&gateway), before);
        let test = alice.get("/api/connect/ownerrez/test").await;
        assert_eq!(test.status, 503, "{test:?}");
        database.execute("ALTER TABLE away RENAME TO allowance_blocks").await;
        eventually("the calls to go through again", async || ask(&alice).await.ok()).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_second_process_is_on_standby_and_takes_over() {
    on_postgres(async |database: &TestDatabase| {
        let first = Gateway::start(database).await;
        let second = first.start_another(Settings::default()).await;
        let alice = first.connected_user("Alice").await;
        let there = alice.at(&second.url);
        for _ in 0..100 {
            ask(&alice).await.unwrap();
        }
        assert!(ask(&there).await.unwrap_err().contains("standby"));
        assert_eq!(there.get("/health").await.status, 200);
        let spent = counted(&first);
        first.stop().await;
        eventually("the second to take over", async || {
            // Advance one second for each of its attempts; otherwise the window would expire.
            if second.clock.sleepers_within(TimeDelta::seconds(1)) > 0 {
                second.advance(TimeDelta::seconds(1));
            }
            ask(&there).await.ok()
        })
        .await;
        assert!(occupied(&second).await > spent, "it knows what was spent before");
        second.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_refusal_names_the_limit_that_is_set() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, Settings::default().set("UPSTREAM_LIMIT", "17")).await;
        let ada = gateway.connected_user("Ada").await;
        let hello =
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
        let said = ada.mcp(&rpc(1, "initialize", hello)).await.body["result"]["instructions"].to_string();
        assert!(said.contains("share 17 requests to OwnerRez"), "{said}");
        let refused = loop {
            let answer = ada.call("list_owners", json!({})).await;
            if !answer.is_ok() {
                break answer.refused();
            }
        };
        assert!(refused.contains("17 requests in 5 minutes"), "{refused}");
        let rest = ada.get("/api/connect/ownerrez/test").await;
        assert_eq!((rest.status, rest.error()), (429, "allowance_spent"));
        assert!(rest.body["message"].as_str().is_some_and(|said| said.contains("17 requests")), "{}", rest.body);
        gateway.stop().await;
    })
    .await;
}
