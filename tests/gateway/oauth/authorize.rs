//! The authorization request and the consent page: which errors are shown on a page, which are returned to the client,
//! and whose consent is valid.

use chrono::TimeDelta;

use crate::world::{Browser, ClientApp, Gateway, Landing, Settings, on_each_database};

#[actix_web::test]
async fn until_client_and_redirect_uri_are_sure_nobody_else_is_told() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let app = ClientApp::register(&gateway, "App").await;
        for (name, value) in [
            ("client_id", ""),
            ("client_id", "nobody"),
            ("client_id", "dcr_nonsense"),
            ("redirect_uri", ""),
            ("redirect_uri", "https://app.example/callback/"),
            ("redirect_uri", "https://app.example/callback?x=1"),
            ("redirect_uri", "https://app.example:443/callback"),
            ("redirect_uri", "https://app.example:8443/callback"),
            ("redirect_uri", "https://APP.example/callback"),
            ("redirect_uri", "https://app.example/./callback"),
            ("redirect_uri", "https://app.example/callback#x"),
            ("redirect_uri", "https://app.example@evil.example/callback"),
            ("redirect_uri", "https://evil.example/callback"),
            ("redirect_uri", "https://app.example.evil.example/callback"),
            ("redirect_uri", "https://app%2eexample/callback"),
            ("redirect_uri", "http://app.example/callback"),
            ("redirect_uri", "javascript:alert(1)"),
            ("redirect_uri", "data:text/html,x"),
            ("redirect_uri", "//app.example/callback"),
        ] {
            let page = Browser::new().open(&app.authorize_url(&[(name, value)])).await;
            assert_eq!((page.status, page.header("location")), (400, None), "{name}={value}");
            assert!(value.is_empty() || !page.body.contains(value), "{value} is repeated");
        }
        let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.example", app.authorize_url(&[]));
        assert_eq!(Browser::new().open(&twice).await.status, 400);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn consent_is_given_on_our_page_in_this_browser_and_not_remembered() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        app.tokens(&gateway, account, &[]).await;

        let mut browser = Browser::new();
        let page = browser.open(&app.authorize_url(&[])).await;
        let (request, csrf) = (page.field("request"), page.field("csrf"));
        let action = format!("{}/authorize", gateway.url);
        let good = [("request", request.as_str()), ("csrf", csrf.as_str()), ("decision", "allow")];
        let own = [("origin", "null"), ("sec-fetch-site", "same-origin")];
        for foreign in [
            vec![("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
            vec![("origin", "null"), ("sec-fetch-site", "cross-site")],
            vec![("origin", "null")],
            vec![("sec-fetch-site", "same-site")],
            vec![("sec-fetch-site", "none")],
        ] {
            assert_eq!(browser.submit_with(&action, &good, &foreign).await.status, 403, "{foreign:?}");
        }
        let forged = [("request", request.as_str()), ("csrf", "x"), ("decision", "allow")];
        assert_eq!(browser.submit_with(&action, &forged, &own).await.status, 403);
        assert_eq!(Browser::new().submit_with(&action, &good, &own).await.status, 403, "without its cookie");
        let other = format!("{request}&scope=ownerrez:read");
        let changed = [("request", other.as_str()), ("csrf", csrf.as_str()), ("decision", "allow")];
        assert_eq!(browser.submit_with(&action, &changed, &own).await.status, 403, "another request than was shown");
        assert_eq!(database.number("SELECT count(*) FROM sign_in_requests").await, 0);
        assert_eq!(browser.submit_with(&action, &good, &own).await.status, 303);

        // The consent page appears again after the user has agreed once.
        assert_eq!(browser.open(&app.authorize_url(&[])).await.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn no_is_told_to_the_client() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let app = ClientApp::register(&gateway, "App").await;
        let mut browser = Browser::new();
        for decision in ["deny", "", "anything"] {
            let landing = Landing::of(&app.decide(&mut browser, &[], decision).await, &app.redirect_uri);
            assert_eq!(landing.get("error"), "access_denied");
            assert_eq!((landing.get("state"), landing.get("iss")), ("state of the client", gateway.url.as_str()));
        }
        let to_ownerrez = app.decide(&mut browser, &[], "allow").await;
        let sent = url::Url::parse(&to_ownerrez.location()).unwrap();
        let state = sent.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let denied = format!(
            "{}/api/connect/ownerrez/callback?state={state}&error=access_denied&error_description=%3Cb%3Epwned",
            gateway.url
        );
        let page = browser.open(&denied).await;
        assert!(!page.location().contains("pwned"));
        assert_eq!(Landing::of(&page, &app.redirect_uri).get("error"), "access_denied");
        assert_eq!(database.number("SELECT count(*) FROM users").await, 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn only_the_browser_that_agreed_comes_back_once_and_in_time() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let mut browser = Browser::new();
        let to_ownerrez = app.decide(&mut browser, &[], "allow").await;
        let cookie = to_ownerrez.header("set-cookie").unwrap().to_owned();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"),
            "{cookie}"
        );
        let back = gateway.ownerrez().approve(&to_ownerrez.location(), account).unwrap();

        let mut victims = Browser::new();
        assert_eq!(victims.open(&back).await.status, 403, "no cookie at all");
        app.decide(&mut victims, &[], "allow").await;
        assert_eq!(victims.open(&back).await.status, 403, "the cookie of a sign-in of their own");
        assert_eq!(gateway.ownerrez().count("POST /oauth/access_token"), 0);
        let landing = Landing::of(&browser.open(&back).await, &app.redirect_uri);
        assert!(!landing.get("code").is_empty(), "those attempts used nothing up");
        assert_eq!(browser.open(&back).await.status, 403, "once");

        let to_ownerrez = app.decide(&mut browser, &[], "allow").await;
        gateway.advance(TimeDelta::minutes(10));
        let back = gateway.ownerrez().approve(&to_ownerrez.location(), account).unwrap();
        assert_eq!(browser.open(&back).await.status, 403, "too late");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn cookies_of_a_sign_in_are_bound_to_the_host_behind_tls_and_plain_on_loopback() {
    on_each_database(async |database| {
        let behind_tls =
            Settings::default().set("SERVER_URL", "https://gateway.example").set("ALLOWED_HOSTS", "127.0.0.1");
        for (settings, bound) in [(behind_tls, true), (Settings::default(), false)] {
            let gateway = Gateway::start_with(database, settings).await;
            let account = gateway.ownerrez().add_account("Alice").id;
            let app = ClientApp::register(&gateway, "App").await;
            let mut browser = Browser::new();
            let consent = browser.open(&app.authorize_url(&[])).await;
            let to_ownerrez = app.decide(&mut browser, &[], "allow").await;
            for page in [&consent, &to_ownerrez] {
                let cookie = page.header("set-cookie").expect("a cookie");
                assert_eq!(cookie.starts_with("__Host-"), bound, "{cookie}");
                assert_eq!(cookie.contains("Secure"), bound, "{cookie}");
                for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
                    assert!(cookie.contains(part), "{part}: {cookie}");
                }
                assert!(!cookie.contains("Domain"), "{cookie}");
            }
            let landing = app.sign_in(&gateway, account, &[]).await;
            assert_eq!(landing.get("iss"), gateway.url, "and the whole way is walked");
            gateway.stop().await;
        }
    })
    .await;
}

#[actix_web::test]
async fn the_page_warns_where_any_program_could_wait() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        for (redirect_uri, warns) in [
            ("https://app.example/callback", false),
            ("http://127.0.0.1:7777/callback", true),
            ("cursor://anysphere.cursor-mcp/oauth/callback", true),
        ] {
            let app = ClientApp::register_with(&gateway, "App", redirect_uri).await;
            let page = Browser::new().open(&app.authorize_url(&[])).await;
            assert_eq!(page.body.contains("can pretend to be this app"), warns, "{redirect_uri}");
        }
        // RFC 8252 section 7.3: for loopback addresses the port may differ.
        let app = ClientApp::register_with(&gateway, "App", "http://127.0.0.1:7777/callback").await;
        let page = Browser::new().open(&app.authorize_url(&[("redirect_uri", "http://127.0.0.1:8888/callback")])).await;
        assert_eq!(page.status, 200);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn pages_spell_parameters_as_requests_do() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let app = ClientApp::register(&gateway, "App").await;
        for (name, value, told) in [
            ("response_type", "", "The response_type is missing."),
            ("code_challenge", "", "The code_challenge is missing: PKCE is required."),
            ("code_challenge_method", "", "The code_challenge_method must be S256."),
            ("response_mode", "fragment", "The response_mode must be query."),
            ("redirect_uri", "", "The redirect_uri is missing."),
            ("redirect_uri", "https://evil.example/callback", "The redirect_uri is not registered for this client."),
            ("client_id", "", "The client_id is malformed."),
            ("resource", "https://evil.example/mcp", "Invalid resource: it must be /mcp of this gateway"),
        ] {
            let page = Browser::new().open(&app.authorize_url(&[(name, value)])).await;
            assert_eq!(page.status, 400, "{name}");
            assert!(page.body.contains(told), "{told}: {}", page.body);
        }
        gateway.stop().await;
    })
    .await;
}
