//! Arguments as clients send them: null and empty strings for values that the model did not give, names that no tool
//! has, and the notes in the responses about them.

use ownerrez_gateway::simulator::Rule;
use serde_json::{Value, json};

use crate::world::{Answer, Gateway, Person, on_each_database, rpc};

/// Returns the spot rate of a night, as OwnerRez has it.
async fn night(person: &Person, property: &Value, day: &str) -> Value {
    let rates = json!({"property_ids": [property], "from_date": day, "to_date": day});
    person.call("list_spot_rates", rates).await.ok()["items"][0].clone()
}

/// CrewAI and mcp-use for Python send null for every member of the schema that the model did not give.
#[actix_web::test]
async fn null_changes_nothing_and_clear_does() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let property = alice.call("list_properties", json!({})).await.ok()["items"][0]["id"].clone();
        let day = "2028-03-01";
        let rate = |more: Value| {
            let mut rate = json!({"property_id": property, "date": day});
            rate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"rates": [rate]})
        };
        let rules = json!({"amount": 150, "min_nights": 4, "max_nights": 9, "is_arrival_disallowed": true});
        alice.call("update_spot_rates", rate(rules)).await.ok();

        let price = json!({
            "amount": 99, "currency": null, "min_nights": null, "max_nights": null, "is_arrival_disallowed": null,
            "is_departure_disallowed": null, "overrides_gap_arrival": null, "overrides_gap_departure": null,
            "overrides_gap_min_nights": null, "clear": null,
        });
        alice.call("update_spot_rates", rate(price)).await.ok();
        let kept = night(&alice, &property, day).await;
        assert_eq!((&kept["amount"], &kept["min_nights"], &kept["max_nights"]), (&json!(99), &json!(4), &json!(9)));
        assert_eq!(kept["is_arrival_disallowed"], json!(true));

        alice.call("update_spot_rates", rate(json!({"clear": ["min_nights", "is_arrival_disallowed"]}))).await.ok();
        let cleared = night(&alice, &property, day).await;
        assert_eq!((&cleared["amount"], &cleared["max_nights"]), (&json!(99), &json!(9)));
        assert_eq!((&cleared["min_nights"], &cleared["is_arrival_disallowed"]), (&json!(null), &json!(null)));

        let block =
            json!({"property_id": property, "is_block": true, "arrival": "2028-05-01", "departure": "2028-05-04"});
        let block = alice.call("create_booking", block).await.ok()["id"].clone();
        let moment = json!({"id": block, "cleaning_date": "2028-05-04T15:00:00Z", "guest_id": null, "clear": null});
        alice.call("update_booking", moment).await.ok();
        let others = json!({"id": block, "title": "Paint", "cleaning_date": null, "notes": null, "check_in": ""});
        alice.call("update_booking", others).await.ok();
        let booking = alice.call("get_booking", json!({"id": block, "fields": ["cleaning_date", "title"]})).await.ok();
        assert!(booking["cleaning_date"].is_string() && booking["title"] == "Paint", "{booking}");
        alice.call("update_booking", json!({"id": block, "clear": ["cleaning_date"]})).await.ok();
        let booking = alice.call("get_booking", json!({"id": block, "fields": ["cleaning_date", "title"]})).await.ok();
        assert!(booking["cleaning_date"].is_null() && booking["title"] == "Paint", "{booking}");

        // A required argument that is null is missing.
        let wrong = json!({"rates": [{"property_id": property, "date": null, "amount": 1}]});
        assert!(alice.call("update_spot_rates", wrong).await.refused().contains("`rates[0].date` is missing"));
        assert!(alice.call("get_booking", json!({"id": null})).await.refused().contains("`id` is missing"));
        gateway.stop().await;
    })
    .await;
}

/// OpenAI's strict mode makes a model give every argument.
#[actix_web::test]
async fn empty_text_and_empty_filters_are_absent_and_the_answer_says_what_it_covers() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let property = alice.call("list_properties", json!({})).await.ok()["items"][0]["id"].clone();
        let strict = json!({
            "property_ids": [property], "status": "", "from_date": "", "to_date": "", "since_utc": "", "fields": [],
        });
        let plain = alice.call("list_bookings", json!({"property_ids": [property]})).await.ok();
        assert_eq!(alice.call("list_bookings", strict).await.ok(), plain);

        let since = "2020-01-01T00:00:00Z";
        let all = alice.call("list_bookings", json!({"since_utc": since})).await.ok();
        for empty in [json!([]), json!(""), json!([null])] {
            let mut given = alice.call("list_bookings", json!({"since_utc": since, "property_ids": empty})).await.ok();
            let said = given.as_object_mut().unwrap().remove("ignored_arguments").unwrap();
            assert!(
                said.as_str().unwrap().contains("`property_ids` is an empty list") && said.to_string().contains("all")
            );
            assert_eq!(given, all);
        }
        let staying = alice.call("who_is_staying", json!({"property_ids": [], "from_date": ""})).await.ok();
        assert!(staying["ignored_arguments"].as_str().unwrap().contains("covers all"), "{staying}");
        let table = json!({"since_utc": since, "property_ids": [], "format": "table"});
        let table = alice.call("list_bookings", table).await.0.body["result"].clone();
        assert!(table["content"][0]["text"].as_str().unwrap().starts_with("{\"ignored_arguments\":"), "{table}");
        assert!(table["structuredContent"]["ignored_arguments"].is_string(), "{table}");
        // If one of several filters is required, an empty one does not count; a required list cannot be empty.
        let told = alice.call("list_bookings", json!({"property_ids": []})).await.refused();
        assert!(told.contains("give `property_ids` or `since_utc`"), "{told}");
        let required = json!({"property_ids": [], "from_date": "2028-01-01", "to_date": "2028-01-02"});
        assert!(alice.call("list_spot_rates", required).await.refused().contains("`property_ids` is a list of 0"));

        gateway.ownerrez().clear_requests();
        let told = alice.call("create_guest", json!({"first_name": "Ada", "phones": []})).await.refused();
        assert!(told.contains("`phones` is an empty list") && told.contains("`clear`"), "{told}");
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        gateway.stop().await;
    })
    .await;
}

/// Empty strings and nulls, which strict clients send for "not given", neither create an empty record nor clear a
/// field.
#[actix_web::test]
async fn empty_text_in_a_write_wipes_nothing_and_clear_does() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().clear_requests();
        for (empty, named) in [
            (json!({"first_name": "", "last_name": " ", "notes": ""}), "a guest without any of them is empty"),
            (json!({"first_name": null, "email_addresses": null}), "a guest without any of them is empty"),
            (json!({"first_name": "Ada", "email_addresses": [{"address": null}]}), "its `address`"),
            (json!({"first_name": "Ada", "email_addresses": [{"address": "", "type": ""}]}), "its `address`"),
            (json!({"first_name": "Ada", "email": ""}), ""),
            (json!({"first_name": "Ada", "phones": [{"number": ""}]}), "its `number`"),
            (json!({"first_name": "Ada", "addresses": [{"street1": "", "type": "home"}]}), "`street1`"),
        ] {
            let answer = alice.call("create_guest", empty.clone()).await;
            if named.is_empty() {
                answer.ok();
                gateway.ownerrez().clear_requests();
                continue;
            }
            let told = answer.refused();
            assert!(told.contains(named), "{empty}: {told}");
            assert_eq!(gateway.ownerrez().count("* /v2/*"), 0, "{empty}");
        }

        let guest = json!({"first_name": "Ada", "last_name": "Story", "notes": "Likes engines", "phone": "5551234"});
        let made = alice.call("create_guest", guest).await.ok();
        let strict = json!({
            "id": made["id"], "first_name": "Bea", "last_name": "", "notes": "", "addresses": null, "clear": [],
            "is_banned": "", "phones": [{"id": made["phones"][0]["id"], "type": "home", "number": "", "extension": ""}],
        });
        alice.call("update_guest", strict).await.ok();
        let all = json!({"id": made["id"], "fields": ["first_name", "last_name", "notes", "phones"]});
        let kept = alice.call("get_guest", all.clone()).await.ok();
        assert_eq!((&kept["first_name"], &kept["last_name"]), (&json!("Bea"), &json!("Story")), "{kept}");
        assert_eq!(
            (&kept["notes"], &kept["phones"][0]["number"]),
            (&json!("Likes engines"), &json!("5551234")),
            "{kept}"
        );
        alice.call("update_guest", json!({"id": made["id"], "clear": ["notes"]})).await.ok();
        let cleared = alice.call("get_guest", all).await.ok();
        assert!(cleared["notes"].as_str().is_none_or(str::is_empty) && cleared["last_name"] == "Story", "{cleared}");
        let nothing = alice.call("update_guest", json!({"id": made["id"], "last_name": ""})).await.refused();
        assert!(nothing.contains("nothing to change") && nothing.contains("`clear`"), "{nothing}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_clients_add_to_every_call_is_ignored_and_named() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let n8n = |mut arguments: Value| {
            let added = json!({"toolCallId": "call_1", "sessionId": "s", "action": "sendMessage", "chatInput": "hi"});
            arguments.as_object_mut().unwrap().extend(added.as_object().unwrap().clone());
            arguments
        };
        for (tool, arguments) in [
            ("list_properties", json!({})),
            ("who_is_staying", json!({})),
            ("find_operation", json!({"query": "tags"})),
            ("call_operation", json!({"name": "list_surcharges"})),
        ] {
            let mut answer = alice.call(tool, n8n(arguments.clone())).await.ok();
            let said = answer.as_object_mut().unwrap().remove("ignored_arguments").unwrap_or_default().to_string();
            for name in ["toolCallId", "sessionId", "action", "chatInput"] {
                assert!(said.contains(&format!("`{name}`")), "{tool}: {said}");
            }
            let plain = alice.call(tool, arguments).await.ok();
            assert_eq!(answer["items"], plain["items"], "{tool}");
        }
        // Reported once, although it was in both places.
        let twice = json!({"name": "list_surcharges", "arguments": {"sessionId": "s"}, "sessionId": "s"});
        let said = alice.call("call_operation", twice).await.ok()["ignored_arguments"].to_string();
        assert_eq!(said.matches("`sessionId`").count(), 1, "{said}");
        // A refusal reports it as well.
        let key = alice.post("/api/keys", &json!({"name": "reader", "scope": "read"})).await;
        let reader = alice.with_key(key.body["api_key"].as_str().unwrap(), &alice.id);
        let refused = reader.call("create_guest", json!({"first_name": "Ada", "sessionId": "s"})).await.0;
        let content = refused.body["result"]["content"].to_string();
        assert!(content.contains("may only read") && content.contains("Ignored: `sessionId`"), "{content}");
        // `confirm` is not an argument of a write that needs no confirmation.
        let confirmed = json!({"first_name": "Ada", "confirm": "x"});
        assert!(alice.call("create_guest", confirmed).await.refused().contains("unknown argument `confirm`"));
        let told = alice.call("create_guest", json!({"first_name": "Ada", "action": "sendMessage"})).await.refused();
        assert!(told.contains("unknown argument `action`: known are"), "{told}");
        // Sent by Cline in a write; the response of a write also lists it.
        let guest = json!({"first_name": "Ada", "last_name": "Story", "task_progress": "- [ ] one"});
        let made = alice.call("create_guest", guest).await;
        let text = made.0.body["result"]["content"][0]["text"].as_str().unwrap().to_owned();
        let made = made.ok();
        assert!(made["id"].is_number() && made["ignored_arguments"].as_str().unwrap().contains("`task_progress`"));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), made, "the text says the same");

        gateway.ownerrez().clear_requests();
        // Where something changes, an `action` could be meant.
        for (tool, arguments) in [
            ("create_guest", n8n(json!({"first_name": "Bea", "last_name": "Story"}))),
            ("call_operation", n8n(json!({"name": "create_tag", "arguments": {}}))),
            ("list_properties", json!({"action": "sendMessage"})),
            ("list_properties", json!({"action": "sendMessage", "sessionId": "s"})),
        ] {
            let told = alice.call(tool, arguments).await.refused();
            assert!(told.contains("unknown argument `action`"), "{tool}: {told}");
        }
        for other in ["tool_call_id", "session", "chat_input", "thought"] {
            let told = alice.call("list_properties", json!({other: "x", "toolCallId": "c"})).await.refused();
            assert!(told.contains(&format!("unknown argument `{other}`")), "{told}");
        }
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        // If an operation has an argument of that name, it is that argument.
        let hook = json!({"type": "booking", "action": "entity_create", "webhook_url": "https://hooks.example/", "toolCallId": "c"});
        let hook = alice.call("create_webhook_subscription", hook).await.ok();
        assert!(!hook["ignored_arguments"].as_str().unwrap().contains("action"), "{hook}");
        gateway.stop().await;
    })
    .await;
}

/// Some clients send arguments as a string, some languages write an empty array for an empty object, and some models
/// cut text in the middle of an emoji.
#[actix_web::test]
async fn arguments_in_any_form_mean_the_same_directly_and_by_call_operation() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        for (given, plain) in [
            (json!("{\"limit\": 1}"), json!({"limit": 1})),
            (json!([]), json!({})),
            (json!(""), json!({})),
            (json!("{}"), json!({})),
            (json!(null), json!({})),
        ] {
            let expected = alice.call("list_surcharges", plain).await.ok();
            assert_eq!(alice.call("list_surcharges", given.clone()).await.ok(), expected, "{given}");
            let through = json!({"name": "list_surcharges", "arguments": given});
            assert_eq!(alice.call("call_operation", through).await.ok(), expected, "{given}");
        }
        let wrong = rpc(1, "tools/call", json!({"name": "list_surcharges", "arguments": "[1]"}));
        assert_eq!(alice.mcp(&wrong).await.body["error"]["code"], json!(-32602));

        let cut = rpc(
            7,
            "tools/call",
            json!({"name": "create_guest", "arguments": {"first_name": "Ada CUT", "last_name": "Story"}}),
        );
        let cut = cut.to_string().replace("CUT", "\\ud83d");
        let headers = [("content-type", "application/json"), ("mcp-protocol-version", "2025-11-25")];
        let made = Answer(alice.send("POST", "/mcp", &headers, Some(cut)).await).ok();
        assert_eq!(made["first_name"], json!("Ada \u{fffd}"), "{made}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_unknown_tool_is_named_and_never_leads_to_another_act() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        for (name, words, never) in [
            ("delete_booking", "OwnerRez's API has no operation that deletes a booking", "create_booking"),
            ("cancel_bookings", "no operation that deletes a booking", "list_bookings`?"),
            ("list_booking", "Did you mean `list_bookings`?", "API"),
            ("remove_guests", "Did you mean `delete_guest`?", "API"),
            ("launch_rocket", "tools/list", "Did you mean"),
            ("sendmessage", "Did you mean `create_message`?", "get_message"),
            ("refund_booking", "OwnerRez's API makes no refunds", "Did you mean"),
            ("charge_card", "OwnerRez's API charges no card", "Did you mean"),
            ("archive_guest", "archives, merges and restores no records", "Did you mean"),
        ] {
            let call = rpc(1, "tools/call", json!({"name": name, "arguments": {}}));
            let error = alice.mcp(&call).await.body["error"].clone();
            let told = error["message"].as_str().unwrap();
            assert!(told.starts_with(&format!("Unknown tool `{name}`.")) && told.contains(words), "{told}");
            assert!(!told.contains(never), "{told}");
            assert_eq!(error["code"], json!(-32602));
            let told = alice.call("call_operation", json!({"name": name})).await.refused();
            assert!(told.contains(&format!("Unknown operation `{name}`")) && !told.contains(never), "{told}");
        }
        let strange = "x`\u{1b}[31m\n".to_owned() + &"y".repeat(500);
        let call = rpc(1, "tools/call", json!({"name": strange, "arguments": {}}));
        let told = alice.mcp(&call).await.body["error"]["message"].as_str().unwrap().to_owned();
        assert!(told.len() < 200 && !told.contains('\u{1b}') && !told.contains('\n'), "{told}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn half_a_character_in_one_record_costs_no_page() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let whole = r#"{"id": 1, "name": "Casa \ud83d\ude00"}"#;
        let broken = r#"{"id": 2, "name": "Casa \ud83d", "bedrooms": 3}"#;
        let page = format!(r#"{{"count": 2, "items": [{whole}, {broken}], "limit": 20, "offset": 0}}"#);
        gateway.ownerrez().script(Rule::on("GET /v2/properties").always().reply(200, json!(page)));
        for arguments in [json!({}), json!({"fields": ["id", "name"]}), json!({"format": "table"})] {
            let answer = alice.call("list_properties", arguments).await;
            let text = answer.0.body["result"]["content"][0]["text"].to_string();
            assert!(text.contains("Casa \u{1f600}") && text.contains("Casa \u{fffd}"), "{text}");
            answer.ok();
        }
        gateway.ownerrez().script(Rule::on("GET /v2/properties/{id}").always().reply(200, json!(broken)));
        let answer = alice.call("get_property", json!({"id": 2})).await.ok();
        assert_eq!((&answer["name"], &answer["bedrooms"]), (&json!("Casa \u{fffd}"), &json!(3)));
        // The text of an error response is decoded in the same way.
        let refusal = r#"{"messages": ["Not \udc00 now."], "code": "x"}"#;
        gateway.ownerrez().script(Rule::on("GET /v2/guests/{id}").reply(400, json!(refusal)));
        assert!(alice.call("get_guest", json!({"id": 1})).await.refused().contains("Not \u{fffd} now."));
        gateway.stop().await;
    })
    .await;
}

/// The argument names of OwnerRez, which were listed before, still work.
#[actix_web::test]
async fn old_names_of_arguments_keep_working() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let property = alice.call("list_properties", json!({})).await.ok()["items"][0]["id"].clone();
        for (tool, more) in [
            ("get_property_calendar", json!({"property_id": property})),
            ("list_spot_rates", json!({"property_ids": [property]})),
            ("list_bookings", json!({"property_ids": [property]})),
            ("list_guests", json!({"q": "a"})),
            ("calendar_overview", json!({})),
            ("who_is_staying", json!({})),
            ("revenue_summary", json!({})),
        ] {
            let with = |from: &str, to: &str| {
                let mut arguments = more.clone();
                arguments[from] = json!("2026-06-01");
                arguments[to] = json!("2026-06-09");
                arguments
            };
            let listed: Answer = alice.call(tool, with("from_date", "to_date")).await;
            let mut listed = listed.ok();
            let mut old = alice.call(tool, with("from", "to")).await.ok();
            for answer in [&mut listed, &mut old] {
                answer.as_object_mut().unwrap().remove("requests_used");
            }
            assert_eq!(old, listed, "{tool}");
        }
        gateway.stop().await;
    })
    .await;
}
