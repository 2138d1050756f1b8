//! Access to data of other users, and requests that only imitate the page.

use chrono::TimeDelta;
use serde_json::json;

use super::Visit;
use crate::world::{Browser, ClientApp, Gateway, Settings, on_each_database};

#[actix_web::test]
async fn forms_count_only_from_the_page_in_the_browser_that_signed_in() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alices, mallorys) =
            (gateway.ownerrez().add_account("Alice").id, gateway.ownerrez().add_account("Mallory").id);
        let mut alice = Visit::signed_in(&gateway, alices).await;
        let mut mallory = Visit::signed_in(&gateway, mallorys).await;
        let csrf = alice.look().await.field("csrf");
        let mallorys_csrf = mallory.look().await.field("csrf");
        let wanted = [("csrf", csrf.as_str()), ("do", "delete")];

        for forged in [&[("do", "delete")][..], &[("csrf", ""), ("do", "delete")], &[("csrf", "x"), ("do", "delete")]] {
            assert_eq!(alice.browser.submit(&alice.url, forged).await.status, 403, "{forged:?}");
        }
        assert_eq!(alice.send(&mallorys_csrf, "delete", &[]).await.status, 403, "of another session");
        for headers in [
            &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")][..],
            &[("origin", "null"), ("sec-fetch-site", "cross-site")],
            &[("origin", "null"), ("sec-fetch-site", "same-site")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
        ] {
            let refused = alice.browser.submit_with(&alice.url, &wanted, headers).await;
            assert_eq!(refused.status, 403, "{headers:?}");
        }
        assert_eq!(Browser::new().submit(&alice.url, &wanted).await.status, 403, "a browser without the cookie");
        assert_eq!(mallory.send(&csrf, "delete", &[]).await.status, 403, "a browser with another one");
        // A form made by Mallory cannot sign another user in to Mallory's account (login CSRF).
        let door = Browser::new().open(&alice.url).await.field("csrf");
        let sign_in = [("csrf", door.as_str()), ("do", "sign_in")];
        assert_eq!(Browser::new().submit(&alice.url, &sign_in).await.status, 403);
        assert_eq!(database.number("SELECT count(*) FROM users").await, 2);

        // Malformed forms get 400, never a 500.
        for nonsense in [
            &[("csrf", csrf.as_str())][..],
            &[("csrf", &csrf), ("do", "fly")],
            &[("csrf", &csrf), ("do", "end_key"), ("key", "x")],
        ] {
            assert_eq!(alice.browser.submit(&alice.url, nonsense).await.status, 400, "{nonsense:?}");
        }
        let someones = uuid::Uuid::new_v4().to_string();
        let made =
            alice.send(&csrf, "make_key", &[("id", &someones), ("proof", "x"), ("name", ""), ("scope", "full")]).await;
        assert_eq!(made.status, 403, "a key is made only by a form that the page showed");
        assert_eq!(database.number("SELECT count(*) FROM api_keys").await, 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn nobody_ends_what_is_anothers() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alices, mallorys) =
            (gateway.ownerrez().add_account("Alice").id, gateway.ownerrez().add_account("Mallory").id);
        let app = ClientApp::register(&gateway, "App").await;
        let caller = app.caller(&app.tokens(&gateway, alices, &[]).await);
        let mut alice = Visit::signed_in(&gateway, alices).await;
        let key = alice.make_key("Alice's", "full").await;
        let page = alice.look().await;
        let (key_id, grant) = (page.field("key"), page.field("grant"));

        let mut mallory = Visit::signed_in(&gateway, mallorys).await;
        let page = mallory.look().await;
        assert!(!page.body.contains("Alice") && !page.body.contains(&key_id) && !page.body.contains(&grant));
        assert_eq!(mallory.act("end_key", &[("key", &key_id)]).await.status, 303);
        assert_eq!(mallory.act("end_client", &[("grant", &grant)]).await.status, 303);
        caller.call("get_current_user", json!({})).await.ok();
        let program = crate::world::Person::visitor(&gateway.url).with_key(&key, "");
        program.call("get_current_user", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_browser_that_began_is_the_browser_that_comes_back() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let (alices, mallorys) =
            (gateway.ownerrez().add_account("Alice").id, gateway.ownerrez().add_account("Mallory").id);
        // Mallory has an approval of her own account and sends Alice the callback address.
        let mut mallory = Visit::new(&gateway);
        let to_ownerrez = mallory.act("sign_in", &[]).await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, mallorys).unwrap();
        let mut alice = Visit::signed_in(&gateway, alices).await;
        for visitor in [&mut alice.browser, &mut Browser::new()] {
            assert_eq!(visitor.open(&back).await.status, 403);
        }
        assert!(alice.look().await.body.contains(&format!("<strong>{alices}</strong>")));
        assert_eq!(database.number("SELECT count(*) FROM users").await, 1, "the code was not used");
        assert_eq!(mallory.browser.open(&back).await.status, 303);
        assert_eq!(mallory.browser.open(&back).await.status, 403, "once");

        // A callback that arrives too late does not sign the user in either.
        let to_ownerrez = mallory.act("sign_in", &[]).await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, mallorys).unwrap();
        gateway.advance(TimeDelta::minutes(11));
        assert_eq!(mallory.browser.open(&back).await.status, 403);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn who_is_kept_out_is_signed_out() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let mut alice = Visit::signed_in(&gateway, account).await;
        let csrf = alice.look().await.field("csrf");
        database.execute("UPDATE users SET disabled_at = created_at").await;
        assert_eq!(alice.send(&csrf, "disconnect", &[]).await.status, 403);
        assert!(!alice.look().await.body.contains("Sign out"));
        let page = alice.sign_in(&gateway, account).await;
        assert_eq!(page.status, 403);
        assert!(page.body.contains("disabled"), "{}", page.body);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_cookie_is_bound_to_us_and_no_page_shows_it() {
    on_each_database(async |database| {
        let gateway = Gateway::start_with(
            database,
            Settings::default().set("SERVER_URL", "https://gateway.example").set("ALLOWED_HOSTS", "127.0.0.1"),
        )
        .await;
        let here = format!("http://{}", gateway.app().address());
        let account = gateway.ownerrez().add_account("Alice").id;
        let mut alice = Visit { browser: Browser::new(), url: format!("{here}/account") };
        let to_ownerrez = alice.act("sign_in", &[]).await.location();
        let back = gateway.ownerrez().approve(&to_ownerrez, account).unwrap();
        let page = alice.browser.open(&back.replacen("https://gateway.example", &here, 1)).await;
        assert_eq!(page.location(), "https://gateway.example/account");
        let set = page.headers.iter().find(|(name, value)| name == "set-cookie" && value.contains("ownerrez_account="));
        let (_, set) = set.expect("a cookie");
        for part in ["__Host-ownerrez_account=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=1800"] {
            assert!(set.contains(part), "{part}: {set}");
        }
        let token = set.split(['=', ';']).nth(1).unwrap();
        let question = alice.url.clone() + "/delete";
        for page in [alice.look().await, alice.browser.open(&question).await] {
            assert_eq!(page.status, 200);
            assert!(!page.body.contains(token) && !page.body.contains("at_") && !page.body.contains("<script"));
            let policy = page.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert_eq!(
                (page.header("cache-control"), page.header("referrer-policy")),
                (Some("no-store"), Some("no-referrer"))
            );
            for needed in [r#"lang="en""#, "width=device-width", "<h1>"] {
                assert!(page.body.contains(needed), "{needed}");
            }
        }
        assert_eq!(
            database.number(&format!("SELECT count(*) FROM account_sessions WHERE token_hash = '{token}'")).await,
            0
        );
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn without_an_ownerrez_app_there_is_no_account_page() {
    on_each_database(async |database| {
        let settings = Settings::default().set("OWNERREZ_CLIENT_ID", "").set("OWNERREZ_CLIENT_SECRET", "");
        let gateway = Gateway::start_with(database, settings).await;
        for path in ["/account", "/account/delete"] {
            assert_eq!(Browser::new().open(&format!("{}{path}", gateway.url)).await.status, 404);
        }
        gateway.stop().await;
    })
    .await;
}
