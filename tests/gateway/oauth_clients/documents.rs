//! Client ID Metadata Documents: those of today's clients, and attacks with other addresses.

use chrono::TimeDelta;
use futures_util::{
    future::{Either, join, join_all, select},
    poll,
};
use ownerrez_gateway::oauth::clients::{
    ClientAuthentication, ClientError, ClientErrorCode, ClientKind, DocumentProblem, FetchProblem, is_public,
};
use serde_json::{Value, json};

use super::{ClientsFixture, FixtureSettings, place};
use crate::world::{Published, Publisher, ResponseFraming, TestDatabase, on_each_database};

const HOST: &str = "client.example.com";
pub(super) const URL: &str = "https://client.example.com/client.json";

pub(super) fn document(url: &str) -> Value {
    json!({"client_id": url, "client_name": "Client", "redirect_uris": ["https://client.example.com/cb"],
        "token_endpoint_auth_method": "none"})
}

pub(super) async fn desk_with(database: &TestDatabase, published: Published) -> (ClientsFixture, Publisher) {
    let publisher = Publisher::start(&[HOST]).await;
    publisher.publish(URL, published);
    (ClientsFixture::before(database, &publisher).await, publisher)
}

pub(super) async fn fetch_problem(fixture: &ClientsFixture, url: &str) -> FetchProblem {
    match fixture.refusal(url).await {
        ClientError::Document { problem: DocumentProblem::Fetch(problem), .. } => problem,
        other => panic!("{url}: {other:?}"),
    }
}

#[actix_web::test]
async fn todays_clients_are_known_by_their_documents() {
    on_each_database(async |database: &TestDatabase| {
        let publisher = Publisher::start(&["chatgpt.com", "claude.ai", "vscode.dev"]).await;
        let fixture = ClientsFixture::before(database, &publisher).await;
        for (url, document, name, signs, used) in [
            (
                "https://chatgpt.com/oauth/kDmjx77UnKOM/client.json",
                json!({"client_uri": "https://chatgpt.com/", "client_name": "ChatGPT",
                    "redirect_uris": ["https://chatgpt.com/connector/oauth/kDmjx77UnKOM"],
                    "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
                    "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "RS256",
                    "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
                    "jwks_uri": "https://chatgpt.com/oauth/jwks.json"}),
                "ChatGPT",
                true,
                vec!["https://chatgpt.com/connector/oauth/kDmjx77UnKOM"],
            ),
            (
                "https://claude.ai/oauth/mcp-oauth-client-metadata",
                json!({"client_name": "Claude", "client_uri": "https://claude.ai",
                    "redirect_uris": ["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"],
                    "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
                    "token_endpoint_auth_method": "none"}),
                "Claude",
                false,
                vec!["https://claude.ai/api/mcp/auth_callback"],
            ),
            (
                "https://claude.ai/oauth/claude-code-client-metadata",
                json!({"client_name": "Claude Code", "client_uri": "https://claude.ai",
                    "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
                    "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
                    "token_endpoint_auth_method": "none"}),
                "Claude Code",
                false,
                vec!["http://localhost:54212/callback", "http://127.0.0.1:3118/callback"],
            ),
            (
                "https://vscode.dev/oauth/client-metadata.json",
                json!({"client_name": "Visual Studio Code", "client_uri": "https://vscode.dev/product",
                    "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
                    "response_types": ["code"], "application_type": "native", "token_endpoint_auth_method": "none",
                    "redirect_uris": ["http://127.0.0.1:33418/", "http://127.0.0.1/", "https://vscode.dev/redirect"]}),
                "Visual Studio Code",
                false,
                vec!["http://127.0.0.1:33418/", "http://127.0.0.1:50011/", "https://vscode.dev/redirect"],
            ),
        ] {
            let mut published = document;
            published["client_id"] = json!(url);
            publisher.publish(url, Published::json(&published));

            let client = fixture.clients.find(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));

            assert_eq!((client.id.to_string().as_str(), client.name.as_str()), (url, name));
            assert_eq!(client.kind, ClientKind::MetadataDocument);
            assert_eq!(matches!(client.authentication, ClientAuthentication::PrivateKeyJwt { .. }), signs);
            for uri in used {
                assert!(place(&client, uri).is_some(), "{uri} of {url}");
            }
            assert_eq!(place(&client, "https://evil.example/cb"), None);
            assert_eq!(client.is_loopback_only(), name == "Claude Code");
        }
        assert!(fixture.metrics.text().contains(r#"client_documents_total{outcome="fetched"} 4"#));
    })
    .await;
}

#[actix_web::test]
async fn what_is_no_good_document_is_no_client() {
    on_each_database(async |database: &TestDatabase| {
        let large =
            json!({"client_id": URL, "redirect_uris": ["https://client.example.com/cb"], "filler": "a".repeat(5200)});
        for (published, expected) in [
            (Published::json(&document(URL)).status(404), Some(FetchProblem::Status(404))),
            (Published::json(&document(URL)).status(201), Some(FetchProblem::Status(201))),
            (
                Published::json(&document(URL)).status(302).header("Location", "https://client.example.com/other.json"),
                Some(FetchProblem::Status(302)),
            ),
            (
                Published::json(&document(URL)).status(307).header("Location", "http://169.254.169.254/latest"),
                Some(FetchProblem::Status(307)),
            ),
            (Published::text("text/html", &document(URL).to_string()), Some(FetchProblem::ContentType)),
            (Published::json(&large), Some(FetchProblem::TooLarge)),
            (
                Published::text("application/json", &"a".repeat(5632)).in_form(ResponseFraming::Chunked),
                Some(FetchProblem::TooLarge),
            ),
            (Published::text("application/json", "<html>"), None),
            (Published::json(&document("https://other.example.com/client.json")), None),
        ] {
            let (fixture, publisher) = desk_with(database, published).await;
            publisher.publish("https://client.example.com/other.json", Published::json(&document(URL)));

            let refusal = fixture.refusal(URL).await;

            assert_eq!(refusal.code(), ClientErrorCode::InvalidClient, "{refusal}");
            let ClientError::Document { host, problem } = refusal else { panic!("{refusal:?}") };
            assert_eq!(host, HOST);
            match expected {
                Some(expected) => assert_eq!(problem, DocumentProblem::Fetch(expected)),
                None => assert!(!matches!(problem, DocumentProblem::Fetch(_)), "{problem}"),
            }
            assert_eq!(publisher.count("https://client.example.com/other.json"), 0, "no redirect is followed");
        }
    })
    .await;
}

#[actix_web::test]
async fn a_host_in_trouble_is_told_from_a_bad_document() {
    on_each_database(async |database: &TestDatabase| {
        for (status, expected) in [(500, FetchProblem::Fault(500)), (503, FetchProblem::Fault(503)), (429, FetchProblem::Fault(429))] {
            let (fixture, _publisher) = desk_with(database, Published::json(&document(URL)).status(status)).await;
            let refusal = fixture.refusal(URL).await;
            assert_eq!(refusal.code(), ClientErrorCode::TemporarilyUnavailable);
            assert!(matches!(refusal, ClientError::Document { problem: DocumentProblem::Fetch(problem), .. } if problem == expected));
        }

        let (fixture, _publisher) = desk_with(database, Published::json(&document(URL))).await;
        let unknown = "https://nowhere.example.com/client.json";
        assert_eq!(fetch_problem(&fixture, unknown).await, FetchProblem::Unreachable);
        assert_eq!(fixture.refused_as(unknown).await, ClientErrorCode::TemporarilyUnavailable);
    })
    .await;
}

#[actix_web::test]
async fn a_certificate_that_nobody_vouches_for_is_no_host() {
    on_each_database(async |database: &TestDatabase| {
        let publisher = Publisher::start(&[HOST]).await;
        publisher.publish(URL, Published::json(&document(URL)));
        let egress = publisher.egress_without_trust();
        let fixture =
            ClientsFixture::open_with(database, FixtureSettings { egress, ..FixtureSettings::default() }).await;
        assert_eq!(fetch_problem(&fixture, URL).await, FetchProblem::Unreachable);
        assert_eq!(publisher.count(URL), 0);

        // The certificate of another host, under the name of this one.
        let publisher = Publisher::start(&["other.example.com"]).await;
        let there = publisher.address("other.example.com");
        publisher.lead(HOST, &[&[&there]]);
        let fixture = ClientsFixture::before(database, &publisher).await;
        assert_eq!(fetch_problem(&fixture, URL).await, FetchProblem::Unreachable);
    })
    .await;
}

#[actix_web::test]
async fn nothing_private_is_dialled_whatever_leads_there() {
    on_each_database(async |database: &TestDatabase| {
        let publisher = Publisher::start(&[HOST]).await;
        publisher.publish(URL, Published::json(&document(URL)));
        let here = publisher.address(HOST);
        let egress = publisher.egress_with(is_public);
        let fixture =
            ClientsFixture::open_with(database, FixtureSettings { egress, ..FixtureSettings::default() }).await;

        // By DNS: the server listens there, and would answer.
        for (at, addresses) in [
            vec![here.as_str()],
            vec!["10.0.0.7:443", "192.168.1.1:443"],
            vec!["169.254.169.254:443"],
            vec!["[::1]:443", "[::ffff:10.0.0.1]:443", "[64:ff9b::a00:1]:443", "[fd00::1]:443"],
        ]
        .into_iter()
        .enumerate()
        {
            publisher.lead(HOST, &[&addresses]);
            let url = format!("https://{HOST}/{at}.json");
            assert_eq!(fetch_problem(&fixture, &url).await, FetchProblem::NotPublic, "{addresses:?}");
            assert_eq!(fixture.refused_as(&url).await, ClientErrorCode::TemporarilyUnavailable);
        }

        // As an address literal.
        for url in [
            "https://127.0.0.1/client.json",
            "https://[::1]/client.json",
            "https://2130706433/client.json",
            "https://169.254.169.254/latest/meta-data/",
            "https://user@client.example.com/client.json",
            "https://client.example.com/a/../client.json",
            "https://client.example.com/",
            "http://client.example.com/client.json",
            "file:///etc/passwd",
        ] {
            assert_eq!(fixture.refused_as(url).await, ClientErrorCode::InvalidRequest, "{url}");
        }
        assert_eq!(publisher.connections(), 0);
    })
    .await;
}

#[actix_web::test]
async fn the_address_that_was_judged_is_the_one_that_is_dialled() {
    on_each_database(async |database: &TestDatabase| {
        let (fixture, publisher) = desk_with(database, Published::json(&document(URL))).await;
        let here = publisher.address(HOST);
        // A public address among private ones is the only one tried, and the second DNS result is never requested.
        publisher.lead(HOST, &[&["10.0.0.7:443", &here], &["10.0.0.7:443"]]);

        assert!(fixture.clients.find(URL).await.is_ok());

        assert_eq!((publisher.lookups(HOST), publisher.connections()), (1, 1));
        fixture.clock.advance(TimeDelta::hours(26));
        assert_eq!(fetch_problem(&fixture, URL).await, FetchProblem::NotPublic, "its time was over");
        assert_eq!((publisher.lookups(HOST), publisher.connections()), (2, 1));
    })
    .await;
}

#[actix_web::test]
async fn an_answer_that_never_ends_is_given_up_after_ten_seconds() {
    on_each_database(async |database: &TestDatabase| {
        let (fixture, publisher) = desk_with(database, Published::json(&document(URL)).stalling()).await;

        let turning = async {
            publisher.until_stalled(1).await;
            fixture.clock.advance(TimeDelta::seconds(10));
        };
        let (refusal, ()) = join(fixture.refusal(URL), turning).await;

        assert_eq!(refusal.code(), ClientErrorCode::TemporarilyUnavailable);
        assert!(matches!(
            refusal,
            ClientError::Document { problem: DocumentProblem::Fetch(FetchProblem::TimedOut), .. }
        ));
    })
    .await;
}

#[actix_web::test]
async fn a_document_is_fetched_once_for_all_who_ask_and_again_when_its_time_is_over() {
    on_each_database(async |database: &TestDatabase| {
        let kept = Published::json(&document(URL)).header("Cache-Control", "max-age=600");
        let (fixture, publisher) = desk_with(database, kept).await;

        let found = join_all((0..20).map(|_| fixture.clients.find(URL))).await;
        assert!(found.iter().all(Result::is_ok));
        assert_eq!(publisher.count(URL), 1);

        fixture.clock.advance(TimeDelta::seconds(599));
        fixture.clients.find(URL).await.unwrap();
        assert_eq!(publisher.count(URL), 1);

        let mut changed = document(URL);
        changed["redirect_uris"] = json!(["https://client.example.com/new"]);
        publisher.publish(URL, Published::json(&changed));
        fixture.clock.advance(TimeDelta::seconds(1));
        let client = fixture.clients.find(URL).await.unwrap();
        assert_eq!(publisher.count(URL), 2);
        assert!(place(&client, "https://client.example.com/new").is_some());
        assert_eq!(place(&client, "https://client.example.com/cb"), None);
    })
    .await;
}

#[actix_web::test]
async fn a_bad_document_is_asked_for_again_after_half_a_minute() {
    on_each_database(async |database: &TestDatabase| {
        let (fixture, publisher) = desk_with(database, Published::json(&json!({}))).await;
        for _ in 0..5 {
            fixture.refusal(URL).await;
        }
        assert_eq!(publisher.count(URL), 1);

        publisher.publish(URL, Published::json(&document(URL)));
        fixture.clock.advance(TimeDelta::seconds(30));
        assert!(fixture.clients.find(URL).await.is_ok());
    })
    .await;
}

#[actix_web::test]
async fn a_good_document_outlives_trouble_at_its_host_for_a_day_but_not_its_withdrawal() {
    on_each_database(async |database: &TestDatabase| {
        let (fixture, publisher) = desk_with(database, Published::json(&document(URL))).await;
        fixture.clients.find(URL).await.unwrap();

        publisher.publish(URL, Published::json(&json!({})).status(503));
        fixture.clock.advance(TimeDelta::hours(2));
        for _ in 0..5 {
            assert!(fixture.clients.find(URL).await.is_ok());
        }
        assert_eq!(publisher.count(URL), 2, "half a minute of peace for a host in trouble");
        fixture.clock.advance(TimeDelta::hours(23));
        assert_eq!(fixture.refused_as(URL).await, ClientErrorCode::TemporarilyUnavailable);

        publisher.publish(URL, Published::json(&document(URL)));
        fixture.clock.advance(TimeDelta::minutes(1));
        fixture.clients.find(URL).await.unwrap();
        publisher.publish(URL, Published::json(&json!({})).status(410));
        fixture.clock.advance(TimeDelta::hours(1));
        assert_eq!(fixture.refused_as(URL).await, ClientErrorCode::InvalidClient);
    })
    .await;
}

#[actix_web::test]
async fn who_leaves_in_the_middle_of_a_fetch_leaves_it_to_the_next() {
    on_each_database(async |database: &TestDatabase| {
        let (fixture, publisher) = desk_with(database, Published::json(&document(URL)).stalling()).await;
        let first = Box::pin(fixture.clients.find(URL));
        let waiting = Box::pin(publisher.until_stalled(1));
        let Either::Right(((), first)) = select(first, waiting).await else { panic!("it was to wait") };
        publisher.publish(URL, Published::json(&document(URL)));
        let mut second = Box::pin(fixture.clients.find(URL));
        assert!(poll!(&mut second).is_pending(), "one fetch at a time");

        drop(first);

        assert!(second.await.is_ok());
        assert_eq!(publisher.count(URL), 2);
    })
    .await;
}

/// A name that does not exist, one at an internal address, one that refuses connections and one that does not respond:
/// the error is the same for all; otherwise it would reveal which internal names exist.
#[actix_web::test]
async fn the_answer_does_not_tell_which_internal_hosts_exist() {
    on_each_database(async |database: &TestDatabase| {
        let (internal, refusing, silent) = ("intranet.example.com", "closed.example.com", "silent.example.com");
        let publisher = Publisher::start(&[HOST, internal, refusing, silent]).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent_at = listener.local_addr().unwrap().to_string();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed_at = closed.local_addr().unwrap().to_string();
        drop(closed);
        publisher.lead(internal, &[&["10.0.0.7:443"]]);
        publisher.lead(refusing, &[&[&closed_at]]);
        publisher.lead(silent, &[&[&silent_at]]);
        let fixture = ClientsFixture::before(database, &publisher).await;

        let mut answers = Vec::new();
        for host in ["nowhere.example.com", internal, refusing, silent] {
            let url = format!("https://{host}/client.json");
            let turning = async {
                if host != silent {
                    return None;
                }
                let (held, _) = listener.accept().await.unwrap();
                fixture.clock.advance(TimeDelta::seconds(10));
                Some(held)
            };
            let (refusal, _held) = join(fixture.refusal(&url), turning).await;
            answers.push((refusal.code(), refusal.hint(), refusal.to_string().replace(host, "HOST")));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        let told = fixture.metrics.text();
        for outcome in ["not_public", "unreachable", "timed_out"] {
            assert!(told.contains(&format!(r#"client_documents_total{{outcome="{outcome}"}}"#)), "{told}");
        }
    })
    .await;
}

#[actix_web::test]
async fn three_hundred_documents_at_a_silent_host_hold_up_no_other() {
    on_each_database(async |database: &TestDatabase| {
        let silent = "silent.example.com";
        let publisher = Publisher::start(&[HOST, silent]).await;
        let urls: Vec<_> = (0..300).map(|at| format!("https://{silent}/{at}.json")).collect();
        for url in &urls {
            publisher.publish(url, Published::json(&document(url)).stalling());
        }
        publisher.publish(URL, Published::json(&document(URL)));
        let fixture = ClientsFixture::before(database, &publisher).await;
        let mut asked: Vec<_> = urls.iter().map(|url| Box::pin(fixture.clients.find(url))).collect();
        let mut at_once = Vec::new();
        for (number, waiting) in asked.iter_mut().enumerate() {
            // Yield, because one task may not do that much without a pause.
            tokio::task::yield_now().await;
            if let std::task::Poll::Ready(outcome) = poll!(waiting) {
                let busy = matches!(&outcome, Err(ClientError::Document { problem: DocumentProblem::Fetch(problem), .. })
                    if *problem == FetchProblem::Busy);
                assert!(busy, "{number}: {outcome:?}");
                at_once.push(number);
            }
        }
        assert_eq!(at_once, (10..300).collect::<Vec<_>>(), "two run and eight wait");
        asked.truncate(10);

        let all = join_all(asked);
        let others = async {
            publisher.until_stalled(2).await;
            assert!(fixture.clients.find(URL).await.is_ok(), "another host, meanwhile");
            assert_eq!(publisher.connections(), 3, "two at a time of the silent one");
            fixture.clock.advance(TimeDelta::seconds(10));
        };
        let (outcomes, ()) = join(all, others).await;
        assert!(outcomes.iter().all(Result::is_err), "waiting counts as well");
        publisher.publish(&urls[9], Published::json(&document(&urls[9])));
        assert!(fixture.clients.find(&urls[9]).await.is_ok(), "it was not asked for, so it is not remembered as bad");
        assert!(fixture.clients.find(&urls[0]).await.is_err(), "this one was");
    })
    .await;
}

/// The owner of a domain controls how long a lookup in it takes.
#[actix_web::test]
async fn look_ups_that_never_end_leave_others_their_turn() {
    on_each_database(async |database: &TestDatabase| {
        let publisher = Publisher::start(&[HOST]).await;
        publisher.publish(URL, Published::json(&document(URL)));
        publisher.hang_lookups(".hostile.example");
        let fixture = ClientsFixture::before(database, &publisher).await;
        let names: Vec<String> = (0..100).map(|at| format!("name-{at}.hostile.example")).collect();
        let urls: Vec<_> = names.iter().map(|name| format!("https://{name}/client.json")).collect();

        let all = join_all(urls.iter().map(|url| fixture.clients.find(url)));
        let others = async {
            assert!(fixture.clients.find(URL).await.is_ok());
            assert_eq!(names.iter().map(|name| publisher.lookups(name)).sum::<usize>(), 16, "of one domain at a time");
            fixture.clock.advance(TimeDelta::seconds(10));
        };
        let (outcomes, ()) = join(all, others).await;
        assert!(outcomes.iter().all(Result::is_err));
    })
    .await;
}

/// One owner can have any number of names.
#[actix_web::test]
async fn many_names_at_one_network_leave_room_for_others() {
    on_each_database(async |database: &TestDatabase| {
        let names: Vec<String> = (0..40).map(|at| format!("www.name-{at}.example")).collect();
        let mut hosts: Vec<&str> = names.iter().map(String::as_str).collect();
        hosts.push(HOST);
        let publisher = Publisher::start(&hosts).await;
        let urls: Vec<_> = names.iter().map(|name| format!("https://{name}/client.json")).collect();
        for url in &urls {
            publisher.publish(url, Published::json(&document(url)).stalling());
        }
        publisher.publish(URL, Published::json(&document(URL)));
        publisher.lead(HOST, &[&[&publisher.elsewhere().await]]);
        let fixture = ClientsFixture::before(database, &publisher).await;

        let all = join_all(urls.iter().map(|url| fixture.clients.find(url)));
        let others = async {
            publisher.until_stalled(16).await;
            assert!(fixture.clients.find(URL).await.is_ok());
            fixture.clock.advance(TimeDelta::seconds(10));
        };
        let (outcomes, ()) = join(all, others).await;
        assert!(outcomes.iter().all(Result::is_err));
        assert_eq!(publisher.connections(), 17, "sixteen at a time of one network");
    })
    .await;
}
