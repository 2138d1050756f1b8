//! Predefined OAuth clients and redirect URIs.

use super::*;

#[test]
fn clients_of_the_operators_own_are_read_from_a_file() {
    let file = r#"[oauth]
        clients = [
            { id = "plain", redirect_uris = ["http://localhost/cb", "myapp://cb"] },
            { id = "signs", name = "Signs", redirect_uris = ["https://a.example/cb"], jwks_uri = "https://a.example/jwks" },
        ]"#;
    let clients = load_file(file, &[]).expect("good").oauth_clients.predefined;
    let told = |client: &PredefinedClient| (client.id.clone(), client.name.clone(), client.redirect_uris.len());
    assert_eq!(told(&clients[0]), ("plain".to_owned(), "plain".to_owned(), 2));
    assert_eq!(told(&clients[1]), ("signs".to_owned(), "Signs".to_owned(), 1));
    assert!(clients[0].jwks_uri.is_none());
    assert_eq!(clients[1].jwks_uri.as_ref().map(Url::as_str), Some("https://a.example/jwks"));
}

#[test]
fn clients_that_make_no_sense_are_refused() {
    for clients in [
        "1",
        "[1]",
        r#"[{ redirect_uris = ["https://a.example/cb"] }]"#,
        r#"[{ id = "a b", redirect_uris = ["https://a.example/cb"] }]"#,
        r#"[{ id = "a", redirect_uris = [] }]"#,
        r#"[{ id = "a" }]"#,
        r#"[{ id = "a", redirect_uris = [7] }]"#,
        r#"[{ id = "a", redirect_uris = ["http://a.example/cb"] }]"#,
        r#"[{ id = "a", redirect_uris = ["javascript:x"] }]"#,
        r#"[{ id = "a", redirect_uris = ["https://a.example/cb"], jwks_uri = "http://a.example/jwks" }]"#,
        r#"[{ id = "a", redirect_uris = ["https://a.example/cb"], client_secret = "s" }]"#,
        r#"[{ id = "a", redirect_uris = ["https://a.example/1"] }, { id = "a", redirect_uris = ["https://a.example/2"] }]"#,
    ] {
        assert_eq!(
            at_fault(load_file(&format!("[oauth]\nclients = {clients}\n"), &[])),
            ["oauth.clients"],
            "{clients}"
        );
    }
    for wrong in ["javascript:alert(1)", "cursor", "https://a.example/cb", "http://localhost/cb", "cursor://*/cb"] {
        let file = format!("[oauth]\nredirect_uris = [\"{wrong}\"]\n");
        assert_eq!(at_fault(load_file(&file, &[])), ["oauth.redirect_uris"], "{wrong}");
    }
    let wrong = "[oauth]\nknown_redirect_uris = [\"https://*.example/cb\"]\n";
    assert_eq!(at_fault(load_file(wrong, &[])), ["oauth.known_redirect_uris"]);
}
