//! A user registers, connects an account in the browser and calls a tool; attackers try to intervene at each step.

use chrono::TimeDelta;
use ownerrez_gateway::simulator::Rule;
use serde_json::json;

use crate::world::{Browser, ClientApp, Gateway, Settings, on_each_database};

#[actix_web::test]
async fn from_registration_to_an_answer() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;

        let me = alice.call("get_current_user", json!({})).await.ok();
        assert_eq!(me["id"], json!(alice.account.unwrap().0));

        let status = alice.get("/api/connect/ownerrez/status").await;
        assert_eq!(status.body["connected"], json!(true));
        assert_eq!(status.body["ownerrez_user_id"], json!(alice.account.unwrap().0));
        assert!(status.body["connected_at"].is_string() && status.body["expires_at"].is_string());

        let test = alice.get("/api/connect/ownerrez/test").await;
        assert_eq!((test.status, &test.body["success"]), (200, &json!(true)));
        assert_eq!(test.body["user"]["id"], json!(alice.account.unwrap().0));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_page_of_a_link_names_the_key_and_guards_itself() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("<script>alert(1)</script>").await;
        let started = alice.get("/api/connect/ownerrez/start").await;
        let page = Browser::new().open(started.body["authorization_url"].as_str().unwrap()).await;

        assert_eq!(page.status, 200);
        assert!(page.body.contains(&alice.key[..24]) && !page.body.contains(&alice.key));
        assert!(!page.body.contains("<script>") && page.body.contains("&lt;script&gt;"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(policy.contains(&format!("form-action 'self' {}", gateway.simulator.url())));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("x-frame-options"), Some("DENY"));
        let cookie = page.header("set-cookie").unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn behind_tls_the_cookies_are_bound_to_the_host() {
    on_each_database(async |database| {
        let settings = Settings::default().set("SERVER_URL", "https://gateway.example");
        let gateway = Gateway::start_with(database, settings).await;
        let local = format!("http://{}", gateway.app().address());
        let alice = gateway.user_at("Alice", &local).await;
        let started = alice.get("/api/connect/ownerrez/start").await;
        let link = started.body["authorization_url"].as_str().unwrap();
        assert!(link.starts_with("https://gateway.example/api/connect/ownerrez/"));

        let page = Browser::new().open(&link.replace("https://gateway.example", &local)).await;
        let cookie = page.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-") && cookie.contains("Secure") && cookie.contains("Path=/"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn alices_link_in_bobs_browser_attaches_nothing() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alice, bob) = (gateway.user("Alice").await, gateway.user("Bob").await);
        let bobs_account = gateway.ownerrez().add_account("Bob").id;
        let started = alice.get("/api/connect/ownerrez/start").await;
        let link = started.body["authorization_url"].as_str().unwrap().to_owned();

        let mut bobs_browser = Browser::new();
        for key in [bob.key.as_str(), "", "ownerrez_sk_nonsense"] {
            let page = bobs_browser.give_key(&link, key).await;
            assert_eq!(page.status, 403, "Bob's browser goes nowhere with {key:?}");
        }

        // Alice goes as far as OwnerRez's approval and sends Bob the callback URL.
        let mut alices_browser = Browser::new();
        let to_ownerrez = alices_browser.give_key(&link, &alice.key).await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, bobs_account).unwrap();
        assert_eq!(bobs_browser.open(&back).await.status, 403);
        assert_eq!(gateway.ownerrez().count("POST /oauth/access_token"), 0);
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.body["connected"], json!(false));

        // That attempt did not consume Alice's state.
        assert_eq!(alices_browser.open(&back).await.status, 200);
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.body["connected"], json!(true));
        assert_eq!(bob.get("/api/connect/ownerrez/status").await.body["connected"], json!(false));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_state_is_good_once_and_for_ten_minutes() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let link = async || {
            let started = alice.get("/api/connect/ownerrez/start").await;
            started.body["authorization_url"].as_str().unwrap().to_owned()
        };

        let unused = link().await;
        gateway.advance(TimeDelta::minutes(10));
        assert_eq!(Browser::new().open(&unused).await.status, 410, "too old to begin with");

        let mut browser = Browser::new();
        let to_ownerrez = browser.give_key(&link().await, &alice.key).await.location();
        gateway.advance(TimeDelta::minutes(10));
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        assert_eq!(browser.open(&back).await.status, 403, "too old to come back");

        let to_ownerrez = browser.give_key(&link().await, &alice.key).await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        let mut twin = browser.clone();
        assert_eq!(browser.open(&back).await.status, 200);
        assert_eq!(twin.open(&back).await.status, 403, "a second time, with the same cookies");
        assert_eq!(gateway.ownerrez().count("POST /oauth/access_token"), 1);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_form_cannot_be_sent_for_someone_else() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let started = alice.get("/api/connect/ownerrez/start").await;
        let link = started.body["authorization_url"].as_str().unwrap().to_owned();
        let action = link.split('?').next().unwrap().to_owned();

        let mut browser = Browser::new();
        let page = browser.open(&link).await;
        let (state, csrf) = (page.hidden("state").unwrap(), page.hidden("csrf").unwrap());
        let own = [("origin", "null"), ("sec-fetch-site", "same-origin")];
        let good = [("state", state.as_str()), ("csrf", csrf.as_str()), ("api_key", alice.key.as_str())];

        let forged = [("state", state.as_str()), ("csrf", "x"), ("api_key", alice.key.as_str())];
        assert_eq!(browser.submit_with(&action, &forged, &own).await.status, 403);
        assert_eq!(Browser::new().submit_with(&action, &good, &own).await.status, 403, "without its cookie");
        for foreign in [
            vec![("origin", "https://evil.example")],
            vec![("origin", "null")],
            vec![("origin", "null"), ("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(browser.submit_with(&action, &good, &foreign).await.status, 403, "{foreign:?}");
        }
        assert_eq!(browser.submit_with(&action, &good, &own).await.status, 303);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_denial_is_told_and_its_words_are_not_repeated() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let started = alice.get("/api/connect/ownerrez/start").await;
        let mut browser = Browser::new();
        browser.give_key(started.body["authorization_url"].as_str().unwrap(), &alice.key).await;
        let page = browser
            .open(&format!(
                "{}/api/connect/ownerrez/callback?state={}&error=access_denied&error_description=%3Cb%3Epwned",
                gateway.url,
                started.body["state"].as_str().unwrap()
            ))
            .await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("pwned") && !page.body.contains("access_denied"));
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.body["connected"], json!(false));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_the_token_endpoint_says_decides_and_never_breaks() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let on = || Rule::on("POST /oauth/access_token");
        for (rule, status) in [
            (on().reply(400, json!({"error": "invalid_grant"})), 502),
            (on().reply(401, json!({"error": "invalid_client"})), 503),
            (on().reply(500, json!({})), 502),
            (on().reply(200, json!({"token_type": "bearer"})), 502),
            (on().invalid_json(), 502),
            (on().reset(), 502),
        ] {
            gateway.ownerrez().script(rule);
            let page = alice.connect_in(&mut Browser::new(), &gateway, account).await;
            assert_eq!(page.status, status, "{}", page.body);
            assert!(!page.body.contains("tc_") && !page.body.contains("at_"));
        }
        assert_eq!(alice.connect_in(&mut Browser::new(), &gateway, account).await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_working_connection_is_not_replaced_and_a_rejected_one_is() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let again = alice.get("/api/connect/ownerrez/start").await;
        assert_eq!((again.status, again.error()), (409, "already_connected"));

        gateway.ownerrez().revoke_account_grants(alice.account.unwrap());
        assert!(!alice.call("list_properties", json!({})).await.is_ok());
        let status = alice.get("/api/connect/ownerrez/status").await;
        assert_eq!((&status.body["connected"], &status.body["needs_reconnect"]), (&json!(false), &json!(true)));

        let other = gateway.ownerrez().add_account("Alice's other house").id;
        let alice = alice.connect(&gateway, other).await;
        assert_eq!(alice.call("get_current_user", json!({})).await.ok()["id"], json!(other.0));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn two_links_of_one_user_make_one_connection() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let mut browsers = [Browser::new(), Browser::new()];
        let mut ways_back = Vec::new();
        for browser in &mut browsers {
            let started = alice.get("/api/connect/ownerrez/start").await;
            let link = started.body["authorization_url"].as_str().unwrap().to_owned();
            let to_ownerrez = browser.give_key(&link, &alice.key).await.location();
            ways_back.push(gateway.ownerrez().approve(&to_ownerrez, account).unwrap());
        }
        assert_eq!(browsers[0].open(&ways_back[0]).await.status, 200);
        assert_eq!(browsers[1].open(&ways_back[1]).await.status, 409);
        assert_eq!(gateway.ownerrez().count("POST /oauth/access_token"), 1, "the second code is left to die");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn states_are_stored_hashed_capped_and_swept() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let mut links = Vec::new();
        for _ in 0..7 {
            let started = alice.get("/api/connect/ownerrez/start").await;
            let state = started.body["state"].as_str().unwrap();
            assert_eq!(database.number(&format!("SELECT count(*) FROM oauth_states WHERE state = '{state}'")).await, 0);
            links.push(started.body["authorization_url"].as_str().unwrap().to_owned());
            gateway.advance(TimeDelta::seconds(1));
        }
        assert_eq!(database.number("SELECT count(*) FROM oauth_states").await, 5);
        assert_eq!(Browser::new().open(&links[1]).await.status, 410, "the oldest went");
        assert_eq!(Browser::new().open(&links[6]).await.status, 200);

        gateway.advance(TimeDelta::minutes(11));
        gateway.app().sessions().run_background_jobs().await;
        assert_eq!(database.number("SELECT count(*) FROM oauth_states").await, 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn without_an_ownerrez_app_everything_else_works() {
    on_each_database(async |database| {
        let settings = Settings::default().set("OWNERREZ_CLIENT_ID", "").set("OWNERREZ_CLIENT_SECRET", "");
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.user("Alice").await;
        let start = alice.get("/api/connect/ownerrez/start").await;
        assert_eq!((start.status, start.error()), (503, "ownerrez_not_configured"));
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.status, 200);
        assert!(alice.call("list_properties", json!({})).await.refused().contains("OWNERREZ_CLIENT_ID"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn every_text_names_the_configured_time() {
    on_each_database(async |database| {
        let short = Settings::default().tune(|config| config.connect.link_minutes = 2);
        let gateway = Gateway::start_with(database, short).await;
        let alice = gateway.user("Alice").await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let started = alice.get("/api/connect/ownerrez/start").await.body;
        let mut texts = vec![
            started["message"].as_str().unwrap().to_owned(),
            alice.call("list_properties", json!({})).await.refused(),
        ];

        let mut browser = Browser::new();
        let to_ownerrez = browser.give_key(started["authorization_url"].as_str().unwrap(), &alice.key).await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        let app = ClientApp::register(&gateway, "App").await;
        let to_ownerrez = app.decide(&mut browser, &[], "allow").await.location();
        let signed_in = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        gateway.advance(TimeDelta::minutes(2));
        for late in [started["authorization_url"].as_str().unwrap(), &back, &signed_in] {
            let page = browser.open(late).await;
            assert!(matches!(page.status, 403 | 410), "{}", page.body);
            texts.push(page.body);
        }
        for text in texts {
            assert!(text.contains("2 minutes") && !text.contains("10 minutes"), "{text}");
        }
        gateway.stop().await;
    })
    .await;
}
