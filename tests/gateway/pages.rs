//! Pages for browsers: they cannot be framed, scripted or cached, their cookies are bound to the gateway, and neither
//! contains a secret.

use serde_json::json;

use crate::world::{Browser, Gateway, Page, Person, Settings, on_each_database};

const CALLBACK: &str = "/api/connect/ownerrez/callback";

fn hardened(page: &Page, what: &str) {
    let policy = page.header("content-security-policy").unwrap_or_else(|| panic!("{what}: no policy"));
    for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(directive), "{what}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{what}: {policy}");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{what}");
    assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(page.header("x-frame-options"), Some("DENY"), "{what}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{what}");
}

/// Returns the `Set-Cookie` values of a response, unparsed.
fn cookies(headers: &[(String, String)]) -> Vec<&str> {
    headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str()).collect()
}

#[actix_web::test]
async fn every_page_is_hardened_and_shows_no_secret() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("<img src=x onerror=alert(1)>").await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let started = alice.get("/api/connect/ownerrez/start").await;
        let link = started.body["authorization_url"].as_str().unwrap();
        let state = started.body["state"].as_str().unwrap();

        let mut browser = Browser::new();
        let form = browser.open(link).await;
        let wrong_key = browser.give_key(link, "ownerrez_sk_nonsense").await;
        let redirect = browser.give_key(link, &alice.key).await;
        let back = gateway.ownerrez().approve(&redirect.location(), account).unwrap();
        let (_, code) = back.split_once("code=").unwrap();
        let code = code.split('&').next().unwrap();
        let connected = browser.open(&back).await;
        let used_up = browser.open(&back).await;
        let gone = browser.open(link).await;
        assert_eq!((redirect.status, connected.status, used_up.status, gone.status), (303, 200, 403, 410));
        assert!(redirect.body.is_empty());

        for (what, page) in [
            ("form", &form),
            ("wrong key", &wrong_key),
            ("redirect", &redirect),
            ("connected", &connected),
            ("used up", &used_up),
            ("gone", &gone),
        ] {
            hardened(page, what);
            // Random text may contain these letters, but does not begin with them.
            let words = page.body.split(|mark: char| !mark.is_ascii_alphanumeric() && !"_-".contains(mark));
            let tokens = words.filter(|word| word.starts_with("at_") || word.starts_with("rt_")).count();
            assert_eq!(tokens, 0, "{what} shows a token");
            for secret in [alice.key.as_str(), code, "s_sandbox", "<img"] {
                assert!(!page.body.contains(secret), "{what} shows {secret}");
            }
            // The form must send the state back; no other page needs it.
            assert!(what == "form" || what == "wrong key" || !page.body.contains(state), "{what} shows the state");
        }
        assert!(connected.body.contains(&alice.key[..24]) && connected.body.contains("&lt;img"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_way_to_ownerrez_carries_what_it_must_and_nothing_else() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let started = alice.get("/api/connect/ownerrez/start").await;
        let link = started.body["authorization_url"].as_str().unwrap();
        let to_ownerrez = Browser::new().give_key(link, &alice.key).await.location();

        assert!(to_ownerrez.starts_with(&format!("{}/oauth/authorize?", gateway.simulator.url())));
        let url = url::Url::parse(&to_ownerrez).unwrap();
        let mut query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        query.sort();
        let redirect_uri = format!("{}{CALLBACK}", gateway.url);
        let wanted = [
            ("client_id", "c_sandbox"),
            ("redirect_uri", redirect_uri.as_str()),
            ("response_type", "code"),
            ("state", started.body["state"].as_str().unwrap()),
        ];
        assert_eq!(query, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn behind_tls_the_whole_way_is_walked_with_host_bound_cookies() {
    on_each_database(async |database| {
        let settings = Settings::default().set("SERVER_URL", "https://gateway.example");
        let gateway = Gateway::start_with(database, settings).await;
        let local = format!("http://{}", gateway.app().address());
        let alice = gateway.user_at("Alice", &local).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        // A TLS proxy forwards the public name.
        let host = ("host", "gateway.example");
        let visitor = Person::visitor(&local);
        let get = async |url: &str, cookie: &str| {
            let path = url.strip_prefix("https://gateway.example").unwrap();
            visitor.send("GET", path, &[host, ("cookie", cookie)], None).await
        };

        let started = alice.send("GET", "/api/connect/ownerrez/start", &[host], None).await;
        let link = started.body["authorization_url"].as_str().unwrap().to_owned();
        let form = get(&link, "a=b").await;
        let csrf_cookie = cookies(&form.headers)[0].split(';').next().unwrap().to_owned();
        let page = Page { status: 200, headers: Vec::new(), body: form.body.as_str().unwrap().to_owned() };
        let (state, csrf) = (page.hidden("state").unwrap(), page.hidden("csrf").unwrap());
        let headers = [
            host,
            ("content-type", "application/x-www-form-urlencoded"),
            ("origin", "https://gateway.example"),
            ("cookie", csrf_cookie.as_str()),
        ];
        let fields = format!("state={state}&csrf={csrf}&api_key={}", alice.key);
        let bound = visitor.send("POST", "/api/connect/ownerrez/authorize", &headers, Some(fields)).await;
        assert_eq!(bound.status, 303, "{}", bound.body);
        let back = gateway.ownerrez().approve(bound.header("location").unwrap(), account).unwrap();
        let browser_cookie = cookies(&bound.headers)[0].split(';').next().unwrap().to_owned();
        let unprefixed = browser_cookie.trim_start_matches("__Host-").to_owned();
        assert_eq!(get(&back, &unprefixed).await.status, 403, "a sibling host may have set that one");
        let connected = get(&back, &browser_cookie).await;
        assert_eq!(connected.status, 200, "{}", connected.body);

        for (what, reply) in [("form", &form), ("redirect", &bound), ("connected", &connected)] {
            let set = cookies(&reply.headers);
            assert!(!set.is_empty(), "{what}");
            for cookie in set {
                assert!(cookie.starts_with("__Host-"), "{what}: {cookie}");
                // Without these flags, a browser ignores even the removal of such a cookie.
                for flag in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
                    assert!(cookie.contains(flag), "{what}: {cookie}");
                }
                assert!(!cookie.contains("Domain"), "{what}: {cookie}");
            }
        }
        assert!(cookies(&connected.headers)[0].contains("Max-Age=0"), "the cookie has done its work");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_a_browser_sends_wrong_is_answered_with_a_page() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let action = format!("{}/api/connect/ownerrez/authorize", gateway.url);
        let mut browser = Browser::new();
        let twice = browser.open(&format!("{action}?state=a&state=b")).await;
        let back = browser.open(&format!("{}{CALLBACK}?state=a&state=b&code=c", gateway.url)).await;
        let large = browser.submit(&action, &[("state", &"x".repeat(17_000))]).await;
        let odd = browser.submit(&action, &[("state", "a"), ("state", "b")]).await;
        for (what, page, status) in
            [("query", &twice, 400), ("callback", &back, 400), ("large form", &large, 413), ("odd form", &odd, 400)]
        {
            assert_eq!(page.status, status, "{what}: {}", page.body);
            assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{what}");
            assert!(page.header("x-request-id").is_some(), "{what}");
            hardened(page, what);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn behind_tls_every_answer_tells_browsers_to_stay_there() {
    on_each_database(async |database| {
        let paths =
            ["/health", "/ready", "/mcp", "/nowhere", "/api/connect/ownerrez/status", "/api/users/register", CALLBACK];
        let plain = Gateway::start(database).await;
        for path in paths {
            let reply = Person::visitor(&plain.url).get(path).await;
            assert_eq!(reply.header("strict-transport-security"), None, "{path}");
        }
        plain.stop().await;
        let tls = Gateway::start_with(database, Settings::default().set("SERVER_URL", "https://gateway.example")).await;
        let visitor = Person::visitor(&format!("http://{}", tls.app().address()));
        for path in paths {
            for host in ["gateway.example", "evil.example"] {
                let reply = visitor.send("GET", path, &[("host", host)], None).await;
                assert_eq!(reply.header("strict-transport-security"), Some("max-age=31536000"), "{host} {path}");
            }
        }
        tls.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn words_of_strangers_are_not_repeated() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let stranger = "%3Cscript%3Epwned%3C%2Fscript%3E";
        let mut browser = Browser::new();
        for url in [
            format!("{CALLBACK}?error={stranger}&error_description={stranger}&error_uri={stranger}"),
            format!("{CALLBACK}?state={stranger}&code={stranger}"),
            format!("{CALLBACK}?{stranger}={stranger}"),
            format!("/api/connect/ownerrez/authorize?state={stranger}"),
            format!("/api/connect/ownerrez/authorize?state=a&state={stranger}"),
            format!("/{stranger}"),
        ] {
            let page = browser.open(&format!("{}{url}", gateway.url)).await;
            assert!((400..500).contains(&page.status), "{url}: {}", page.status);
            assert!(!page.body.contains("pwned"), "{url}");
        }
        let action = format!("{}/api/connect/ownerrez/authorize", gateway.url);
        let fields = [("state", "<script>pwned"), ("csrf", "<script>pwned"), ("api_key", "<script>pwned")];
        assert!(!browser.submit(&action, &fields).await.body.contains("pwned"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_denial_on_ownerrez_page_uses_the_link_up() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let started = alice.get("/api/connect/ownerrez/start").await;
        let mut browser = Browser::new();
        let link = started.body["authorization_url"].as_str().unwrap();
        let to_ownerrez = browser.give_key(link, &alice.key).await.location();

        let asked = url::Url::parse(&to_ownerrez).unwrap();
        let mut fields: Vec<(String, String)> = asked.query_pairs().into_owned().collect();
        fields.push(("decision".to_owned(), "deny".to_owned()));
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let page = format!("{}/oauth/authorize", gateway.simulator.url());
        let back = Browser::new().submit_with(&page, &fields, &[]).await.location();
        assert!(back.contains("error=access_denied"));

        assert_eq!(Browser::new().open(&back).await.status, 403, "nobody else can deny for her");
        assert_eq!(browser.open(&back).await.status, 200);
        assert_eq!(browser.open(&back).await.status, 403);
        assert_eq!(browser.open(link).await.status, 410);
        assert_eq!(gateway.ownerrez().count("POST /oauth/access_token"), 0);
        assert_eq!(alice.get("/api/connect/ownerrez/status").await.body["connected"], json!(false));
        gateway.stop().await;
    })
    .await;
}
