//! Single-user mode: one user on one machine, over HTTP without a key.

use serde_json::json;

use crate::world::{Answer, Gateway, Person, Settings, TestDatabase, Wire, on_each_database, rpc};

/// Starts a gateway for the owner of an account, with a simulated OwnerRez that already runs.
async fn start_single_user(database: &TestDatabase) -> (Gateway, Gateway, i64) {
    start_single_user_with_token(database, "").await
}

async fn start_single_user_with_token(database: &TestDatabase, own_token: &str) -> (Gateway, Gateway, i64) {
    let many = Gateway::start(database).await;
    let account = many.ownerrez().add_account("Alice");
    let grant = many.ownerrez().grant(account.id);
    let token = grant["access_token"].as_str().unwrap();
    let settings = Settings::default().set("SINGLE_USER", "true").set("OWNERREZ_ACCESS_TOKEN", token);
    let settings = settings.set("SINGLE_USER_TOKEN", own_token);
    let one = many.start_another(settings).await;
    (many, one, account.id.0)
}

#[actix_web::test]
async fn a_program_on_this_machine_needs_no_key() {
    on_each_database(async |database| {
        let (many, one, account) = start_single_user(database).await;
        let nobody = Person::visitor(&one.url);
        let user = nobody.call("get_current_user", json!({})).await.ok();
        assert_eq!(user["id"], json!(account));
        let list = nobody.mcp_at("/mcp/readonly", &[], &rpc(1, "tools/list", json!({}))).await;
        assert!(list.body["result"]["tools"].is_array(), "{}", list.body);
        // This applies to MCP only, and an invalid key stays invalid.
        assert_eq!(nobody.get("/api/keys").await.status, 401);
        assert_eq!(nobody.delete("/api/users/me").await.status, 401);
        let registered = nobody.post("/api/users/register", &json!({"name": "x"})).await;
        assert_eq!((registered.status, registered.error()), (403, "registration_closed"), "{}", registered.body);
        assert_eq!(nobody.with_key("ownerrez_sk_x", "").mcp(&rpc(1, "tools/list", json!({}))).await.status, 401);
        // The multi-user gateway still requires keys.
        assert_eq!(Person::visitor(&many.url).mcp(&rpc(1, "tools/list", json!({}))).await.status, 401);
        one.stop().await;
        many.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn whatever_a_proxy_or_a_page_sends_is_refused() {
    on_each_database(async |database| {
        let (many, one, _) = start_single_user(database).await;
        let nobody = Person::visitor(&one.url);
        one.ownerrez().clear_requests();
        let call = rpc(1, "tools/call", json!({"name": "get_current_user", "arguments": {}}));
        let own = one.url.clone();
        for header in [
            ("forwarded", "for=127.0.0.1"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-anything", ""),
            ("via", "1.1 proxy"),
            ("x-real-ip", "203.0.113.9"),
            ("cf-connecting-ip", "203.0.113.9"),
            ("true-client-ip", "203.0.113.9"),
            ("cdn-loop", "cloudflare"),
            ("x-scheme", "https"),
            ("x-original-url", "/mcp"),
            ("x-host", "gateway.example"),
            ("x-amzn-trace-id", "Root=1"),
            ("tailscale-user-login", "alice@example.com"),
            ("proxy-connection", "keep-alive"),
            ("origin", own.as_str()),
        ] {
            let refused = nobody.mcp_at("/mcp", &[header], &call).await;
            assert_eq!((refused.status, refused.error()), (403, "not_direct"), "{header:?}: {}", refused.body);
            let named = format!("the header `{}`", header.0);
            assert!(refused.body["message"].as_str().unwrap().contains(&named), "{header:?}: {}", refused.body);
        }
        let foreign = nobody.mcp_at("/mcp", &[("origin", "https://evil.example")], &call).await;
        assert_eq!(foreign.status, 403, "{}", foreign.body);
        // As nginx sends it with its default settings.
        let mut wire = Wire::open(&one.url).await;
        let text = Wire::mcp(&nobody, &call).replace("HTTP/1.1", "HTTP/1.0").replace("Authorization: Bearer \r\n", "");
        wire.write(&text).await;
        let refused = wire.read().await;
        assert_eq!((refused.status, &refused.body["error"]), (403, &json!("not_direct")), "{}", refused.body);
        assert_eq!(one.ownerrez().count("* /v2/*"), 0);
        Answer(nobody.mcp_at("/mcp", &[], &call).await).ok();
        one.stop().await;
        many.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn where_a_token_is_set_a_program_must_show_it() {
    const TOKEN: &str = "0123456789abcdef-alone";
    on_each_database(async |database| {
        let (many, one, account) = start_single_user_with_token(database, TOKEN).await;
        let nobody = Person::visitor(&one.url);
        let list = rpc(1, "tools/list", json!({}));
        for wrong in ["", "wrong", &TOKEN[1..], "ownerrez_sk_x"] {
            let refused = nobody.with_key(wrong, "").mcp(&list).await;
            assert_eq!((refused.status, refused.error()), (401, "single_user_token_required"), "{wrong}");
            assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
        let owner = nobody.with_key(TOKEN, "");
        assert_eq!(owner.call("get_current_user", json!({})).await.ok()["id"], json!(account));
        let passed_on = owner.mcp_at("/mcp", &[("via", "1.1 proxy")], &list).await;
        assert_eq!((passed_on.status, passed_on.error()), (403, "not_direct"), "the token does not replace that");
        one.stop().await;
        many.stop().await;
    })
    .await;
}
