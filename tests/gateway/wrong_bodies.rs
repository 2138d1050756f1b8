//! Bodies that an endpoint does not accept: each error says what is wrong.

use serde_json::json;

use crate::world::{Gateway, Person, on_each_database, rpc};

const JSON: (&str, &str) = ("content-type", "application/json");

#[actix_web::test]
async fn a_wrong_member_is_named_in_plain_words() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        for (path, body, words) in [
            ("/api/keys", "", "The JSON in the body is incomplete."),
            ("/api/keys", r#"{"scope": "#, "The JSON in the body is incomplete."),
            ("/api/keys", "{scope}", "The body is not valid JSON: the first error is in line 1, column 2."),
            ("/api/keys", "[]", "The body is not valid for this endpoint: it must be a JSON object."),
            ("/api/keys", "null", "The body is not valid for this endpoint: it must be a JSON object."),
            ("/api/keys", "{}", r#"`scope` must be "full" or "read"."#),
            ("/api/keys", r#"{"scope": null}"#, r#"`scope` must be "full" or "read"."#),
            ("/api/keys", r#"{"scope": "write"}"#, r#"`scope` must be "full" or "read"."#),
            ("/api/keys", r#"{"scope": 1}"#, r#"`scope` must be "full" or "read"."#),
            ("/api/keys", r#"{"scope": "read", "name": 7}"#, "`name` must be text."),
            ("/api/keys", r#"{"scope": "read", "expires_at": "soon"}"#, "`expires_at` must be a time such as"),
            ("/api/keys", r#"{"scope": "read", "expires_at": 1}"#, "`expires_at` must be a time such as"),
            ("/api/keys", r#"{"scope": "read", "toolsets": {"a": 1}}"#, "`toolsets` must be a list of names"),
            ("/api/keys", r#"{"scope": "read", "toolsets": [1]}"#, "`toolsets` must be a list of names"),
            ("/api/keys", r#"{"scope": "read", "readonly": "yes"}"#, "`readonly` must be true or false."),
            ("/api/keys", r#"{"scope": "read", "two_steps": null}"#, "`two_steps` must be true or false."),
            ("/api/users/register", r#"{"name": ["x"]}"#, "`name` must be text."),
            ("/api/users/register", "[]", "it must be a JSON object."),
        ] {
            let refused = alice.send("POST", path, &[JSON], Some(body.to_owned())).await;
            assert_eq!((refused.status, refused.error()), (400, "invalid_request"), "{body}: {}", refused.body);
            let message = refused.body["message"].as_str().unwrap();
            assert!(message.contains(words), "{body}: {message}");
            for foreign in ["invalid type", "variant", "untagged", "missing field", "sequence", "at line"] {
                assert!(!message.contains(foreign), "{body}: {message}");
            }
        }
        for id in ["nope", "00000000-0000-4000-8000-000000000000"] {
            let refused = alice.delete(&format!("/api/keys/{id}")).await;
            assert_eq!((refused.status, refused.error()), (404, "not_found"));
            assert_eq!(refused.body["message"], json!("You have no key with this id."), "{id}");
        }
        gateway.stop().await;
    })
    .await;
}

/// Rejected after the key is checked, like every invalid body.
#[actix_web::test]
async fn compressed_bodies_and_foreign_charsets_are_refused_as_such() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let list = rpc(1, "tools/list", json!({})).to_string();
        let new_key = json!({"scope": "read"}).to_string();
        let gzip = ("content-encoding", "gzip");
        let utf_16 = ("content-type", "application/json; charset=utf-16");
        for (path, body) in [("/mcp", &list), ("/api/keys", &new_key), ("/api/users/register", &"{}".to_owned())] {
            for (headers, words, accepts) in
                [(&[JSON, gzip][..], "compressed", Some("identity")), (&[utf_16][..], "not UTF-8", None)]
            {
                let refused = alice.send("POST", path, headers, Some(body.clone())).await;
                let told = (refused.status, refused.error());
                assert_eq!(told, (415, "unsupported_media_type"), "{path} {headers:?}: {}", refused.body);
                assert!(refused.body["message"].as_str().unwrap().contains(words), "{path}: {}", refused.body);
                assert_eq!(refused.header("accept-encoding"), accepts, "{path}");
            }
            let plain = [("content-type", "application/json; charset=UTF-8"), ("content-encoding", "identity")];
            let taken = alice.send("POST", path, &plain, Some(body.clone())).await;
            assert!(taken.status < 300, "{path}: {} {}", taken.status, taken.body);
        }
        for path in ["/mcp", "/api/keys"] {
            let refused = Person::visitor(&gateway.url).send("POST", path, &[JSON, gzip], Some(list.clone())).await;
            assert_eq!(refused.status, 401, "{path}");
        }
        gateway.stop().await;
    })
    .await;
}
