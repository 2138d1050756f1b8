//! Responses that belong to another request, and incomplete responses: none of them reaches a user.

mod over_tls;

use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use futures_util::future::join_all;
use ownerrez_gateway::simulator::Rule;
use serde_json::json;

use crate::world::{Gateway, Person, RawHttpProxy, ResponseFraming, Settings, TestDatabase, on_each_database};

const TOKEN: &str = "POST /oauth/access_token";
const USERS: usize = 10;
const ROUNDS: usize = 100;

/// Each form of a complete response, including those with bytes that belong to no request.
const WHOLE: [ResponseFraming; 8] = [
    ResponseFraming::Interim(103),
    ResponseFraming::Plain,
    ResponseFraming::Twice,
    ResponseFraming::Interim(100),
    ResponseFraming::Chunked,
    ResponseFraming::Unframed,
    ResponseFraming::Interim(102),
    ResponseFraming::Plain,
];

/// Starts a gateway whose OwnerRez is behind the proxy.
async fn behind(proxy: &RawHttpProxy, database: &TestDatabase, settings: Settings) -> Gateway {
    let gateway = Gateway::start_with(database, settings.set("OWNERREZ_API_URL", &proxy.url())).await;
    proxy.forward_to(&gateway.simulator.url());
    gateway
}

/// Lets the responses cycle through these forms, whatever the request is.
fn take_turns(proxy: &RawHttpProxy, forms: &'static [ResponseFraming]) {
    let turn = AtomicUsize::new(0);
    proxy.answer_in(move |_| forms[turn.fetch_add(1, Ordering::Relaxed) % forms.len()]);
}

async fn expects_own_account(person: &Person) {
    let me = person.call("get_current_user", json!({})).await.ok();
    assert_eq!(me["id"], json!(person.account.unwrap().0), "a foreign answer");
}

#[actix_web::test]
async fn of_a_thousand_answers_none_is_foreign() {
    on_each_database(async |database| {
        let proxy = RawHttpProxy::start().await;
        let gateway = behind(&proxy, database, Settings::default().set("UPSTREAM_LIMIT", "10000")).await;
        take_turns(&proxy, &WHOLE);
        gateway.ownerrez().change(|switches| switches.rotate_refresh_tokens = true);
        let mut people = Vec::new();
        for number in 0..USERS {
            people.push(gateway.connected_user(&format!("Tenant{number}")).await);
        }
        for round in 0..ROUNDS {
            // Tokens are refreshed between the calls of other users.
            let expired = &people[round % USERS];
            gateway.ownerrez().expire_access_tokens(expired.account.unwrap());
            join_all(people.iter().map(expects_own_account)).await;
        }
        let asked = gateway.ownerrez().requests().len();
        assert!(asked >= USERS * ROUNDS + ROUNDS, "{asked}");
        assert_eq!(gateway.ownerrez().count(TOKEN), USERS + ROUNDS);
        assert!(proxy.connections() >= asked, "a connection serves one request");
        let others = "SELECT count(*) FROM ownerrez_connections WHERE rejected_at IS NOT NULL";
        assert_eq!(database.number(others).await, 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_cut_answer_is_refused_even_where_it_reads_as_json() {
    on_each_database(async |database| {
        let proxy = RawHttpProxy::start().await;
        let gateway = behind(&proxy, database, Settings::default()).await;
        let alice = gateway.connected_user("Alice").await;
        for (number, form) in [
            ResponseFraming::CutLength,
            ResponseFraming::CutChunks,
            ResponseFraming::Interim(101),
            ResponseFraming::EndlessHead,
        ]
        .into_iter()
        .enumerate()
        {
            proxy.answer_in(move |_| form);
            let text = alice.call("get_current_user", json!({})).await.refused();
            assert!(text.contains("broke") && text.contains("Nothing was changed"), "{form:?}: {text}");
            let guest = json!({"first_name": format!("Ada {number}"), "last_name": "Story"});
            let text = alice.call("create_guest", guest).await.refused();
            assert!(text.contains("unknown"), "{form:?}: {text}");
            proxy.answer_in(|_| ResponseFraming::Plain);
            expects_own_account(&alice).await;
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn cut_tokens_are_not_stored() {
    on_each_database(async |database| {
        let proxy = RawHttpProxy::start().await;
        let gateway = behind(&proxy, database, Settings::default()).await;
        let alice = gateway.connected_user("Alice").await;
        database.execute("UPDATE ownerrez_connections SET renew_at = NULL").await;
        gateway.advance(TimeDelta::seconds(30 * 86_400 - 240));
        let version = "SELECT version FROM ownerrez_connections";
        for form in [ResponseFraming::CutLength, ResponseFraming::CutChunks] {
            proxy.answer_in(move |line| if line.starts_with(TOKEN) { form } else { ResponseFraming::Plain });
            expects_own_account(&alice).await;
            assert_eq!(database.number(version).await, 0, "{form:?}");
            gateway.advance(TimeDelta::seconds(60));
        }
        proxy.answer_in(|_| ResponseFraming::Unframed);
        expects_own_account(&alice).await;
        assert_eq!(database.number(version).await, 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn tokens_of_another_account_are_neither_stored_nor_revoked() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bob = gateway.connected_user("Bob").await;
        database.execute("UPDATE ownerrez_connections SET renew_at = NULL").await;
        gateway.advance(TimeDelta::seconds(30 * 86_400 - 240));
        let of_bob = gateway.ownerrez().grant(bob.account.unwrap());
        gateway.ownerrez().script(Rule::on(TOKEN).account(alice.account.unwrap()).reply(200, of_bob));
        expects_own_account(&alice).await;
        assert_eq!(database.number("SELECT max(version) FROM ownerrez_connections").await, 0);

        // If the current token has expired, the call fails with a request to try again, and the next call succeeds.
        let of_bob = gateway.ownerrez().grant(bob.account.unwrap());
        gateway.ownerrez().expire_access_tokens(alice.account.unwrap());
        gateway.advance(TimeDelta::minutes(5));
        gateway.ownerrez().script(Rule::on(TOKEN).account(alice.account.unwrap()).reply(200, of_bob));
        let text = alice.call("get_current_user", json!({})).await.refused();
        assert!(text.contains("Try again in"), "{text}");
        gateway.advance(TimeDelta::minutes(5));
        expects_own_account(&alice).await;
        expects_own_account(&bob).await;
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(gateway.ownerrez().count("DELETE /oauth/access_token/{token}"), 0);
        gateway.stop().await;
    })
    .await;
}
