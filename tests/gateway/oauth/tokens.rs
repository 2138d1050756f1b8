//! Access tokens: valid for `/mcp` only, until they expire, and no longer than their grant.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::world::{
    Browser, ClientApp, Gateway, Landing, Person, Settings, eventually, on_each_database, on_postgres, rpc,
};

#[actix_web::test]
async fn an_access_token_opens_mcp_only() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let caller = app.caller(&app.tokens(&gateway, account, &[]).await);
        caller.call("get_current_user", json!({})).await.ok();
        for (method, path) in [
            ("GET", "/api/keys"),
            ("POST", "/api/keys"),
            ("DELETE", "/api/users/me"),
            ("GET", "/api/connect/ownerrez/status"),
            ("GET", "/api/connect/ownerrez/start"),
            ("DELETE", "/api/connect/ownerrez"),
        ] {
            let reply = caller.send(method, path, &[("content-type", "application/json")], Some("{}".into())).await;
            assert_eq!((reply.status, reply.error()), (401, "access_token_not_accepted"), "{method} {path}");
        }
        caller.call("get_current_user", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn tokens_that_are_none_of_ours_open_nothing() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let tokens = app.tokens(&gateway, account, &[]).await;
        let good = tokens["access_token"].as_str().unwrap();
        let (payload, signature) = good.split_once('.').unwrap();
        let visitor = Person::visitor(&gateway.url);
        for (token, why) in [
            (format!("{payload}."), "unsigned"),
            (format!("{payload}x.{signature}"), "altered"),
            (format!("{payload}.{}", signature.to_lowercase()), "another signature"),
            (tokens["refresh_token"].as_str().unwrap().to_owned(), "a refresh token"),
            ("ownerrez_at_".to_owned(), "nothing"),
        ] {
            let reply = visitor.with_key(&token, "").mcp(&rpc(1, "tools/list", json!({}))).await;
            assert_eq!(reply.status, 401, "{why}");
            let challenge = reply.header("www-authenticate").unwrap();
            assert!(challenge.contains("invalid_token") && challenge.contains("resource_metadata"), "{challenge}");
        }
        gateway.advance(TimeDelta::hours(1));
        let reply = visitor.with_key(good, "").mcp(&rpc(1, "tools/list", json!({}))).await;
        assert_eq!((reply.status, reply.error()), (401, "expired_access_token"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_audience_is_the_resource_that_was_asked_for() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let list = rpc(1, "tools/list", json!({}));

        // For a part of the resource, the whole is a different audience.
        let below = format!("{}/mcp/readonly?toolsets=all", gateway.url);
        let narrow = app.tokens(&gateway, account, &[("resource", &below)]).await;
        let reply = app.caller(&narrow).mcp(&list).await;
        assert_eq!((reply.status, reply.error()), (401, "invalid_access_token"));
        let whole = format!("{}/mcp", gateway.url);
        let more = app.refresh(&narrow["refresh_token"], &[("resource", &whole)]).await;
        assert_eq!(more.error(), "invalid_target");

        let query = format!("{}/mcp?toolsets=all", gateway.url);
        for resource in ["", whole.as_str(), query.as_str()] {
            let tokens = app.tokens(&gateway, account, &[("resource", resource)]).await;
            assert_eq!(app.caller(&tokens).mcp(&list).await.status, 200, "{resource}");
        }

        // A gateway at another address, with the same database and the same key.
        let tokens = app.tokens(&gateway, account, &[]).await;
        let elsewhere = gateway.restart_with(Settings::default().set("SERVER_URL", "https://gateway.example")).await;
        let local = format!("http://{}", elsewhere.app().address());
        let reply = app.caller(&tokens).at(&local).mcp(&list).await;
        assert_eq!((reply.status, reply.error()), (401, "invalid_access_token"));
        elsewhere.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_client_that_may_only_read_is_told_what_to_ask_for() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let asked = app.tokens(&gateway, account, &[("scope", "ownerrez:read")]).await;
        // The same if its user allowed only reading.
        let mut browser = Browser::new();
        let to_ownerrez = app.decide(&mut browser, &[], "read").await;
        let back = gateway.ownerrez().approve(&to_ownerrez.location(), account).unwrap();
        let look = browser.open(&back).await.location();
        let page = browser.open(&look).await.send_others(&mut browser, &gateway.url, &[]).await;
        let narrowed = app.redeem(Landing::of(&page, &app.redirect_uri).get("code"), &[]).await.body;
        assert_eq!(narrowed["scope"], json!("ownerrez:read offline_access"));

        for tokens in [asked, narrowed] {
            let caller = app.caller(&tokens);
            caller.call("get_current_user", json!({})).await.ok();
            let list = caller.mcp(&rpc(1, "tools/list", json!({}))).await;
            let tools = list.body["result"]["tools"].as_array().unwrap();
            assert!(tools.iter().all(|tool| tool["annotations"]["readOnlyHint"] == json!(true)));
            let write = caller.call("create_quote", json!({})).await.0;
            assert_eq!((write.status, write.error()), (403, "insufficient_scope"));
            let challenge = write.header("www-authenticate").unwrap();
            assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
            assert!(challenge.contains("ownerrez:full") && challenge.contains("resource_metadata="), "{challenge}");
        }
        assert_eq!(gateway.ownerrez().count("POST /v2/quotes"), 0);
        gateway.stop().await;
    })
    .await;
}

/// The check precedes everything else, so nothing of a batch runs and no argument is examined.
#[actix_web::test]
async fn a_write_beyond_the_scope_is_refused_before_anything_runs() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let caller = app.caller(&app.tokens(&gateway, account, &[("scope", "ownerrez:read")]).await);
        let call = |id: u64, tool: &str, arguments: Value| {
            rpc(id, "tools/call", json!({"name": tool, "arguments": arguments}))
        };
        let write = call(2, "create_quote", json!({}));
        let mut notification = write.clone();
        notification.as_object_mut().unwrap().remove("id");
        let headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        gateway.ownerrez().clear_requests();
        for message in [
            json!([call(1, "get_booking", json!({"id": 7})), write]),
            json!([call(1, "get_booking", json!({"id": "x"})), write]),
            json!([write, call(3, "list_owners", json!({}))]),
            call(4, "create_quote", json!({"colour": 7})),
            call(5, "call_operation", json!({"name": "delete_guest", "arguments": [1]})),
            call(6, "draft_message", json!({})),
            notification,
        ] {
            let reply = caller.send("POST", "/mcp", &headers, Some(message.to_string())).await;
            assert_eq!((reply.status, reply.error()), (403, "insufficient_scope"), "{message}");
            assert!(reply.header("www-authenticate").unwrap().contains("insufficient_scope"), "{message}");
        }
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        // What it may do works in the same form.
        let reads = json!([call(7, "list_owners", json!({})), call(8, "find_operation", json!({"query": "owners"}))]);
        let reply = caller.send("POST", "/mcp", &headers, Some(reads.to_string())).await;
        assert_eq!((reply.status, reply.body.as_array().map(Vec::len)), (200, Some(2)), "{}", reply.body);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_known_token_needs_no_database_as_long_as_its_end_would_be_heard() {
    on_postgres(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let known = app.caller(&app.tokens(&gateway, account, &[]).await);
        let unknown = app.caller(&app.tokens(&gateway, account, &[]).await);
        let list = rpc(1, "tools/list", json!({}));
        eventually("changes are heard", async || gateway.app().keys().receives_invalidations().then_some(())).await;
        assert_eq!(known.mcp(&list).await.status, 200);

        database.execute("ALTER TABLE oauth_grants RENAME TO elsewhere").await;
        assert_eq!(known.mcp(&list).await.status, 200);
        assert_eq!(unknown.mcp(&list).await.status, 500);
        database.execute("ALTER TABLE elsewhere RENAME TO oauth_grants").await;

        // The connection that receives change notifications is lost together with the database.
        database.make_unavailable().await;
        eventually("trust ends", async || (!gateway.app().keys().receives_invalidations()).then_some(())).await;
        let refused = unknown.mcp(&list).await;
        assert_eq!((refused.status, refused.error()), (503, "database_unavailable"));
        assert!(refused.header("retry-after").is_some());
        assert!(refused.header("www-authenticate").is_none(), "it was not refused");
        let forgotten = known.mcp(&list).await;
        assert_eq!((forgotten.status, forgotten.header("retry-after").is_some()), (503, true));
        let away = app.redeem("ownerrez_ac_x", &[]).await;
        assert_eq!((away.status, away.error()), (503, "temporarily_unavailable"));
        assert!(away.header("retry-after").is_some());

        database.make_available().await;
        eventually("the gateway recovers", async || (known.mcp(&list).await.status == 200).then_some(())).await;
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_user_who_is_kept_out_is_kept_out_here_too() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let caller = app.caller(&app.tokens(&gateway, account, &[]).await);
        let list = rpc(1, "tools/list", json!({}));
        assert_eq!(caller.mcp(&list).await.status, 200);
        database.execute("UPDATE users SET disabled_at = created_at").await;
        eventually("the user is kept out", async || {
            // SQLite is polled every second.
            gateway.advance(TimeDelta::seconds(1));
            let reply = caller.mcp(&list).await;
            ((reply.status, reply.error()) == (403, "account_disabled")).then_some(())
        })
        .await;
        let page = app.approved(&gateway, &mut Browser::new(), account, &[]).await;
        let landing = Landing::offered(&page, &app.redirect_uri);
        assert_eq!((landing.get("error"), landing.get("code")), ("access_denied", ""));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn tokens_outlive_a_change_of_the_encryption_key() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().add_account("Alice").id;
        let app = ClientApp::register(&gateway, "App").await;
        let tokens = app.tokens(&gateway, account, &[]).await;
        let public = gateway.url.clone();
        let settings = Settings::default()
            .set("ENCRYPTION_KEY", "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU=")
            .set("ENCRYPTION_KEYS_PREVIOUS", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
            .set("SERVER_URL", &public);
        let gateway = gateway.restart_with(settings).await;
        let local = format!("http://{}", gateway.app().address());
        let there = app.caller(&tokens).at(&local);
        there.call("get_current_user", json!({})).await.ok();
        gateway.stop().await;
    })
    .await;
}
