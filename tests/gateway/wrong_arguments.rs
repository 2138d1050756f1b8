//! Gives every argument of every tool each kind of wrong value for its schema: the error names the argument, nothing is
//! sent to OwnerRez, and the gateway never fails.

use serde_json::{Map, Value, json};

use crate::world::{Gateway, Person, on_each_database, rpc};

/// Returns values that do not match a schema.
fn wrong(schema: &Value) -> Vec<Value> {
    let mut wrong = match schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default() {
        "integer" => vec![json!("x"), json!(1.5), json!({}), json!(true), json!(1e300), json!(-(1_i64 << 60))],
        "number" => vec![json!("x"), json!({}), json!("NaN"), json!(true)],
        "boolean" => vec![json!("maybe"), json!(7), json!([]), json!({})],
        "string" => vec![json!({}), json!([1])],
        "array" => vec![json!([[[]]]), json!([true, {"\u{0}": []}])],
        "object" => vec![json!("x"), json!(7), json!([1])],
        kind => panic!("{kind}: {schema}"),
    };
    if let Some(least) = schema["minimum"].as_i64() {
        wrong.push(json!(least - 1));
    }
    if let Some(most) = schema["maximum"].as_i64() {
        wrong.push(json!(most + 1));
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        wrong.push(json!("é".repeat(most as usize + 1)));
    }
    if ["enum", "format", "pattern"].iter().any(|word| !schema[word].is_null()) {
        wrong.push(json!("~ no such thing ~"));
    }
    wrong
}

async fn refusal(person: &Person, tool: &str, arguments: &Value) -> String {
    let reply = person.mcp_at("/mcp", &[], &rpc(1, "tools/call", json!({"name": tool, "arguments": arguments}))).await;
    assert_eq!(reply.status, 200, "{tool} {arguments}: {}", reply.body);
    let result = &reply.body["result"];
    assert_eq!(result["isError"], json!(true), "{tool} {arguments}: {}", reply.body);
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn every_wrong_argument_of_every_tool_is_named_and_costs_no_request() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let list = alice.mcp_at("/mcp?toolsets=default,all", &[], &rpc(1, "tools/list", json!({}))).await;
        let tools = list.body["result"]["tools"].as_array().unwrap();
        assert_eq!(tools.len(), 81 + 9 + 1 + 2, "operations, answers, the draft, the two that find and call");
        gateway.ownerrez().clear_requests();
        let mut tried = 0;
        for tool in tools {
            let (name, schema) = (tool["name"].as_str().unwrap(), &tool["inputSchema"]);
            let mut cases: Vec<(&str, Value)> = vec![("no_such_argument", json!(1)), ("", json!(0)), ("🦀", json!([]))];
            for (argument, schema) in schema["properties"].as_object().unwrap() {
                cases.extend(wrong(schema).into_iter().map(|value| (argument.as_str(), value)));
            }
            for (argument, value) in cases {
                let told = refusal(&alice, name, &json!({argument: value})).await;
                assert!(argument == "no_such_argument" || told.contains(argument), "{name} {argument} {value}: {told}");
                assert!(told.contains("Nothing was sent"), "{name} {argument} {value}: {told}");
                tried += 1;
            }
            for required in schema["required"].as_array().into_iter().flatten() {
                let told = refusal(&alice, name, &json!({})).await;
                assert!(told.contains(required.as_str().unwrap()), "{name}: {told}");
            }
            // The result is the same if another tool calls it.
            if !["find_operation", "call_operation"].contains(&name) {
                let arguments = json!({"no_such_argument": [{}]});
                let through = json!({"name": name, "arguments": arguments});
                let through = refusal(&alice, "call_operation", &through).await;
                assert_eq!(through, refusal(&alice, name, &arguments).await);
            }
        }
        assert!(tried > 1_000, "{tried}");
        let nothing = Map::new();
        let unknown = refusal(&alice, "call_operation", &json!({"name": "launch_rocket", "arguments": nothing})).await;
        assert!(unknown.contains("find_operation"), "{unknown}");
        assert_eq!(gateway.ownerrez().count("* /v2/*"), 0);
        gateway.stop().await;
    })
    .await;
}
