//! The tools that a connection sees: selected by its path, its query, its headers, and its key.

use std::collections::BTreeSet;

use ownerrez_gateway::{catalog::Catalog, domain::Scope};
use serde_json::{Value, json};

use crate::world::{Answer, Gateway, Person, Reply, on_each_database, rpc};

/// Returns the names in a list.
async fn listed(person: &Person, path: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let list = person.mcp_at(path, headers, &rpc(1, "tools/list", json!({}))).await;
    let tools = list.body["result"]["tools"].as_array().unwrap_or_else(|| panic!("{path} {headers:?}: {}", list.body));
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

async fn called(person: &Person, path: &str, headers: &[(&str, &str)], tool: &str, arguments: Value) -> Answer {
    let call = rpc(1, "tools/call", json!({"name": tool, "arguments": arguments}));
    Answer(person.mcp_at(path, headers, &call).await)
}

/// Returns the operations of some toolsets.
fn operations(toolsets: &[&str]) -> BTreeSet<String> {
    let catalog = Catalog::embedded().unwrap();
    let within = catalog.operations().filter(|operation| toolsets.contains(&operation.toolset().name()));
    within.map(|operation| operation.name().to_owned()).collect()
}

/// Creates another key of the same user, with these fields of the request.
async fn another_key(person: &Person, fields: Value) -> (Person, Reply) {
    let made = person.post("/api/keys", &fields).await;
    assert_eq!(made.status, 201, "{}", made.body);
    (person.with_key(made.body["api_key"].as_str().unwrap(), &person.id), made)
}

#[actix_web::test]
async fn a_connection_chooses_by_path_by_query_or_by_header() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let default = listed(&alice, "/mcp", &[]).await;
        for (path, headers) in [
            ("/mcp?toolsets=default", &[][..]),
            ("/mcp?toolsets=", &[]),
            ("/mcp/x/default", &[]),
            ("/mcp", &[("x-mcp-toolsets", " default ,")]),
            ("/mcp", &[("x-mcp-readonly", "false"), ("x-mcp-tools", "")]),
        ] {
            assert_eq!(listed(&alice, path, headers).await, default, "{path} {headers:?}");
        }

        let people = listed(&alice, "/mcp?toolsets=guests,messaging", &[]).await;
        let set: BTreeSet<String> = people.iter().cloned().collect();
        assert!(operations(&["guests", "messaging"]).is_subset(&set), "{people:?}");
        assert!(set.contains("guest_history") && !set.contains("list_bookings") && !set.contains("search"));
        assert!(people.is_sorted());
        for (path, headers) in [
            ("/mcp/x/guests,messaging", &[][..]),
            ("/mcp", &[("x-mcp-toolsets", "messaging, guests")]),
            ("/mcp", &[("x-mcp-toolsets", "guests"), ("x-mcp-toolsets", "messaging")]),
            // The more specific setting wins.
            ("/mcp?toolsets=guests,messaging", &[("x-mcp-toolsets", "all")]),
            ("/mcp/x/guests,messaging?toolsets=money", &[]),
        ] {
            assert_eq!(listed(&alice, path, headers).await, people, "{path} {headers:?}");
        }

        let all: BTreeSet<String> = listed(&alice, "/mcp/x/all", &[]).await.into_iter().collect();
        let every: BTreeSet<String> =
            Catalog::embedded().unwrap().operations().map(|operation| operation.name().to_owned()).collect();
        assert!(every.is_subset(&all) && all.contains("search"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn single_tools_are_added_and_left_out() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        assert_eq!(listed(&alice, "/mcp", &[("x-mcp-tools", "list_tags, search")]).await, ["list_tags", "search"]);
        let webhooks = [("x-mcp-toolsets", "webhooks"), ("x-mcp-tools", "list_tags")];
        let mut expected = operations(&["webhooks"]);
        expected.insert("list_tags".to_owned());
        assert_eq!(BTreeSet::from_iter(listed(&alice, "/mcp", &webhooks).await), expected);

        let without = [("x-mcp-exclude-tools", "list_guests,list_surcharges")];
        let default = listed(&alice, "/mcp", &[]).await;
        let fewer = listed(&alice, "/mcp", &without).await;
        assert_eq!(fewer.len() + 1, default.len());
        gateway.ownerrez().clear_requests();
        // Neither a tool that was listed before nor one that never was.
        for tool in ["list_guests", "list_surcharges"] {
            let text = called(&alice, "/mcp", &without, tool, json!({"q": "a"})).await.refused();
            assert!(text.contains(tool) && text.contains("tool selection"), "{text}");
        }
        let text = called(&alice, "/mcp/x/guests", &[], "list_properties", json!({})).await.refused();
        assert!(text.contains("tool selection"), "{text}");
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        called(&alice, "/mcp/x/guests", &[], "list_guests", json!({"q": "a"})).await.ok();
        gateway.stop().await;
    })
    .await;
}

/// Clients of the TypeScript server call its tool names without reading the list.
#[actix_web::test]
async fn under_the_default_choice_what_is_not_listed_is_still_called_by_name() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        assert!(!listed(&alice, "/mcp", &[]).await.contains(&"list_surcharges".to_owned()));
        for headers in [&[][..], &[("x-mcp-toolsets", "default,guests")], &[("x-mcp-readonly", "1")]] {
            called(&alice, "/mcp", headers, "list_surcharges", json!({})).await.ok();
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn reading_only_wins_wherever_it_is_said() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let (reader, _) = another_key(&alice, json!({"scope": "read"})).await;
        let (careful, _) = another_key(&alice, json!({"scope": "full", "readonly": true})).await;
        let catalog = Catalog::embedded().unwrap();
        let writes = |names: &[String]| {
            names.iter().any(|name| catalog.get(name).is_some_and(|operation| !operation.is_allowed_for(Scope::Read)))
        };
        let create = json!({"first_name": "Ada"});
        for (person, path, headers) in [
            (&alice, "/mcp/readonly", &[][..]),
            (&alice, "/mcp/x/all/readonly", &[]),
            (&alice, "/mcp/readonly?toolsets=guests&readonly=false", &[("x-mcp-readonly", "false")]),
            (&alice, "/mcp?readonly=true", &[]),
            (&alice, "/mcp", &[("x-mcp-readonly", "yes"), ("x-mcp-tools", "create_guest,list_guests")]),
            // As users write it.
            (&alice, "/mcp?readonly", &[]),
            (&alice, "/mcp?readonly=", &[]),
            (&alice, "/mcp?readOnly=true", &[]),
            (&alice, "/mcp?READONLY", &[]),
            (&alice, "/mcp?read_only=true", &[]),
            (&alice, "/mcp?read-only=1", &[]),
            (&alice, "/mcp?readonly=1&readonly=1&utm_source=x", &[]),
            (&alice, "/mcp", &[("x-mcp-read-only", "true")]),
            (&alice, "/mcp", &[("X-MCP-ReadOnly", "1"), ("x-mcp-readonly", "on")]),
            (&reader, "/mcp/x/all", &[("x-mcp-readonly", "false")]),
            (&careful, "/mcp/x/all", &[("x-mcp-readonly", "false"), ("x-mcp-tools", "create_guest")]),
        ] {
            let names = listed(person, path, headers).await;
            assert!(!names.is_empty() && !writes(&names), "{path} {headers:?}: {names:?}");
            gateway.ownerrez().clear_requests();
            let text = called(person, path, headers, "create_guest", create.clone()).await.refused();
            assert!(text.contains("read") && text.contains("Nothing was sent"), "{text}");
            assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
            called(person, path, headers, "list_guests", json!({"q": "a"})).await.ok();
        }
        assert!(writes(&listed(&alice, "/mcp", &[("x-mcp-readonly", "off")]).await));
        gateway.stop().await;
    })
    .await;
}

/// If a misspelt setting were ignored, the access that it should restrict would stay open.
#[actix_web::test]
async fn other_spellings_of_a_setting_count_and_similar_ones_are_refused() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let guests = listed(&alice, "/mcp?toolsets=guests", &[]).await;
        for (path, headers) in
            [("/mcp?toolset=guests", &[][..]), ("/mcp?ToolSets=guests", &[]), ("/mcp", &[("x-mcp-toolset", "guests")])]
        {
            assert_eq!(listed(&alice, path, headers).await, guests, "{path}");
        }
        // A tool that is excluded in any place is excluded.
        for (path, headers) in [
            ("/mcp?exclude=delete_guest,create_guest", &[][..]),
            ("/mcp?exclude_tools=delete_guest&exclude-tools=create_guest", &[]),
            ("/mcp?exclude_tools=delete_guest", &[("x-mcp-exclude", "create_guest")]),
        ] {
            let names = listed(&alice, path, headers).await;
            assert!(!names.iter().any(|name| name == "delete_guest" || name == "create_guest"), "{path}: {names:?}");
        }
        let list = rpc(1, "tools/list", json!({}));
        for (path, headers, near) in [
            ("/mcp?readonyl=true", &[][..], "`readonly`"),
            ("/mcp?read=only", &[], "`readonly`"),
            ("/mcp?exclude_toolsets=money", &[], "`exclude_tools`"),
            ("/mcp/x/all?readonly=perhaps", &[], "`readonly` has the value \"perhaps\""),
            ("/mcp", &[("x-mcp-readonly-mode", "true")], "`x-mcp-readonly`"),
            ("/mcp", &[("x-mcp-readonly", "true"), ("x-mcp-readonly", "false")], "both true and false"),
            ("/mcp", &[("x-mcp-output-schemas", "all")], "X-MCP-Output-Schemas has the value \"all\""),
        ] {
            let refused = alice.mcp_at(path, headers, &list).await;
            assert_eq!((refused.status, refused.error()), (400, "invalid_request"), "{path}: {}", refused.body);
            assert!(refused.body["message"].as_str().unwrap().contains(near), "{}", refused.body);
        }
        // With a misspelt restriction, the key could write.
        for misspelt in ["read_only", "readOnly", "two-steps"] {
            let refused = alice.post("/api/keys", &json!({"scope": "full", misspelt: true})).await;
            assert_eq!(refused.status, 400, "{}", refused.body);
            assert!(refused.body["message"].as_str().unwrap().contains("`readonly`"), "{}", refused.body);
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_key_holds_the_choice_of_who_cannot_send_one() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let (money, made) =
            another_key(&alice, json!({"scope": "full", "name": "books", "toolsets": ["money", "guests", "money"]}))
                .await;
        assert_eq!(made.body["toolsets"], json!(["guests", "money"]));
        assert_eq!(made.body["readonly"], json!(false));
        let chosen = listed(&money, "/mcp", &[]).await;
        assert_eq!(chosen, listed(&alice, "/mcp?toolsets=guests,money", &[]).await, "the same for the same choice");
        // A request overrides the key.
        assert_eq!(listed(&money, "/mcp/x/content", &[]).await, listed(&alice, "/mcp/x/content", &[]).await);
        assert_eq!(listed(&money, "/mcp?toolsets=default", &[]).await, listed(&alice, "/mcp", &[]).await);

        // Such a key cannot create a key with more permissions.
        let (careful, _) =
            another_key(&alice, json!({"scope": "full", "toolsets": "bookings", "readonly": true})).await;
        let (child, made) = another_key(&careful, json!({"scope": "full"})).await;
        assert_eq!((&made.body["toolsets"], &made.body["readonly"]), (&json!(null), &json!(true)));
        assert_eq!(listed(&child, "/mcp", &[]).await, listed(&alice, "/mcp/readonly", &[]).await);

        let keys = alice.get("/api/keys").await.body["keys"].clone();
        let shown: Vec<_> =
            keys.as_array().unwrap().iter().map(|key| (key["toolsets"].clone(), key["readonly"].clone())).collect();
        let expected = [
            (json!(null), json!(false)),
            (json!(["guests", "money"]), json!(false)),
            (json!(["bookings"]), json!(true)),
            (json!(null), json!(true)),
        ];
        assert_eq!(shown, expected, "{keys}");

        // Another process reads it from the row.
        let gateway = gateway.restart().await;
        assert_eq!(listed(&money.at(&gateway.url), "/mcp", &[]).await, chosen);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_name_that_is_none_is_refused_with_those_that_are() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let list = rpc(1, "tools/list", json!({}));
        for (path, headers, code, near, known) in [
            ("/mcp/x/guest", &[][..], "unknown_toolset", "`guests`", "webhooks"),
            ("/mcp/x/guest/readonly", &[], "unknown_toolset", "`guests`", "default"),
            ("/mcp?toolsets=bookings,mony", &[], "unknown_toolset", "`money`", "all"),
            ("/mcp", &[("x-mcp-toolsets", "x%0d,guests")], "unknown_toolset", "`x%0d`", "research"),
            ("/mcp", &[("x-mcp-tools", "list_booking")], "unknown_tool", "`list_bookings`", "find_availability"),
            ("/mcp", &[("x-mcp-exclude-tools", "list_guests,nope")], "unknown_tool", "`nope`", "delete_guest"),
        ] {
            let refused = alice.mcp_at(path, headers, &list).await;
            assert_eq!((refused.status, refused.error()), (400, code), "{path} {headers:?}: {}", refused.body);
            let message = refused.body["message"].as_str().unwrap();
            assert!(message.contains(near) && message.contains(known), "{message}");
        }
        let refused = alice.post("/api/keys", &json!({"scope": "full", "toolsets": ["guest"]})).await;
        assert_eq!((refused.status, refused.error()), (400, "unknown_toolset"), "{}", refused.body);
        assert_eq!(alice.get("/api/keys").await.body["keys"].as_array().unwrap().len(), 1);
        // Without a key, the error lists no names; another origin is rejected at each of the paths.
        let visitor = Person::visitor(&gateway.url);
        assert_eq!(visitor.mcp_at("/mcp/x/nope", &[], &list).await.status, 401);
        for path in ["/mcp/readonly", "/mcp/x/guests", "/mcp/x/guests/readonly"] {
            let foreign = alice.mcp_at(path, &[("origin", "https://evil.example")], &list).await;
            assert_eq!((foreign.status, foreign.error()), (403, "origin_not_allowed"), "{path}");
            assert_eq!(alice.send("GET", path, &[], None).await.status, 405, "{path}");
        }
        gateway.stop().await;
    })
    .await;
}
