//! `probe`: what an operator or owner can find out about the real OwnerRez, tested with a simulated one.

mod variations;

use std::{collections::BTreeSet, process::Stdio, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use ownerrez_gateway::{
    app::{self, ProbeAs, ProbeError},
    catalog::{
        Catalog,
        probe::{End, Entry, MOST_REQUESTS, NotSeenReason, ObservationKind, ProbeCredential, ProbeReport},
    },
    config::{Config, SingleAccount, Sources},
    domain::{AccountId, BoxFuture, Clock},
    simulator::{DemoAccount, Rule},
};
use serde_json::{Value, json};

use crate::{
    processes::program::{Ending, Program},
    world::{Gateway, ManualClock, Settings, on_each_database},
};

/// Returns the command's settings: those of a gateway.
fn config(gateway: &Gateway) -> Config {
    let environment = gateway.environment();
    let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Config::load(Sources { file: None, environment }).unwrap()
}

/// Returns an access token of an account, as its owner passes it to the command.
fn token(gateway: &Gateway, account: AccountId) -> ProbeAs {
    let access = gateway.ownerrez().grant(account)["access_token"].as_str().unwrap().to_owned();
    ProbeAs::Account(SingleAccount::Bearer(access.into()))
}

/// Returns the first demo account, which has records of every kind.
fn richest(gateway: &Gateway) -> DemoAccount {
    gateway.ownerrez().accounts().swap_remove(0)
}

/// Probes while a gateway runs, with the test's clock.
async fn probe(gateway: &Gateway, probe_as: &ProbeAs) -> ProbeReport {
    app::probe(&config(gateway), probe_as, false, gateway.clock.clone()).await.unwrap()
}

/// A clock for the command: instead of waiting for a few seconds, it advances the test's clock.
struct Impatient(Arc<ManualClock>);

impl Clock for Impatient {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    fn sleep_until(&self, moment: DateTime<Utc>) -> BoxFuture<()> {
        let wait = moment - self.0.now();
        if wait > TimeDelta::seconds(5) {
            // The timeout of OwnerRez's responses.
            return self.0.sleep_until(moment);
        }
        self.0.advance(wait.max(TimeDelta::zero()));
        Box::pin(std::future::ready(()))
    }
}

/// Does the same, with waits that advance the clock.
async fn probe_impatiently(gateway: &Gateway, probe_as: &ProbeAs, alone: bool) -> ProbeReport {
    let clock = Arc::new(Impatient(gateway.clock.clone()));
    app::probe(&config(gateway), probe_as, alone, clock).await.unwrap()
}

fn told(entries: &[Entry]) -> Vec<(ObservationKind, &str, String)> {
    let member = |entry: &Entry| entry.member.as_ref().map(ToString::to_string).unwrap_or_default();
    entries.iter().map(|entry| (entry.what, &*entry.operation, member(entry))).collect()
}

#[actix_web::test]
async fn nothing_is_found_where_everything_is_as_the_catalogue_says() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = richest(&gateway);
        gateway.ownerrez().clear_requests();
        let report = probe(&gateway, &token(&gateway, account.id)).await;

        assert!(report.findings.is_empty() && report.is_fine(), "{}", report.text());
        assert!(report.requests <= MOST_REQUESTS, "{}", report.requests);
        let sent = gateway.ownerrez().requests();
        assert_eq!(sent.len(), report.requests as usize);
        assert!(sent.iter().all(|sent| sent.method == "GET" && sent.body.is_none()), "it only reads");
        // Every read is in the report, and every kind of record that the account has was seen.
        let reads = Catalog::embedded().unwrap();
        let reads: BTreeSet<&str> =
            reads.operations().filter(|operation| operation.is_read_only()).map(|operation| operation.name()).collect();
        let not_seen: Vec<_> = report.not_seen.iter().map(|not_seen| (&*not_seen.operation, not_seen.why)).collect();
        let seen = report.seen.iter().map(|seen| &*seen.operation);
        let all: BTreeSet<&str> = seen.chain(not_seen.iter().map(|(operation, _)| *operation)).collect();
        assert_eq!(all.iter().copied().collect::<Vec<_>>(), reads.into_iter().collect::<Vec<_>>());
        assert_eq!(not_seen, [], "{}", report.text());

        // Nothing that could identify a person or a place.
        let (text, json) = (report.text(), report.json());
        for private in [&account.name, &account.email, &account.time_zone, &gateway.simulator.url()] {
            assert!(!text.contains(private.as_str()) && !json.contains(private.as_str()), "{private}: {text}");
        }
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["end"], json!("complete"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_differs_is_found() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = richest(&gateway);
        let script = |pattern: &str, body: Value| gateway.ownerrez().script(Rule::on(pattern).reply(200, body));
        script("GET /v2/payments", json!({"items": [{"id": "12", "booking_id": 5, "payer": "Ann"}], "limit": 100}));
        script("GET /v2/fees", json!([{"id": 3, "amount": 2.5}]));
        gateway.ownerrez().script(Rule::on("GET /v2/refunds").reply(203, json!({"limit": 100, "offset": 0})));
        gateway.ownerrez().script(Rule::on("GET /v2/deposits").reply(400, json!({"code": "validation_failed"})));
        gateway.ownerrez().script(Rule::on("GET /v2/listings").reply(402, json!({"messages": ["No."]})));
        gateway.ownerrez().script(Rule::on("GET /v2/discounts").reply(200, Value::Null).invalid_json());
        let report = probe(&gateway, &token(&gateway, account.id)).await;

        let found = told(&report.findings);
        for (what, operation, member) in [
            // The fee in the list does not belong to the account.
            (ObservationKind::OtherStatus, "get_fee", ""),
            (ObservationKind::OtherStatus, "list_deposits", ""),
            (ObservationKind::OtherEnvelope, "list_discounts", ""),
            (ObservationKind::OtherEnvelope, "list_fees", ""),
            (ObservationKind::OtherEnvelope, "list_payments", "offset"),
            (ObservationKind::UnknownMember, "list_payments", "payer"),
            (ObservationKind::MissingMember, "list_payments", "amount"),
            (ObservationKind::OtherType, "list_payments", "id"),
            (ObservationKind::OtherStatus, "list_refunds", ""),
        ] {
            assert!(found.contains(&(what, operation, member.to_owned())), "{what:?} {operation} {member}: {found:#?}");
        }
        assert_eq!(found.len(), 9, "{found:#?}");
        assert!(!report.is_fine() && !report.text().contains("Ann"));
        let listings = report.not_seen.iter().find(|not_seen| not_seen.operation == "list_listings").unwrap();
        assert_eq!((listings.why, listings.status), (NotSeenReason::Refused, Some(402)));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_gateway_counts_what_a_probe_sends_meanwhile() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(database, Settings::default().set("UPSTREAM_LIMIT", "60")).await;
        let alice = gateway.connected_user("Alice").await;
        let account = richest(&gateway);
        gateway.ownerrez().clear_requests();
        let started = gateway.now();
        let report = probe_impatiently(&gateway, &token(&gateway, account.id), false).await;
        assert_eq!(report.end, End::Complete);
        assert!(gateway.now() - started >= TimeDelta::minutes(5), "it waits until a third of the window is free");

        // The gateway uses the rest of the window, and OwnerRez never returns 429.
        let mut sent = 0;
        while alice.call("get_current_user", json!({})).await.is_ok() {
            sent += 1;
            assert!(sent <= 60);
        }
        assert!(sent > 0);
        assert_eq!(gateway.ownerrez().count_status(429), 0);

        // So does a gateway that starts after it.
        let gateway = gateway.restart().await;
        gateway.advance(TimeDelta::minutes(6));
        probe_impatiently(&gateway, &token(&gateway, account.id), false).await;
        let gateway = gateway.restart().await;
        while alice.at(&gateway.url).call("get_current_user", json!({})).await.is_ok() {}
        assert_eq!(gateway.ownerrez().count_status(429), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn alone_it_sends_one_request_a_second_and_needs_no_database() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = richest(&gateway);
        gateway.ownerrez().clear_requests();
        let report = probe_impatiently(&gateway, &token(&gateway, account.id), true).await;
        assert!(report.is_fine(), "{}", report.text());
        let sent = gateway.ownerrez().requests();
        let pauses = sent.windows(2).map(|two| two[1].at - two[0].at);
        assert!(pauses.min() >= Some(TimeDelta::seconds(1)), "{sent:#?}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_probe_ends_where_ownerrez_refuses_to_go_on() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = richest(&gateway);
        gateway
            .ownerrez()
            .script(Rule::on("GET /v2/guests").reply(429, json!({"code": 429, "error": "Rate limit exceeded."})));
        let report = probe(&gateway, &token(&gateway, account.id)).await;
        assert_eq!(report.end, End::Throttled);
        assert!(!report.is_fine() && report.not_seen.iter().any(|not_seen| not_seen.why == NotSeenReason::NotAsked));

        let wrong = ProbeAs::Account(SingleAccount::Bearer("at_wrong".into()));
        let refused = app::probe(&config(&gateway), &wrong, false, gateway.clock.clone()).await;
        assert!(matches!(refused, Err(ProbeError::TokenRefused)), "{refused:?}");
        gateway.stop().await;
    })
    .await;
}

/// Runs the program with the settings of this gateway and with overrides.
fn run(gateway: &Gateway, arguments: &[&str], over: &[(&str, &str)]) -> Ending {
    let home = tempfile::tempdir().unwrap();
    let mut environment = gateway.environment();
    environment.extend_from_slice(over);
    Program::start(home.path(), arguments, &environment).end()
}

#[actix_web::test]
async fn the_account_of_a_connected_user_is_probed() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await.connect(&gateway, richest(&gateway).id).await;
        let by_key = ProbeAs::User(alice.key[..24].to_owned());
        let report = probe(&gateway, &by_key).await;
        assert!(report.is_fine() && report.credential == ProbeCredential::ConnectedUser, "{}", report.text());
        let counted = database.number("SELECT sum(requests) FROM allowance_use").await;
        assert!(counted >= i64::from(report.requests), "the use is told per user: {counted}");

        let bob = gateway.user("Bob").await;
        let refused = async |user: &str| {
            let outcome =
                app::probe(&config(&gateway), &ProbeAs::User(user.to_owned()), false, gateway.clock.clone()).await;
            outcome.unwrap_err().to_string()
        };
        assert!(refused(&bob.id).await.contains("no OwnerRez account is connected"));
        assert!(refused("no-user").await.contains("no user with this id"));
        // The command refreshes no tokens. A running gateway would.
        let (config, clock) = (config(&gateway), gateway.clock.clone());
        gateway.stop().await;
        clock.advance(TimeDelta::days(31));
        let outcome = app::probe(&config, &ProbeAs::User(alice.id), false, clock).await;
        assert!(outcome.unwrap_err().to_string().contains("call a tool"));
    })
    .await;
}

#[actix_web::test]
async fn a_token_comes_from_the_environment_or_from_standard_input() {
    on_each_database(async |database| {
        // Each of the four probes waits until a third of the window is free.
        let gateway = Gateway::start_with(database, Settings::default().set("UPSTREAM_LIMIT", "3000")).await;
        let account = richest(&gateway);
        let access = gateway.ownerrez().grant(account.id)["access_token"].as_str().unwrap().to_owned();
        let in_environment = [("OWNERREZ_ACCESS_TOKEN", access.as_str())];
        let ending = run(&gateway, &["probe"], &in_environment);
        assert_eq!(ending.code, Some(0), "{ending:?}");
        assert!(
            ending.output.contains("with an access token. Complete.") && !ending.written.contains(&access),
            "{ending:?}"
        );

        gateway.ownerrez().script(Rule::on("GET /v2/inquiries").reply(200, json!([])));
        let ending = run(&gateway, &["probe", "--json"], &in_environment);
        assert_eq!(ending.code, Some(1), "{ending:?}");
        let report: Value = serde_json::from_str(&ending.output).unwrap();
        let finding = json!([{
            "operation": "list_inquiries", "what": "other_envelope", "expected": "a page", "found": ["list"],
            "count": 1, "of": 1,
        }]);
        assert_eq!((&report["findings"], &report["credential"]), (&finding, &json!("access_token")));

        let personal = account.personal_access_token.as_str();
        let both = [("OWNERREZ_USERNAME", account.email.as_str()), ("OWNERREZ_TOKEN", personal)];
        let ending = run(&gateway, &["probe"], &both);
        assert_eq!(ending.code, Some(0), "{ending:?}");
        // OwnerRez offers neither with personal tokens.
        let not_seen = ending.output.split("Not seen").nth(1).unwrap();
        for part in ["list_messages (GET /v2/messages): refused 402", "list_webhook_subscriptions"] {
            assert!(not_seen.contains(part), "{ending:?}");
        }

        let home = tempfile::tempdir().unwrap();
        let mut program =
            Program::start_hearing(home.path(), &["probe", "--stdin"], &gateway.environment(), Stdio::piped());
        program.tell_bytes(format!("{}:{personal}", account.email).as_bytes());
        program.hang_up();
        let ending = program.end();
        assert_eq!(ending.code, Some(0), "{ending:?}");
        assert!(!ending.written.contains(personal) && !ending.written.contains(&account.email), "{ending:?}");
        gateway.stop().await;
    })
    .await;
}

#[test]
fn without_a_token_or_a_database_it_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let token = ("OWNERREZ_ACCESS_TOKEN", "at_secret");
    for (arguments, environment, says) in [
        (&["probe"][..], &[][..], "OWNERREZ_ACCESS_TOKEN"),
        (&["probe"], &[token], "--alone"),
        (&["probe", "--alone"], &[("OWNERREZ_USERNAME", "ann@example.com")], "exactly one token"),
        (&["probe", "--stdin"], &[], "standard input"),
        (&["probe", "--alone"], &[token, ("OWNERREZ_API_URL", "http://127.0.0.1:1")], "does not respond"),
        (&["probe", "--alone", "--user", "x"], &[], "cannot be used with"),
    ] {
        let ending = Program::start(home.path(), arguments, environment).end();
        assert!(matches!(ending.code, Some(1 | 2)), "{ending:?}");
        assert!(ending.errors.contains(says) && !ending.written.contains("at_secret"), "{says}: {ending:?}");
        assert!(ending.output.is_empty(), "{ending:?}");
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "it makes nothing");
}
