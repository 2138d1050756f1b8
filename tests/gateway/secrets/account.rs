//! The account page with all log levels enabled: its cookies, the code, a key that is created and one that is entered.

use std::sync::Arc;

use ownerrez_gateway::{
    app::SystemClock,
    domain::AccountId,
    simulator::{Controls, Simulator, SimulatorOptions},
};
use serde_json::json;

use super::{CLIENT_SECRET, KEY, OF_THE_ACCOUNT_PAGE, address, contents, scanner::SecretScanner};
use crate::{
    processes::program::Program,
    tenant_tables::schema::Schema,
    world::{Browser, ClientApp, Landing, Page, Person, on_each_database, rpc},
};

#[actix_web::test]
async fn the_account_page_tells_no_secret_at_any_level_of_the_log() {
    on_each_database(async |database| {
        let home = tempfile::tempdir().unwrap();
        let options = SimulatorOptions {
            client_secret: CLIENT_SECRET.into(),
            ..SimulatorOptions::new(Arc::new(SystemClock::new()))
        };
        let ownerrez = Simulator::start(options).await.unwrap();
        let (database_url, ownerrez_url) = (database.url(), ownerrez.url());
        let environment = [
            ("PORT", "0"),
            ("RUST_LOG", "trace"),
            ("DATABASE_URL", &database_url),
            ("ENCRYPTION_KEY", KEY),
            ("OWNERREZ_API_URL", &ownerrez_url),
            ("OWNERREZ_APP_URL", &ownerrez_url),
            ("OWNERREZ_CLIENT_ID", "c_sandbox"),
            ("OWNERREZ_CLIENT_SECRET", CLIENT_SECRET),
        ];
        let gateway = Program::start(home.path(), &["serve"], &environment);
        let url = address(&gateway.says("public address "));
        let (here, scanner) = (format!("{url}/account"), SecretScanner::default());
        let account = ownerrez.controls().add_account("Alice").id;

        let mut browser = Browser::new();
        let door = browser.open(&here).await;
        scanner.secret("csrf", cookie(&door, "ownerrez_csrf"));
        scanner.page("door", &door, &["csrf"]);
        let to_ownerrez = browser.submit(&here, &[("csrf", &door.field("csrf")), ("do", "sign_in")]).await;
        scanner.secret("browser", cookie(&to_ownerrez, "ownerrez_sign_in"));
        let back = ownerrez.controls().approve(&to_ownerrez.location(), account).unwrap();
        for name in ["state", "code"] {
            let back = url::Url::parse(&back).unwrap();
            let (_, value) = back.query_pairs().find(|(known, _)| known == name).unwrap();
            scanner.secret(name, value.as_bytes());
        }
        scanner.page("to OwnerRez", &to_ownerrez, &["browser", "state"]);
        let signed_in = browser.open(&back).await;
        scanner.secret("session", cookie(&signed_in, "ownerrez_account"));
        scanner.page("signed in", &signed_in, &["session"]);

        let page = browser.open(&here).await;
        scanner.page("page", &page, &[]);
        let (csrf, id, proof) = (page.field("csrf"), page.field("id"), page.field("proof"));
        let wanted = [("csrf", csrf.as_str()), ("do", "make_key"), ("id", &id), ("proof", &proof), ("scope", "full")];
        let made = browser.submit(&here, &wanted).await;
        let (_, rest) = made.body.split_once(r#"<code id="key">"#).expect("a key");
        scanner.key("made key", rest.split_once('<').unwrap().0);
        scanner.page("made key", &made, &["made key"]);
        let reply = Person::visitor(&url).post("/api/users/register", &json!({"name": "old"})).await;
        let old = reply.body["api_key"].as_str().unwrap();
        scanner.key("old key", old);
        let question = browser.submit(&here, &[("csrf", csrf.as_str()), ("do", "show_key"), ("api_key", old)]).await;
        assert_eq!(question.status, 200, "{}", question.body);
        scanner.page("question", &question, &[]);
        let (key, from, proof) = (question.field("attach"), question.field("from"), question.field("proof"));
        let agreed = [("csrf", csrf.as_str()), ("do", "attach"), ("attach", &key), ("from", &from), ("proof", &proof)];
        assert_eq!(browser.submit(&here, &agreed).await.status, 303);
        scanner.page("page with keys", &browser.open(&here).await, &[]);

        an_app_signs_in(&url, ownerrez.controls(), account, &scanner).await;
        let schema = Schema::of(database).await;
        let mut unwritten = schema.empty_tables(database).await;
        unwritten.retain(|table| OF_THE_ACCOUNT_PAGE.contains(table));
        assert!(unwritten.is_empty(), "write these tables in secrets/account.rs: {unwritten:?}");

        scanner.check_absent("the database", &contents(database).await);
        let ending = gateway.stop();
        for word in ["took over key", "created the full key"] {
            assert!(ending.written.contains(word), "the log tells of {word}: {}", ending.written);
        }
        scanner.check_absent("the log", ending.written.as_bytes());
        scanner.check_responses();
        ownerrez.stop(true).await;
    })
    .await;
}

/// Signs a client in, redeems its code and refreshes its tokens. Another sign-in stays unfinished.
async fn an_app_signs_in(url: &str, ownerrez: &Controls, account: AccountId, scanner: &SecretScanner) {
    let redirect_uri = "https://app.example/callback";
    let metadata = json!({"client_name": "App", "redirect_uris": [redirect_uri]});
    let registered = Person::visitor(url).post("/register", &metadata).await;
    assert_eq!(registered.status, 201, "{}", registered.body);
    let app = ClientApp::of_program(url, registered.body["client_id"].as_str().unwrap(), redirect_uri);
    scanner.secret("verifier of the app", &app.verifier);

    let mut browser = Browser::new();
    let to_ownerrez = app.decide(&mut browser, &[], "allow").await;
    scanner.secret("browser of the app", cookie(&to_ownerrez, "ownerrez_sign_in"));
    let back = ownerrez.approve(&to_ownerrez.location(), account).unwrap();
    for (name, secret) in [("state", "state of the app"), ("code", "OwnerRez's code of the app")] {
        let back = url::Url::parse(&back).unwrap();
        let (_, value) = back.query_pairs().find(|(known, _)| known == name).unwrap();
        scanner.secret(secret, value.as_bytes());
    }
    scanner.page("app to OwnerRez", &to_ownerrez, &["browser of the app", "state of the app"]);
    let mut page = browser.open(&back).await;
    if page.status == 303 && page.location().contains("/authorize/continue") {
        let look = browser.open(&page.location()).await;
        page = look.send_others(&mut browser, url, &[]).await;
    }
    let landing = Landing::of(&page, redirect_uri);
    scanner.secret("code of the app", landing.get("code"));
    scanner.page("landing of the app", &page, &["code of the app"]);

    let redeemed = app.redeem(landing.get("code"), &[]).await;
    assert_eq!(redeemed.status, 200, "{}", redeemed.body);
    // Both responses may contain the same access token, because they are of the same second.
    scanner.secret("access token", redeemed.body["access_token"].as_str().unwrap());
    scanner.secret("first refresh token", redeemed.body["refresh_token"].as_str().unwrap());
    scanner.reply("first tokens", &redeemed, &["access token", "first refresh token"]);
    let refreshed = app.refresh(&redeemed.body["refresh_token"], &[]).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    scanner.secret("second refresh token", refreshed.body["refresh_token"].as_str().unwrap());
    let is_same = refreshed.body["access_token"] == redeemed.body["access_token"];
    let expected = ["second refresh token", "access token"];
    scanner.reply("second tokens", &refreshed, if is_same { &expected } else { &expected[..1] });
    assert_eq!(app.caller(&refreshed.body).mcp(&rpc(1, "tools/list", json!({}))).await.status, 200);

    let unfinished = app.decide(&mut Browser::new(), &[], "allow").await;
    scanner.secret("browser of the unfinished sign-in", cookie(&unfinished, "ownerrez_sign_in"));
    scanner.page("unfinished sign-in", &unfinished, &["browser of the unfinished sign-in"]);
}

/// Returns the value of a cookie that a page sets, by the beginning of its name.
fn cookie(page: &Page, beginning: &str) -> String {
    let mut set = page.headers.iter().filter(|(header, value)| header == "set-cookie" && value.starts_with(beginning));
    let (_, found) = set.next().expect("a cookie");
    found.split_once('=').unwrap().1.split(';').next().unwrap().to_owned()
}
