//! Output schemas: which connections get them, and that results match them. `catalogue` checks every operation's result
//! against its schema, `tools_page` every other tool's.

use std::collections::BTreeMap;

use jsonschema::Validator;
use ownerrez_gateway::simulator::Rule;
use serde_json::{Value, json};

use crate::world::{Answer, Gateway, Person, on_each_database, rpc};

/// The output schemas from the list of all tools.
pub(crate) struct Promised(BTreeMap<String, Validator>);

impl Promised {
    pub(crate) async fn to(person: &Person) -> Self {
        let tools = listed(person, "/mcp/x/all?output_schemas=true", &[]).await;
        let schemas = tools.iter().filter(|tool| tool["outputSchema"].is_object());
        Self(
            schemas
                .map(|tool| {
                    let schema = jsonschema::validator_for(&tool["outputSchema"]).unwrap();
                    (tool["name"].as_str().unwrap().to_owned(), schema)
                })
                .collect(),
        )
    }

    /// Checks a result against its schema. Clients do the same and discard results that do not match or have no
    /// structured content.
    pub(crate) fn kept_by(&self, tool: &str, answer: &Value) {
        assert!(answer.is_object(), "{tool}: {answer}");
        let Some(schema) = self.0.get(tool) else { return };
        let broken: Vec<String> = schema.iter_errors(answer).map(|error| error.to_string()).collect();
        assert!(broken.is_empty(), "{tool}: {broken:?} in {answer}");
    }
}

async fn listed(person: &Person, path: &str, headers: &[(&str, &str)]) -> Vec<Value> {
    let list = person.mcp_at(path, headers, &rpc(1, "tools/list", json!({}))).await;
    list.body["result"]["tools"].as_array().unwrap().clone()
}

async fn called(person: &Person, path: &str, tool: &str, arguments: Value) -> Value {
    let call = rpc(1, "tools/call", json!({"name": tool, "arguments": arguments}));
    Answer(person.mcp_at(path, &[], &call).await).ok()
}

#[actix_web::test]
async fn who_asks_is_shown_what_tools_answer_and_lists_stay_short_otherwise() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let on = [("x-mcp-output-schemas", "true")];
        for (path, headers, shown) in [
            ("/mcp", &[][..], false),
            ("/mcp/readonly", &[], false),
            ("/mcp/x/properties", &[], false),
            ("/mcp?output_schemas=true", &[], true),
            ("/mcp", &on, true),
            ("/mcp/x/properties?output_schemas=1", &[], true),
            ("/mcp?tools=list_properties", &on, true),
            ("/mcp/x/properties/readonly", &on, true),
            // The more specific setting wins.
            ("/mcp?output_schemas=no", &on, false),
        ] {
            let tools = listed(&alice, path, headers).await;
            let list = tools.iter().find(|tool| tool["name"] == "list_properties").unwrap();
            assert_eq!(list["outputSchema"].is_object(), shown, "{path} {headers:?}");
            let any = tools.iter().any(|tool| tool["outputSchema"].is_object());
            assert_eq!(any, shown, "{path} {headers:?}");
        }
        let tools = listed(&alice, "/mcp/x/all", &on).await;
        let count = tools.iter().filter(|tool| tool["outputSchema"].is_object()).count();
        assert_eq!(count, 61 + 9, "operations of a confirmed shape, and the answers");

        // A search for one operation by its name also returns its schema.
        let found = called(&alice, "/mcp", "find_operation", json!({"query": "list_deposits"})).await;
        let found = &found["operations"];
        assert_eq!(found[0]["output_schema"]["properties"]["items"]["type"], json!("array"), "{found}");
        assert!(found.as_array().unwrap()[1..].iter().all(|other| other["output_schema"].is_null()), "{found}");
        let found = called(&alice, "/mcp", "find_operation", json!({"query": "payouts to my bank"})).await;
        assert!(found["operations"].as_array().unwrap().iter().all(|one| one["output_schema"].is_null()), "{found}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn tables_and_both_steps_of_a_write_keep_to_the_schema_as_well() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let account = gateway.ownerrez().accounts()[0].id;
        let alice = gateway.user("Alice").await.connect(&gateway, account).await;
        let promised = Promised::to(&alice).await;
        let property = called(&alice, "/mcp", "list_properties", json!({"limit": 1})).await["items"][0]["id"].clone();
        for (tool, arguments) in [
            ("list_properties", json!({"limit": 3})),
            ("list_properties", json!({"offset": 10_000})),
            ("list_bookings", json!({"since_utc": "2000-01-01T00:00:00Z", "include_charges": true})),
            ("list_payments", json!({})),
            ("get_property_calendar", json!({"property_id": property, "from": "2026-07-01", "to": "2026-07-05"})),
        ] {
            let mut arguments = arguments;
            arguments["format"] = json!("table");
            let table = called(&alice, "/mcp", tool, arguments).await;
            promised.kept_by(tool, &table);
            assert!(table["table"].is_string() && table["items"].is_null() && table["days"].is_null(), "{table}");
        }
        let guest = called(&alice, "/mcp", "create_guest", json!({"first_name": "Ada"})).await;
        let repeated = called(&alice, "/mcp", "create_guest", json!({"first_name": "Ada"})).await;
        assert_eq!(repeated["repeated"], json!(true), "{repeated}");
        promised.kept_by("create_guest", &repeated);
        let first = called(&alice, "/mcp", "delete_guest", json!({"id": guest["id"]})).await;
        assert_eq!(first["done"], json!(false), "{first}");
        promised.kept_by("delete_guest", &first);
        let draft = called(&alice, "/mcp", "create_message", json!({"thread_id": 1, "body": "Hello"})).await;
        assert_eq!(draft["sent"], json!(false), "{draft}");
        promised.kept_by("create_message", &draft);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn what_ownerrez_answers_otherwise_tomorrow_is_not_thrown_away_by_clients() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let promised = Promised::to(&alice).await;
        let odd = json!({"id": "five", "name": 7, "bedrooms": {"number": 3}});
        gateway.ownerrez().script(Rule::on("GET /v2/properties/{id}").always().reply(200, odd.clone()));
        // Connections that did not request schemas get the unchanged result.
        assert_eq!(called(&alice, "/mcp", "get_property", json!({"id": 5})).await, odd);
        let answer = called(&alice, "/mcp?output_schemas=true", "get_property", json!({"id": 5})).await;
        promised.kept_by("get_property", &answer);
        assert_eq!(answer["value"], odd);
        assert!(answer["note"].as_str().unwrap().contains("does not match"), "{answer}");
        gateway.stop().await;
    })
    .await;
}
