//! Several sign-ins at once in one browser: each has its own cookie, so they do not interfere.

use serde_json::json;

use crate::world::{Browser, ClientApp, Gateway, Landing, on_each_database};

/// The maximum number of cookies of one kind in a browser.
const MOST: usize = 8;

/// Approves on an open consent page.
async fn allow(browser: &mut Browser, gateway: &Gateway, page: &crate::world::Page) -> String {
    let (request, csrf) = (page.field("request"), page.field("csrf"));
    let fields = [("request", request.as_str()), ("csrf", csrf.as_str()), ("decision", "allow")];
    let to_ownerrez = browser.submit(&format!("{}/authorize", gateway.url), &fields).await;
    assert_eq!(to_ownerrez.status, 303, "{}", to_ownerrez.body);
    to_ownerrez.location()
}

#[actix_web::test]
async fn two_sign_ins_and_a_visit_to_the_account_page_all_succeed() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let (one, other) = (ClientApp::register(&gateway, "One").await, ClientApp::register(&gateway, "Other").await);
        let mut browser = Browser::new();
        // Two programs open their pages in a browser without cookies, before either gets a response.
        let pages = browser.open_both([&one.authorize_url(&[]), &other.authorize_url(&[])]).await;
        let mut backs = Vec::new();
        for page in &pages {
            let to_ownerrez = allow(&mut browser, &gateway, page).await;
            backs.push(gateway.ownerrez().approve(&to_ownerrez, account).unwrap());
        }
        let account_page = format!("{}/account", gateway.url);
        let csrf = browser.open(&account_page).await.field("csrf");
        let to_ownerrez = browser.submit(&account_page, &[("csrf", &csrf), ("do", "sign_in")]).await.location();
        let to_account = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();

        // The sign-in that was started first returns last.
        let landing = Landing::of(&browser.open(&backs[1]).await, &other.redirect_uri);
        assert_eq!(other.redeem(landing.get("code"), &[]).await.status, 200);
        assert_eq!(browser.open(&to_account).await.location(), account_page);
        let page = browser.open(&backs[0]).await;
        let look = browser.open(&page.location()).await;
        let page = look.send_others(&mut browser, &gateway.url, &[]).await;
        let landing = Landing::of(&page, &one.redirect_uri);
        assert_eq!(one.redeem(landing.get("code"), &[]).await.status, 200);
        assert!(browser.cookies("ownerrez_sign_in_").is_empty(), "each went with its flow");
        assert!(browser.open(&account_page).await.body.contains("One"), "still signed in there");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn two_connect_links_in_one_browser_both_connect() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let people = [gateway.user("Alice").await, gateway.user("Bob").await];
        let mut browser = Browser::new();
        let mut backs = Vec::new();
        for person in &people {
            let account = gateway.ownerrez().add_account("Account").id;
            let link = person.get("/api/connect/ownerrez/start").await.body["authorization_url"].clone();
            let to_ownerrez = browser.give_key(link.as_str().unwrap(), &person.key).await;
            backs.push(gateway.ownerrez().approve(&to_ownerrez.location(), account).unwrap());
        }
        for back in &backs {
            assert_eq!(browser.open(back).await.status, 200);
        }
        for person in &people {
            person.call("get_current_user", json!({})).await.ok();
        }
        assert!(browser.cookies("ownerrez_connect_").is_empty());
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn sign_ins_that_are_never_finished_do_not_fill_the_browser() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let mut browser = Browser::new();
        let mut to_ownerrez = Vec::new();
        for at in 0..MOST + 4 {
            let state = format!("state {at}");
            to_ownerrez.push(app.decide(&mut browser, &[("state", &state)], "allow").await.location());
            for kind in ["ownerrez_sign_in_", "ownerrez_csrf_"] {
                assert_eq!(browser.cookies(kind).len(), (at + 1).min(MOST), "{kind}");
            }
        }
        for (at, there) in to_ownerrez.iter().enumerate() {
            let page = browser.open(&gateway.ownerrez().approve(there, account).unwrap()).await;
            assert_eq!(page.status == 303, at >= 4, "{at}: the oldest made room");
        }
        gateway.stop().await;
    })
    .await;
}
