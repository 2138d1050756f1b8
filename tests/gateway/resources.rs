//! Resources, prompts, and the completion of ids from names.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::world::{Gateway, Person, on_each_database, rpc};

async fn asked(person: &Person, method: &str, params: Value) -> Value {
    let reply = person.mcp(&rpc(1, method, params)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body
}

async fn completed(person: &Person, reference: Value, argument: &str, typed: &str) -> Vec<String> {
    let params = json!({"ref": reference, "argument": {"name": argument, "value": typed}});
    let reply = asked(person, "completion/complete", params).await;
    let values = reply["result"]["completion"]["values"].as_array().unwrap();
    values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

fn template(uri: &str) -> Value {
    json!({"type": "ref/resource", "uri": uri})
}

/// Returns the user of the account with many properties.
async fn host(gateway: &Gateway) -> Person {
    let account = gateway.ownerrez().accounts()[0].id;
    gateway.user("Host").await.connect(gateway, account).await
}

#[actix_web::test]
async fn a_record_is_read_at_its_address_as_the_tool_reads_it() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let host = host(&gateway).await;

        let listed = asked(&host, "resources/list", json!({})).await;
        assert_eq!(listed["result"]["resources"][0]["uri"], json!("ownerrez://properties"));
        let templates = asked(&host, "resources/templates/list", json!({})).await;
        let templates = templates["result"]["resourceTemplates"].as_array().unwrap().clone();
        assert!(templates.iter().any(|template| template["uriTemplate"] == json!("ownerrez://bookings/{id}")));

        let properties = host.call("list_properties", json!({"limit": 100})).await.ok();
        let id = properties["items"][0]["id"].as_i64().unwrap();
        let by_tool = host.call("get_property", json!({"id": id})).await.ok();
        gateway.ownerrez().clear_requests();
        let uri = format!("ownerrez://properties/{id}");
        let read = asked(&host, "resources/read", json!({"uri": uri})).await;
        let contents = &read["result"]["contents"][0];
        assert_eq!((&contents["uri"], &contents["mimeType"]), (&json!(uri), &json!("application/json")));
        let record: Value = serde_json::from_str(contents["text"].as_str().unwrap()).unwrap();
        assert_eq!(record, by_tool);
        let prompts = asked(&host, "prompts/list", json!({})).await;
        let prompts = prompts["result"]["prompts"].as_array().unwrap().clone();
        let resources = listed["result"]["resources"].as_array().unwrap();
        for shown in resources.iter().chain(&templates).chain(&prompts) {
            assert!(shown["title"].is_string(), "{shown}");
        }
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 1);
    })
    .await;
}

/// A resource has no argument to request the full text, so its texts are never cut.
#[actix_web::test]
async fn long_texts_are_whole_at_an_address() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let host = host(&gateway).await;
        let notes = "And so on. ".repeat(300);
        let made = host.call("create_guest", json!({"first_name": "Ada", "notes": notes})).await.ok();
        let uri = format!("ownerrez://guests/{}", made["id"]);
        let read = asked(&host, "resources/read", json!({"uri": uri})).await;
        let record: Value = serde_json::from_str(read["result"]["contents"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!((record["notes"].as_str(), record.get("cut")), (Some(notes.as_str()), None));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_address_without_a_record_costs_nothing_or_says_so() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().clear_requests();

        for uri in ["ownerrez://properties/0", "ownerrez://nothing/5", "file:///etc/passwd", ""] {
            let read = asked(&alice, "resources/read", json!({"uri": uri})).await;
            assert_eq!(read["error"]["code"], json!(-32002), "{uri}: {read}");
            assert_eq!(read["error"]["data"], json!({"uri": uri}), "{read}");
        }
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);

        let read = asked(&alice, "resources/read", json!({"uri": "ownerrez://bookings/99999999"})).await;
        assert_eq!(read["error"]["code"], json!(-32002), "{read}");
    })
    .await;
}

#[actix_web::test]
async fn nobody_reads_a_record_of_another_account_and_the_unconnected_get_a_link() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let host = host(&gateway).await;
        let alice = gateway.connected_user("Alice").await;
        let stranger = gateway.user("Stranger").await;
        let properties = host.call("list_properties", json!({})).await.ok();
        let uri = format!("ownerrez://properties/{}", properties["items"][0]["id"]);

        let foreign = asked(&alice, "resources/read", json!({"uri": uri})).await;
        assert_eq!(foreign["error"]["code"], json!(-32002), "{foreign}");
        let unconnected = asked(&stranger, "resources/read", json!({"uri": uri})).await;
        let words = unconnected["error"]["message"].as_str().unwrap();
        assert!(words.contains("/api/connect/ownerrez/authorize?state="), "{words}");
    })
    .await;
}

#[actix_web::test]
async fn names_become_ids_with_one_request_a_minute() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let host = host(&gateway).await;
        let alice = gateway.connected_user("Alice").await;
        let properties = host.call("list_properties", json!({"limit": 100})).await.ok();
        let (id, name) = (&properties["items"][2]["id"], properties["items"][2]["name"].as_str().unwrap());
        gateway.ownerrez().clear_requests();

        let property = || template("ownerrez://properties/{id}");
        for typed in [name, &name.to_uppercase(), &name[..5], &id.to_string()] {
            let ids = completed(&host, property(), "id", typed).await;
            assert!(ids.contains(&id.to_string()), "{typed}: {ids:?}");
        }
        assert_eq!(completed(&host, property(), "id", "no such name").await, Vec::<String>::new());
        assert_eq!(gateway.ownerrez().count("GET /v2/properties"), 2, "typed five times, asked once for each state");

        let prompt = json!({"type": "ref/prompt", "name": "weekly_owner_report"});
        assert!(completed(&host, prompt.clone(), "property_id", name).await.contains(&id.to_string()));
        assert_eq!(completed(&host, prompt, "week", "2026").await, Vec::<String>::new());
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 2);

        assert!(
            !completed(&alice, property(), "id", &id.to_string()).await.contains(&id.to_string()),
            "not her account"
        );
        gateway.advance(TimeDelta::seconds(61));
        completed(&host, property(), "id", name).await;
        assert_eq!(gateway.ownerrez().count("GET /v2/properties"), 6);
    })
    .await;
}

#[actix_web::test]
async fn guests_and_bookings_are_found_by_their_names() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let host = host(&gateway).await;
        let arguments = json!({"since_utc": "2000-01-01T00:00:00Z", "include_guest": true, "limit": 100});
        let bookings = host.call("list_bookings", arguments).await.ok();
        let named = |booking: &&Value| booking["guest"]["last_name"].as_str().is_some_and(|name| name.len() > 2);
        let booking = bookings["items"].as_array().unwrap().iter().find(named).unwrap();
        let name = booking["guest"]["last_name"].as_str().unwrap();
        gateway.ownerrez().clear_requests();

        let guest = template("ownerrez://guests/{id}");
        assert_eq!(completed(&host, guest.clone(), "id", &name[..1]).await, Vec::<String>::new());
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0, "one letter is no search");
        let guests = completed(&host, guest, "id", name).await;
        assert!(guests.contains(&booking["guest_id"].to_string()), "{name}: {guests:?}");

        // Only recently changed records are searched.
        let recent = completed(&host, template("ownerrez://bookings/{id}"), "id", "").await;
        let request = gateway.ownerrez().requests().pop().unwrap();
        assert!(request.query.contains("since_utc="), "{}", request.query);
        assert!(recent.len() <= 100);
    })
    .await;
}

#[actix_web::test]
async fn a_prompt_is_filled_in_without_a_request() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().clear_requests();

        let listed = asked(&alice, "prompts/list", json!({})).await;
        let prompts = listed["result"]["prompts"].as_array().unwrap().clone();
        for prompt in &prompts {
            let none = Vec::new();
            let arguments = prompt["arguments"].as_array().unwrap_or(&none);
            let given: Value = arguments.iter().map(|argument| (argument["name"].as_str().unwrap(), "7{x}")).collect();
            let got = asked(&alice, "prompts/get", json!({"name": prompt["name"], "arguments": given})).await;
            let text = got["result"]["messages"][0]["content"]["text"].as_str().unwrap();
            assert!(text.matches("7{x}").count() >= arguments.len(), "{text}");
            assert!(!text.replace("7{x}", "").contains('{'), "{text}");
        }

        for (name, arguments, says) in [
            ("check_in_message", json!({}), "booking_id"),
            ("check_in_message", json!({"booking_id": "7", "mood": "x"}), "mood"),
            ("check_in_message", json!({"booking_id": "7".repeat(2000)}), "1000"),
            ("check_in_mesage", json!({}), "check_in_message"),
            ("nope", json!({}), "`nope`. The prompts are "),
        ] {
            let refused = asked(&alice, "prompts/get", json!({"name": name, "arguments": arguments})).await;
            assert_eq!(refused["error"]["code"], json!(-32602), "{refused}");
            assert!(refused["error"]["message"].as_str().unwrap().contains(says), "{refused}");
        }
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
    })
    .await;
}
