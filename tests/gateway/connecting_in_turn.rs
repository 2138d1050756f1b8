//! Many users connect at once, some callers with invented codes: the order of service, the pages shown meanwhile, and
//! the cost in requests.

use chrono::TimeDelta;
use futures_util::future::{Either, join_all, select};
use ownerrez_gateway::{domain::AccountId, simulator::Rule};
use serde_json::json;
use url::Url;

use crate::world::{
    Browser, ClientApp, Gateway, Landing, Page, Person, Settings, TestDatabase, eventually, on_each_database,
};

const EXCHANGE: &str = "POST /oauth/access_token";
const RELOAD: TimeDelta = TimeDelta::seconds(5);

fn behind_a_proxy() -> Settings {
    Settings::default().set("TRUSTED_PROXIES", "127.0.0.1")
}

/// A user who returns from OwnerRez with a callback URL.
struct Returning {
    browser: Browser,
    back: String,
    /// The end of a sign-in; `None` for a connect link.
    redirect_uri: Option<String>,
}

impl Returning {
    /// Returns with the callback of a connect link.
    async fn to_link(gateway: &Gateway, person: &Person, source: &str, account: AccountId) -> Self {
        let mut browser = Browser::at(source);
        let started = person.get("/api/connect/ownerrez/start").await;
        let link = started.body["authorization_url"].as_str().unwrap().to_owned();
        let to_ownerrez = browser.give_key(&link, &person.key).await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        Self { browser, back, redirect_uri: None }
    }

    /// Returns with the callback of a client's sign-in.
    async fn to_client(gateway: &Gateway, app: &ClientApp, source: &str, account: AccountId) -> Self {
        let mut browser = Browser::at(source);
        let to_ownerrez = app.decide(&mut browser, &[], "allow").await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        Self { browser, back, redirect_uri: Some(app.redirect_uri.clone()) }
    }

    /// Returns with a code that OwnerRez never issued.
    async fn with_invented_code(gateway: &Gateway, app: &ClientApp, source: &str) -> Self {
        let mut browser = Browser::at(source);
        let to_ownerrez = Url::parse(&app.decide(&mut browser, &[], "allow").await.location()).unwrap();
        let state = to_ownerrez.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let back = format!("{}/api/connect/ownerrez/callback?state={state}&code=tc_invented", gateway.url);
        Self { browser, back, redirect_uri: Some(app.redirect_uri.clone()) }
    }

    /// Opens the page, or reloads it.
    async fn look(&mut self) -> Page {
        self.browser.open(&self.back.clone()).await
    }

    /// Does the same; returns whether the flow has ended, which must be successful.
    async fn is_done(&mut self) -> bool {
        let page = self.look().await;
        match &self.redirect_uri {
            _ if page.status == 202 => false,
            None => {
                assert_eq!(page.status, 200, "{}", page.body);
                true
            }
            Some(redirect_uri) => !Landing::of(&page, redirect_uri).get("code").is_empty(),
        }
    }
}

fn assert_waits(page: &Page, ahead: &str) {
    assert_eq!(page.status, 202, "{}", page.body);
    assert_eq!(page.header("refresh"), Some("5"), "it reloads without script");
    assert!(page.body.contains("OwnerRez has approved") && page.body.contains(ahead), "{}", page.body);
    assert!(!page.body.contains("tc_") && !page.body.contains("state="), "{}", page.body);
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
}

/// The attack: a hundred sources each send as many invented codes as they can. Twenty-five users connect, one of them
/// at a hostile source, and a connected user keeps working.
#[actix_web::test]
async fn people_connect_while_a_hundred_sources_bring_invented_codes() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, behind_a_proxy()).await;
        let app = ClientApp::register(&gateway, "App").await;
        let worker = gateway.connected_user("Worker").await;
        gateway.advance(TimeDelta::minutes(5));
        gateway.ownerrez().clear_requests();

        let hostile = |number: usize| format!("198.51.100.{number}");
        let mut waiting_hostile = Vec::new();
        for _ in 0..2 {
            let mut round = join_all(
                (0..100).map(async |number| Returning::with_invented_code(&gateway, &app, &hostile(number)).await),
            )
            .await;
            let pages = join_all(round.iter_mut().map(Returning::look)).await;
            let waits = pages.iter().zip(round).filter(|(page, _)| page.status == 202).map(|(_, returning)| returning);
            waiting_hostile.extend(waits);
        }
        let cost = gateway.ownerrez().count(EXCHANGE);
        assert_eq!(cost, 100, "one each before they are known; the rest is left to others");

        let mut people = Vec::new();
        for number in 0..25 {
            let name = format!("Person {number}");
            let account = gateway.ownerrez().add_account(&name).id;
            let source = if number == 0 { hostile(7) } else { format!("203.0.113.{number}") };
            people.push(if number % 2 == 0 {
                Returning::to_link(&gateway, &gateway.user(&name).await, &source, account).await
            } else {
                Returning::to_client(&gateway, &app, &source, account).await
            });
        }
        let (mut connected, mut seconds) = (0, 0);
        while connected < 24 && seconds < 300 {
            let done = join_all(people.iter_mut().map(Returning::is_done)).await;
            connected += done.iter().filter(|done| **done).count();
            let mut done = done.into_iter();
            people.retain(|_| !done.next().unwrap());
            join_all(waiting_hostile.iter_mut().map(Returning::look)).await;
            worker.call("list_properties", json!({})).await.ok();
            gateway.advance(RELOAD);
            seconds += RELOAD.num_seconds();
        }
        println!("{connected} of 25 connected after {seconds} s; {} exchanges", gateway.ownerrez().count(EXCHANGE));
        assert!(connected >= 24, "{connected} after {seconds} s");
        assert_eq!(gateway.ownerrez().count_status(429), 0);
        gateway.stop().await;
    })
    .await;
}

/// With a window of 20, connecting may use 10.
async fn small(database: &TestDatabase) -> (Gateway, ClientApp) {
    let gateway = Gateway::start_with(database, behind_a_proxy().set("UPSTREAM_LIMIT", "20")).await;
    let app = ClientApp::register(&gateway, "App").await;
    (gateway, app)
}

/// Ten users use that up, the first of them a minute before the others.
async fn used_up(gateway: &Gateway, app: &ClientApp) {
    for number in 0..10 {
        let account = gateway.ownerrez().add_account(&format!("Early {number}")).id;
        let source = format!("192.0.2.{number}");
        assert!(Returning::to_client(gateway, app, &source, account).await.is_done().await);
        gateway.advance(TimeDelta::seconds(if number == 0 { 60 } else { 0 }));
    }
}

#[actix_web::test]
async fn places_are_kept_across_reloads_and_served_in_turn() {
    on_each_database(async |database| {
        let (gateway, app) = small(database).await;
        used_up(&gateway, &app).await;
        let (alice, bob) = (gateway.user("Alice").await, gateway.user("Bob").await);
        let account = |name: &str| gateway.ownerrez().add_account(name).id;
        let mut alices = Returning::to_link(&gateway, &alice, "203.0.113.1", account("Alice")).await;
        let mut bobs = Returning::to_link(&gateway, &bob, "203.0.113.2", account("Bob")).await;
        let mut carols = Returning::to_client(&gateway, &app, "2001:db8::1", account("Carol")).await;
        let mut dans = Returning::to_client(&gateway, &app, "2001:db8:1::1", account("Dan")).await;
        let before = gateway.ownerrez().count(EXCHANGE);
        assert_waits(&alices.look().await, "Your attempt is the next one");
        assert_waits(&bobs.look().await, "One attempt to connect is ahead of yours");
        assert_waits(&carols.look().await, "2 attempts to connect are ahead of yours");
        assert_waits(&dans.look().await, "3 attempts to connect are ahead of yours");

        // The first slot becomes free 300 s after the first exchange; 60 s have passed. Carol closes her page.
        for _ in 0..47 {
            gateway.advance(RELOAD);
            assert_waits(&bobs.look().await, "One attempt");
            assert_waits(&alices.look().await, "Your attempt is the next one");
            assert_eq!(dans.look().await.status, 202);
        }
        assert_eq!(gateway.ownerrez().count(EXCHANGE), before, "waiting costs nothing");
        gateway.advance(RELOAD);
        assert_waits(&bobs.look().await, "next one");
        assert!(alices.is_done().await, "she came first");
        assert_waits(&bobs.look().await, "Your attempt is the next one");
        assert_waits(&carols.look().await, "2 attempts");
        gateway.advance(TimeDelta::seconds(60));
        assert!(bobs.is_done().await && dans.is_done().await && carols.is_done().await);
        for (person, connected) in [(&alice, true), (&bob, true)] {
            assert_eq!(person.get("/api/connect/ownerrez/status").await.body["connected"], json!(connected));
        }
        assert_eq!(alices.look().await.status, 403, "used up");
        assert_eq!(gateway.ownerrez().count_status(429), 0);
        gateway.stop().await;
    })
    .await;
}

/// The state is valid for ten minutes, and so is the code. A user who returns late still waits for as long as the code
/// is valid.
#[actix_web::test]
async fn a_wait_outlives_the_link_and_ends_with_the_code() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, behind_a_proxy()).await;
        let bob = gateway.connected_user("Bob").await;
        let alice = gateway.user("Alice").await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        // OwnerRez rejects everything for a while, because another program spends requests from the same address.
        let closed = async || {
            let rule = Rule::on("* /*").reply(429, json!({})).header("Retry-After", "300");
            gateway.ownerrez().script(rule);
            bob.call("list_owners", json!({})).await.refused();
        };
        let mut by_link = Returning::to_link(&gateway, &alice, "203.0.113.1", account).await;
        let mut by_client = Returning::to_client(&gateway, &app, "203.0.113.2", account).await;
        gateway.advance(TimeDelta::minutes(9));
        closed().await;
        let before = gateway.ownerrez().count(EXCHANGE);
        for seconds in (0..555).step_by(15) {
            if seconds == 300 {
                closed().await;
            }
            assert_waits(&by_link.look().await, "OwnerRez limits");
            assert_waits(&by_client.look().await, "OwnerRez limits");
            gateway.advance(TimeDelta::seconds(15));
            gateway.app().sessions().run_background_jobs().await;
        }
        let (link_page, client_page) = (by_link.look().await, by_client.look().await);
        for page in [&link_page, &client_page] {
            assert_eq!(page.status, 503, "{}", page.body);
            assert!(page.body.contains("The approval has expired") && page.body.contains("Start again"));
            assert!(!page.body.contains("tc_"));
        }
        assert_eq!(gateway.ownerrez().count(EXCHANGE), before, "no code was tried");

        gateway.advance(TimeDelta::minutes(1));
        let again = |page: &Page| {
            let (_, rest) = page.body.split_once(r#"<a href=""#).unwrap();
            rest.split_once('"').unwrap().0.replace("&amp;", "&")
        };
        let mut browser = Browser::at("203.0.113.1");
        let to_ownerrez = browser.give_key(&again(&link_page), &alice.key).await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        assert_eq!(browser.open(&back).await.status, 200);

        let mut browser = Browser::at("203.0.113.2");
        let consent = browser.open(&again(&client_page)).await;
        assert_eq!(consent.status, 200, "{}", consent.body);
        let (request, csrf) = (consent.field("request"), consent.field("csrf"));
        let fields = [("request", request.as_str()), ("csrf", csrf.as_str()), ("decision", "allow")];
        let to_ownerrez = browser.submit(&format!("{}/authorize", gateway.url), &fields).await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        let page = browser.open(&back).await;
        assert_eq!(page.status, 303, "{}", page.body);
        gateway.stop().await;
    })
    .await;
}

/// The code's lifetime counts from the first callback, however long the link itself is valid.
#[actix_web::test]
async fn a_code_that_has_ended_is_not_sent_though_its_link_is_good() {
    on_each_database(async |database| {
        let settings = behind_a_proxy().set("UPSTREAM_LIMIT", "20").tune(|config| config.connect.link_minutes = 60);
        let gateway = Gateway::start_with(database, settings).await;
        let bob = gateway.connected_user("Bob").await;
        let alice = gateway.user("Alice").await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let closed = async || {
            let rule = Rule::on("* /*").reply(429, json!({})).header("Retry-After", "300");
            gateway.ownerrez().script(rule);
            bob.call("list_owners", json!({})).await.refused();
        };
        let started = alice.get("/api/connect/ownerrez/start").await;
        let link = started.body["authorization_url"].as_str().unwrap().to_owned();
        let mut browser = Browser::at("203.0.113.1");
        let before = gateway.ownerrez().count(EXCHANGE);
        // Two approvals of one link, each of which expires before its turn.
        for _ in 0..2 {
            let to_ownerrez = browser.give_key(&link, &alice.key).await.location();
            let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
            for minute in 0..9 {
                if minute % 5 == 0 {
                    closed().await;
                }
                assert_waits(&browser.open(&back).await, "OwnerRez limits");
                gateway.advance(TimeDelta::minutes(1));
                gateway.app().sessions().run_background_jobs().await;
            }
            // The window is open again when the browser returns, but too late.
            gateway.advance(TimeDelta::minutes(2));
            let page = browser.open(&back).await;
            assert_eq!(page.status, 503, "{}", page.body);
            assert!(page.body.contains("The approval has expired"), "{}", page.body);
        }
        assert_eq!(gateway.ownerrez().count(EXCHANGE), before, "no code that had ended was tried");
        let to_ownerrez = browser.give_key(&link, &alice.key).await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        assert_eq!(browser.open(&back).await.status, 200);
        gateway.stop().await;
    })
    .await;
}

/// A network that has used its part waits longer than others, and its page shows how long.
#[actix_web::test]
async fn the_bound_of_a_network_is_shown_with_its_end() {
    on_each_database(async |database| {
        let (gateway, app) = small(database).await;
        let account = |name: &str| gateway.ownerrez().add_account(name).id;
        for number in 0..6 {
            let source = format!("203.0.113.{number}");
            let account = account(&format!("Early {number}"));
            assert!(Returning::to_client(&gateway, &app, &source, account).await.is_done().await);
        }
        let mut office = Returning::to_client(&gateway, &app, "203.0.113.1", account("Colleague")).await;
        let page = office.look().await;
        assert_waits(&page, "Attempts to connect from one network may send 1 request within 5 minutes");
        assert!(page.body.contains("Your attempt is the next one from your network"), "{}", page.body);
        assert!(page.body.contains("The wait is about 6 minutes"), "{}", page.body);
        let mut other = Returning::to_client(&gateway, &app, "203.0.113.99", account("Other")).await;
        assert!(other.is_done().await, "permits are left for other networks");
        gateway.advance(TimeDelta::seconds(230));
        let page = office.look().await;
        assert!(page.body.contains("The wait is about 80 seconds"), "{}", page.body);
        gateway.advance(TimeDelta::seconds(70));
        assert!(office.is_done().await);
        gateway.stop().await;
    })
    .await;
}

/// If the queue is full, the page says so and shows when the next place becomes free.
#[actix_web::test]
async fn a_full_queue_is_shown_with_the_time_of_the_next_free_place() {
    on_each_database(async |database| {
        let (gateway, app) = small(database).await;
        used_up(&gateway, &app).await;
        let account = gateway.ownerrez().add_account("Office").id;
        let mut waiting = Vec::new();
        for _ in 0..20 {
            let mut returning = Returning::to_client(&gateway, &app, "203.0.113.1", account).await;
            assert_waits(&returning.look().await, "The wait is about");
            waiting.push(returning);
        }
        let mut last = Returning::to_client(&gateway, &app, "203.0.113.1", account).await;
        let page = last.look().await;
        assert_waits(&page, "20 attempts to connect from your network address are already waiting");
        assert!(page.body.contains("A place becomes free in about 5 minutes"), "{}", page.body);
        assert!(page.body.contains("joins the queue as soon as a place is free"), "{}", page.body);
        let mut elsewhere = Returning::to_client(&gateway, &app, "203.0.113.2", account).await;
        assert_waits(&elsewhere.look().await, "One attempt to connect is ahead of yours");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_personal_token_waits_at_its_place() {
    on_each_database(async |database| {
        let (gateway, app) = small(database).await;
        used_up(&gateway, &app).await;
        let alice = gateway.user("Alice").await;
        let account = gateway.ownerrez().add_account("Alice");
        let with = json!({"email": account.email, "token": account.personal_access_token});
        let asks = async |with: &serde_json::Value| {
            let headers = [("content-type", "application/json"), ("x-forwarded-for", "203.0.113.1")];
            alice.send("POST", "/api/connect/ownerrez/token", &headers, Some(with.to_string())).await
        };
        let waits = asks(&with).await;
        assert_eq!((waits.status, waits.error()), (429, "connecting_waits"), "{}", waits.body);
        assert_eq!(waits.header("retry-after"), Some("5"));
        assert!(waits.body["message"].as_str().unwrap().starts_with("OwnerRez limits"), "{}", waits.body);
        let hint = waits.body["hint"].as_str().unwrap();
        assert!(hint.contains("Your attempt is the next one. The wait is about 5 minutes"), "{hint}");
        let other = gateway.ownerrez().add_account("Other").id;
        let mut others = Returning::to_client(&gateway, &app, "203.0.113.2", other).await;
        for _ in 0..48 {
            assert_waits(&others.look().await, "One attempt");
            assert_eq!(asks(&with).await.error(), "connecting_waits");
            gateway.advance(RELOAD);
        }
        assert_waits(&others.look().await, "next one");
        assert_eq!(asks(&with).await.status, 200, "at the place that it kept");
        gateway.stop().await;
    })
    .await;
}

/// A wrong personal token costs a request like an invented code, so it counts as one.
#[actix_web::test]
async fn wrong_personal_tokens_put_their_user_last_wherever_they_come_from() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, behind_a_proxy()).await;
        let mallory = gateway.user("Mallory").await;
        let mut costs = 0;
        for number in 0..40 {
            let source = format!("198.51.100.{number}");
            let headers = [("content-type", "application/json"), ("x-forwarded-for", source.as_str())];
            let wrong = json!({"email": "m@example.com", "token": format!("pt_{number}")}).to_string();
            let reply = mallory.send("POST", "/api/connect/ownerrez/token", &headers, Some(wrong)).await;
            costs += usize::from(reply.error() == "personal_token_refused");
        }
        assert_eq!(costs, 16, "one before this user was known, and then the part of all suspects");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_is_no_code_costs_no_request() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, behind_a_proxy()).await;
        let app = ClientApp::register(&gateway, "App").await;
        for code in ["tc_%00", "tc_%C3%A9", "tc_%0D%0AX:y", &"x".repeat(600)] {
            let mut returning = Returning::with_invented_code(&gateway, &app, "203.0.113.1").await;
            returning.back = returning.back.replace("tc_invented", code);
            let landing = Landing::of(&returning.look().await, &app.redirect_uri);
            assert_eq!(landing.get("code"), "", "{code}");
            assert_eq!(returning.look().await.status, 403, "the state is used up");
        }
        assert_eq!(gateway.ownerrez().count("* /*"), 0);
        gateway.stop().await;
    })
    .await;
}

/// A source that disconnects before the response is counted nevertheless.
#[actix_web::test]
async fn hanging_up_hides_no_bad_code() {
    on_each_database(async |database| {
        let (gateway, app) = small(database).await;
        let mut invented = Returning::with_invented_code(&gateway, &app, "198.51.100.1").await;
        let gate = gateway.ownerrez().hold(EXCHANGE);
        let looking = Box::pin(invented.look());
        let Either::Right(((), looking)) = select(looking, Box::pin(gate.wait_arrived(1))).await else {
            panic!("no answer")
        };
        drop(looking);
        gate.release();
        eventually("the answer is counted", async || {
            let stats = gateway.app().sessions().observe_allowance().await?;
            (stats.budget.in_flight == 0).then_some(())
        })
        .await;
        // By then its request has left the window, but its bad code still counts.
        gateway.advance(TimeDelta::minutes(5));
        used_up(&gateway, &app).await;
        let account = gateway.ownerrez().add_account("Person").id;
        let mut hostile = Returning::with_invented_code(&gateway, &app, "198.51.100.1").await;
        assert_waits(&hostile.look().await, "OwnerRez has rejected attempts to connect from your network");
        let mut person = Returning::to_client(&gateway, &app, "203.0.113.1", account).await;
        assert_waits(&person.look().await, "Your attempt is the next one");
        for _ in 0..48 {
            gateway.advance(RELOAD);
            assert_eq!(hostile.look().await.status, 202);
            if person.is_done().await {
                break;
            }
        }
        assert_eq!(person.look().await.status, 403, "was served, and the hostile one before was not");
        gateway.stop().await;
    })
    .await;
}
