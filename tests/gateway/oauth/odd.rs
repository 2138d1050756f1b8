//! Requests that no client sends: each is rejected with an OAuth error, and none causes a 5xx.

use serde_json::json;
use url::form_urlencoded;

use crate::world::{ClientApp, Gateway, Person, on_each_database};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[actix_web::test]
async fn whatever_is_sent_the_answer_is_an_error_of_oauth() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let id = ClientApp::register(&gateway, "App").await.id;
        let visitor = Person::visitor(&gateway.url);
        let code = [("grant_type", "authorization_code"), ("client_id", id.as_str())];
        let deep = "[".repeat(100_000);
        let too_large = format!("a={}", "b".repeat(100_000));
        let assertion = format!("a.{}.c", "W1tbW1tb".repeat(500));
        let mut cases: Vec<(&str, &str, String, &str)> = vec![
            ("/token", FORM, String::new(), "invalid_request"),
            ("/token", FORM, "%zz%ff&&==".to_owned(), "invalid_request"),
            ("/token", FORM, format!("{}&client_id=x", form(&code)), "invalid_request"),
            ("/token", FORM, format!("{}&code=x&code=y", form(&code)), "invalid_request"),
            ("/token", FORM, too_large.clone(), "invalid_request"),
            ("/token", JSON, r#"{"grant_type": "authorization_code"}"#.to_owned(), "invalid_request"),
            ("/token", "multipart/form-data; boundary=x", "--x--".to_owned(), "invalid_request"),
            ("/token", FORM, form(&code), "invalid_request"),
            ("/token", FORM, form(&[code[0], code[1], ("code", "\u{0}\u{202e}")]), "invalid_grant"),
            ("/token", FORM, form(&[code[0], ("client_id", "\u{e9}\u{0}")]), "invalid_request"),
            ("/token", FORM, form(&[code[0], ("client_id", &id[..id.len() - 3])]), "invalid_client"),
            ("/token", FORM, form(&[code[0], ("client_id", "file:///etc/passwd")]), "invalid_request"),
            ("/token", FORM, form(&[code[0], ("client_id", "https://10.0.0.1/x.json")]), "invalid_request"),
            ("/token", FORM, form(&[code[0], ("client_assertion", &assertion)]), "invalid_request"),
            ("/token", FORM, form(&[code[0], code[1], ("client_assertion", &assertion)]), "invalid_client"),
            ("/token", FORM, form(&[("grant_type", "refresh_token"), code[1]]), "invalid_request"),
            (
                "/token",
                FORM,
                form(&[("grant_type", "refresh_token"), code[1], ("refresh_token", "\0")]),
                "invalid_grant",
            ),
            ("/revoke", FORM, String::new(), "invalid_request"),
            ("/revoke", FORM, form(&[code[1]]), "invalid_request"),
            ("/revoke", JSON, "{}".to_owned(), "invalid_request"),
            ("/register", JSON, String::new(), "invalid_client_metadata"),
            ("/register", JSON, deep, "invalid_client_metadata"),
            ("/register", JSON, "[]".to_owned(), "invalid_client_metadata"),
            ("/register", JSON, r#"{"client_name": "\ud800"}"#.to_owned(), "invalid_client_metadata"),
            ("/register", JSON, json!({"redirect_uris": "x".repeat(2 << 20)}).to_string(), "invalid_client_metadata"),
            ("/register", FORM, too_large, "invalid_client_metadata"),
        ];
        for grant in ["client_credentials", "password", "implicit", "urn:ietf:params:oauth:grant-type:token-exchange"] {
            let asked = form(&[("grant_type", grant), code[1], ("username", "a"), ("password", "b")]);
            cases.push(("/token", FORM, asked, "unsupported_grant_type"));
        }
        for (path, kind, body, expected) in cases {
            let shown: String = body.chars().take(80).collect();
            let reply = visitor.send("POST", path, &[("content-type", kind)], Some(body)).await;
            assert_eq!(reply.error(), expected, "{path} {kind} {shown}: {} {}", reply.status, reply.body);
            assert!((400..500).contains(&reply.status), "{path} {kind} {shown}: {}", reply.status);
            assert!(!reply.body["error_description"].as_str().unwrap().is_empty());
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }

        let basic = [("content-type", FORM), ("authorization", "Basic YTpi")];
        let secret = visitor.send("POST", "/token", &basic, Some(form(&[code[0], ("code", "x")]))).await;
        assert_eq!((secret.status, secret.error()), (401, "invalid_client"));
        assert!(secret.header("www-authenticate").unwrap().starts_with("Basic"));
        for path in ["/token", "/revoke", "/register"] {
            for method in ["GET", "PUT", "DELETE", "HEAD"] {
                assert_eq!(visitor.send(method, path, &[], None).await.status, 405, "{method} {path}");
            }
        }
        gateway.stop().await;
    })
    .await;
}
