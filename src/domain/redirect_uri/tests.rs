use proptest::prelude::*;

use super::*;

const APPS: [&str; 3] =
    ["cursor://anysphere.cursor-mcp/oauth/callback", "vscode://client.example/cb", "com.example.app:/oauth2redirect"];

fn policy() -> RedirectPolicy {
    RedirectPolicy {
        app_uris: APPS.map(|text| RedirectUri::of_app(text).unwrap()).to_vec(),
        own_url: Some(Url::parse("https://gateway.example/").unwrap()),
    }
}

fn registered(text: &str) -> RedirectUri {
    RedirectUri::configured(text).unwrap_or_else(|problem| panic!("{text} {problem}"))
}

fn problem(text: &str) -> Option<BadRedirectUri> {
    policy().admit(text).err()
}

#[test]
fn what_todays_clients_register_is_taken_and_matches_itself() {
    for text in [
        "https://chatgpt.com/connector/oauth/kDmjx77UnKOM",
        "https://chatgpt.com/connector_platform_oauth_redirect",
        "https://claude.ai/api/mcp/auth_callback",
        "https://claude.com/api/mcp/auth_callback",
        "http://localhost:54212/callback",
        "http://localhost/callback",
        "http://[::1]:8000/callback",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "http://localhost:8787/callback",
        "http://127.0.0.1:33418/",
        "http://127.0.0.1:33418",
        "http://127.0.0.1/",
        "https://vscode.dev/redirect",
        "https://insiders.vscode.dev/redirect",
        "com.example.app:/oauth2redirect",
        "https://app.example.com/cb?tenant=7",
        "https://app.example.com",
        "https://xn--exmple-cua.com/cb",
    ] {
        let target = registered(text).target(text).unwrap_or_else(|| panic!("{text} does not match itself"));
        assert_eq!(target.uri, text);
    }
}

#[test]
fn attacks_are_not_registered() {
    use BadRedirectUri::*;
    for (text, expected) in [
        ("javascript:alert(1)", Scheme),
        ("JavaScript:alert(1)", Spelling),
        ("javascript://localhost/%0aalert(1)", Scheme),
        ("data:text/html,hi", Scheme),
        ("file:///etc/passwd", Scheme),
        ("vbscript:x", Scheme),
        ("blob:https://claude.ai/1", Scheme),
        ("view-source:https://claude.ai/", Scheme),
        ("intent://x", Scheme),
        ("other://app/callback", Scheme),
        // The complete URI must be listed. Other URIs of the same app may trigger other actions.
        ("cursor://anysphere.cursor-deeplink/mcp/install?name=x", Scheme),
        ("cursor://anysphere.cursor-mcp/oauth/callback?x=1", Scheme),
        ("cursor://anysphere.cursor-mcp/oauth/callback/", Scheme),
        ("vscode://vscode.git/clone?url=https://evil.example/x.git", Scheme),
        ("https://gateway.example/authorize", Own),
        ("https://gateway.example", Own),
        ("ftp://127.0.0.1/cb", Scheme),
        ("http://client.example.com/cb", PlainHttp),
        ("http://localhost.example.com/cb", PlainHttp),
        ("http://127.0.0.1.example.com/cb", PlainHttp),
        ("http://127.0.0.2/cb", PlainHttp),
        ("http://0.0.0.0/cb", PlainHttp),
        ("http://localhost./cb", PlainHttp),
        ("http://[::ffff:7f00:1]/cb", PlainHttp),
        ("http://192.168.0.1/cb", PlainHttp),
        ("http://2130706433/cb", Spelling),
        ("http://0x7f.1/cb", Spelling),
        ("http://127.1/cb", Spelling),
        ("http://0177.0.0.1/cb", Spelling),
        ("http://[0:0:0:0:0:0:0:1]/cb", Spelling),
        ("http://LOCALHOST/cb", Spelling),
        ("http://localhost:080/cb", Spelling),
        ("http://localhost:99999/cb", Spelling),
        ("https://claude.ai@evil.example/cb", UserInfo),
        ("https://claude.ai:x@evil.example/cb", UserInfo),
        ("https://@evil.example/cb", Spelling),
        ("https://evil.example\\@claude.ai/cb", Spelling),
        ("https:\\\\evil.example/cb", Spelling),
        ("https:evil.example/cb", Spelling),
        ("https:///evil.example/cb", Spelling),
        ("//evil.example/cb", Spelling),
        ("/cb", Spelling),
        ("", Spelling),
        ("https://claude%2eai/cb", Spelling),
        ("https://claude.ai%2f.evil.example/cb", Spelling),
        ("https://cl\u{430}ude.ai/cb", Spelling),
        ("https://claude\u{3002}ai/cb", Spelling),
        ("https://claude.ai/cb#", Fragment),
        ("https://claude.ai/cb#x", Fragment),
        ("https://claude.ai/a/../cb", Spelling),
        ("https://claude.ai/a/%2e%2e/cb", Spelling),
        ("https://claude.ai:443/cb", Spelling),
        ("https://*.claude.ai/cb", Spelling),
        ("https://claude.ai/*", Spelling),
        (CHATGPT_CONNECTOR, Spelling),
        ("https://claude.ai/cb\r\nSet-Cookie: a=b", Spelling),
        ("https://claude.ai/c b", Spelling),
        (" https://claude.ai/cb", Spelling),
        ("https://claude.ai/cb\t", Spelling),
        ("https://claude.ai/cb?code=mine", ResponseParameter),
        ("https://claude.ai/cb?%63ode=mine", ResponseParameter),
        ("http://localhost/cb?state=mine", ResponseParameter),
    ] {
        assert_eq!(problem(text), Some(expected), "{text}");
    }
    assert_eq!(problem(&format!("https://claude.ai/{}", "a".repeat(REDIRECT_URI_LIMIT))), Some(TooLong));
    // These schemes are rejected even if an operator lists them by mistake.
    for scheme in NEVER {
        let text = format!("{scheme}:callback");
        assert!(RedirectUri::of_app(&text).is_err(), "{text}");
        assert!(RedirectUri::configured(&text).is_err(), "{text}");
    }
}

#[test]
fn only_the_registered_one_matches_but_for_a_loopback_port() {
    for (registration, asked, expected) in [
        ("http://localhost/callback", "http://localhost:51234/callback", true),
        ("http://localhost:8787/callback", "http://localhost:1/callback", true),
        ("http://localhost:8787/callback", "http://localhost/callback", true),
        ("http://127.0.0.1/", "http://127.0.0.1:33418", true),
        ("http://[::1]/cb", "http://[::1]:9/cb", true),
        ("http://localhost/callback", "http://127.0.0.1/callback", false),
        ("http://localhost/callback", "https://localhost/callback", false),
        ("http://localhost/callback", "http://localhost/callback/", false),
        ("http://localhost/callback", "http://localhost/callback?x=1", false),
        ("http://localhost/callback", "http://localhost/callback#x", false),
        ("http://localhost/callback", "http://localhost:1@evil.example/callback", false),
        ("http://localhost/callback", "http://evil.example:1/callback", false),
        ("https://localhost/callback", "https://localhost:1/callback", false),
        ("https://claude.ai/cb", "https://claude.ai:8443/cb", false),
        ("https://claude.ai/cb", "https://claude.ai/cb/", false),
        ("https://claude.ai/cb", "https://claude.ai/cb?", false),
        ("https://claude.ai/cb", "https://claude.ai/CB", false),
        ("https://claude.ai/cb", "https://CLAUDE.ai/cb", false),
        ("https://claude.ai/cb", "https://claude.ai/x/../cb", false),
        ("cursor://app/cb", "cursor://app:1/cb", false),
        (CHATGPT_CONNECTOR, "https://chatgpt.com/connector/oauth/kDmjx77UnKOM", true),
        (CHATGPT_CONNECTOR, "https://chatgpt.com/connector/oauth/a-b_c", true),
        (CHATGPT_CONNECTOR, "https://chatgpt.com/connector/oauth/", false),
        (CHATGPT_CONNECTOR, "https://chatgpt.com/connector/oauth/a/b", false),
        (CHATGPT_CONNECTOR, "https://chatgpt.com/connector/oauth/..", false),
        (CHATGPT_CONNECTOR, "https://chatgpt.com/connector/oauth/%2e%2e", false),
        (CHATGPT_CONNECTOR, "https://chatgpt.com/connector/oauth/a?b", false),
        (CHATGPT_CONNECTOR, "https://chatgpt.com/connector/oauth/a#b", false),
        (CHATGPT_CONNECTOR, "https://chatgpt.com/connector/oauth/a@b", false),
        (CHATGPT_CONNECTOR, "https://chatgpt.com:444/connector/oauth/a", false),
        (CHATGPT_CONNECTOR, "https://chatgpt.com.evil.example/connector/oauth/a", false),
        (CHATGPT_CONNECTOR, "http://chatgpt.com/connector/oauth/a", false),
        (CHATGPT_CONNECTOR, CHATGPT_CONNECTOR, false),
    ] {
        assert_eq!(registered(registration).target(asked).is_some(), expected, "{registration} and {asked}");
    }
}

#[test]
fn people_are_told_who_gets_the_answer() {
    let place = |text: &str| registered(text).target(text).unwrap().place;
    assert_eq!(place("https://claude.ai/cb"), RedirectDestination::Web { host: "claude.ai".to_owned() });
    assert_eq!(place("http://localhost:1/cb"), RedirectDestination::Loopback);
    assert_eq!(place("cursor://claude.ai/cb"), RedirectDestination::App { scheme: "cursor".to_owned() });
}

#[test]
fn the_gateways_own_address_is_no_clients() {
    let of = |own: &str| RedirectPolicy { own_url: Some(Url::parse(own).unwrap()), ..policy() };
    for (own, text, expected) in [
        ("https://gateway.example/", "https://gateway.example/cb", true),
        ("https://gateway.example/", "https://gateway.example:443/cb", true),
        ("https://gateway.example/", "https://gateway.example:8443/cb", false),
        ("https://gateway.example/", "https://other.example/cb", false),
        ("https://gateway.example/", "http://localhost/cb", false),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/cb", true),
        ("http://127.0.0.1:8080/", "http://localhost:8080/cb", true),
        ("http://127.0.0.1:8080/", "http://[::1]:8080/cb", true),
        ("http://127.0.0.1:8080/", "http://localhost:8081/cb", false),
        ("http://127.0.0.1:8080/", "cursor://localhost:8080/cb", false),
    ] {
        assert_eq!(of(own).is_own(text), expected, "{text} at {own}");
    }
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "http",
        "https",
        "cursor",
        "javascript",
        ":",
        "//",
        "/",
        "\\",
        "@",
        "#",
        "?",
        "%2f",
        "%00",
        "..",
        ".",
        "*",
        "[::1]",
        "127.0.0.1",
        "localhost",
        "claude.ai",
        "evil.example",
        ":80",
        ":443",
        ":8080",
        "code=",
        "\t",
        "\n",
        " ",
        "\u{ff0e}",
        "a",
        "A",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_is_taken_reads_the_same_to_a_browser(text in prop_oneof![pieces(), ".{0,60}"]) {
        if let Ok(uri) = policy().admit(&text) {
            let url = Url::parse(&text).unwrap();
            prop_assert_eq!(url.as_str().trim_end_matches('/'), text.trim_end_matches('/'));
            prop_assert!(text.is_ascii() && !text.contains(['#', '\\', ' ', '\t', '\n']));
            prop_assert!(url.username().is_empty() && url.password().is_none());
            prop_assert!(url.scheme() == "https" || uri.is_loopback() || APPS.contains(&&*text));
            prop_assert_eq!(uri.target(&text).map(|target| target.uri), Some(text));
        }
    }

    #[test]
    fn no_other_text_matches(asked in prop_oneof![pieces(), ".{0,60}"], at in 0usize..40, with in any::<char>()) {
        for text in ["https://claude.ai/api/mcp/auth_callback", "cursor://anysphere.cursor-mcp/oauth/callback"] {
            let uri = registered(text);
            let mut altered: Vec<char> = text.chars().collect();
            let at = at % altered.len();
            altered[at] = with;
            for asked in [asked.clone(), altered.into_iter().collect(), format!("{text}{asked}"), format!("{asked}{text}")] {
                prop_assert_eq!(uri.target(&asked).is_some(), asked == text, "{}", asked);
            }
        }
    }

    #[test]
    fn a_loopback_registration_lets_the_port_differ_and_nothing_else(asked in pieces(), port in 1u16..) {
        let uri = registered("http://localhost/callback");
        if port != 80 {
            let there = format!("http://localhost:{port}/callback");
            prop_assert!(uri.target(&there).is_some());
        }
        for asked in [asked.clone(), format!("http://localhost:{port}{asked}"), format!("http://{asked}:{port}/callback")] {
            if let Some(target) = uri.target(&asked) {
                let mut url = Url::parse(&target.uri).unwrap();
                url.set_port(None).unwrap();
                prop_assert_eq!(url.as_str(), "http://localhost/callback");
            }
        }
    }
}
