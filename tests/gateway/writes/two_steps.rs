//! Consent in two steps: the setting of a connection, and the second step of `call_operation`.

use std::process::Stdio;

use chrono::TimeDelta;
use ownerrez_gateway::simulator::{Simulator, SimulatorOptions};
use serde_json::{Value, json};

use super::{
    consent::{call, call_at, someone},
    with,
};
use crate::{
    processes::program::Program,
    world::{Answer, Gateway, ManualClock, on_each_database, rpc},
};

/// `claude -p` and `copilot -p` declare elicitation support, and answer by themselves.
#[actix_web::test]
async fn a_connection_set_to_two_steps_is_never_asked() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let made = alice.post("/api/keys", &json!({"name": "headless", "scope": "full", "two_steps": true})).await;
        assert_eq!((made.status, &made.body["two_steps"]), (201, &json!(true)), "{}", made.body);
        let keys = alice.get("/api/keys").await.body["keys"].clone();
        let shown: Vec<&Value> = keys.as_array().unwrap().iter().map(|key| &key["two_steps"]).collect();
        assert_eq!(shown, [&json!(false), &json!(true)]);
        let headless = alice.with_key(made.body["api_key"].as_str().unwrap(), &alice.id);
        let able = || json!({"elicitation": {"form": {}}});
        for (who, path, headers) in [
            (&headless, "/mcp", &[][..]),
            (&headless, "/mcp?toolsets=all", &[("x-mcp-two-steps", "")]),
            (&alice, "/mcp?two_steps=true", &[]),
            (&alice, "/mcp/x/all?two_steps=1", &[]),
            (&alice, "/mcp", &[("x-mcp-two-steps", "true")]),
        ] {
            let ada = someone(&alice, "Ada").await;
            let first = call_at(who, path, headers, able(), "delete_guest", &ada, json!({})).await;
            let first = Answer(first).ok();
            assert_eq!(first["done"], json!(false), "{path}: {first}");
            // An answer to a question that was never shown is not consent.
            let reply = json!({"requestState": first["confirm"], "inputResponses": {"consent": {"action": "accept"}}});
            let second = call_at(who, path, headers, able(), "delete_guest", &ada, reply).await;
            assert_eq!(Answer(second).ok()["done"], json!(false));
            let next = &first["next_call"];
            let tool = next["tool"].as_str().unwrap();
            let done = call_at(who, path, headers, able(), tool, &next["arguments"], json!({})).await;
            assert_eq!(Answer(done).ok()["done"], json!(true), "{path}");
            gateway.advance(TimeDelta::minutes(2));
        }
        // Without the setting, or if the request turns it off, the user is asked.
        let ada = someone(&alice, "Ada").await;
        for (who, path, headers) in [
            (&alice, "/mcp", &[][..]),
            (&alice, "/mcp", &[("x-mcp-two-steps", "no")]),
            // The more specific setting wins.
            (&alice, "/mcp?two_steps=false", &[("x-mcp-two-steps", "true")]),
            (&headless, "/mcp?two_steps=0", &[]),
            (&headless, "/mcp", &[("x-mcp-two-steps", "false")]),
        ] {
            let asked = call_at(who, path, headers, able(), "delete_guest", &ada, json!({})).await;
            assert_eq!(asked.body["result"]["resultType"], json!("input_required"), "{}", asked.body);
        }
        // A value that is neither yes nor no.
        for (path, headers, named) in [
            ("/mcp", &[("x-mcp-two-steps", "maybe")][..], "X-MCP-Two-Steps has the value \"maybe\""),
            ("/mcp?two_steps=please", &[], "`two_steps` has the value \"please\""),
            ("/mcp?two_steps", &[], "`two_steps` has the value \"\""),
            ("/mcp?two_steps=1&two_steps=0", &[], "is both true and false"),
        ] {
            let refused = alice.mcp_at(path, headers, &rpc(1, "tools/list", json!({}))).await;
            assert_eq!((refused.status, refused.error()), (400, "invalid_request"), "{path}: {}", refused.body);
            let message = refused.body["message"].as_str().unwrap();
            assert!(message.contains(named) && message.contains("true"), "{message}");
        }
        let argument = call(&alice, able(), "delete_guest", &with(ada, "two_steps", true), json!({})).await;
        assert!(Answer(argument).refused().contains("unknown argument `two_steps`"));
        gateway.stop().await;
    })
    .await;
}

/// An unlisted operation is confirmed through the tool that called it.
#[actix_web::test]
async fn the_second_step_of_call_operation_is_call_operation() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let tagged = async |name: &str| {
            let ada = someone(&alice, name).await["id"].clone();
            let tag = json!({"name": "007", "entity_id": ada, "entity_type": "guest"});
            alice.call("create_tag", tag.clone()).await.ok();
            tag
        };
        let call = |arguments: &Value| json!({"name": "delete_tag_by_name", "arguments": arguments});
        let tag = tagged("Ada").await;
        let first = alice.call("call_operation", call(&tag)).await.ok();
        let next = &first["next_call"];
        assert_eq!(next["tool"], json!("call_operation"), "{first}");
        assert!(first["next"].as_str().unwrap().contains("call `call_operation`"), "{first}");
        assert_eq!(alice.call("call_operation", next["arguments"].clone()).await.ok()["done"], json!(true));

        // The confirmation is valid next to the name or within the arguments, but not with two values.
        let tag = tagged("Bea").await;
        let confirm = alice.call("call_operation", call(&tag)).await.ok()["confirm"].clone();
        let torn = with(call(&with(tag.clone(), "confirm", confirm.clone())), "confirm", "another");
        assert!(alice.call("call_operation", torn).await.refused().contains("give it once"));
        let within = call(&with(tag.clone(), "confirm", confirm.clone()));
        assert_eq!(alice.call("call_operation", with(within, "confirm", "")).await.ok()["done"], json!(true));

        let tag = tagged("Cleo").await;
        let asked = with(with(call(&tag), "again", true), "idempotency_key", "k-1");
        let first = alice.call("call_operation", asked).await.ok();
        let second = &first["next_call"]["arguments"];
        assert_eq!(
            (&second["arguments"]["again"], &second["arguments"]["idempotency_key"]),
            (&json!(true), &json!("k-1"))
        );
        assert_eq!(alice.call("call_operation", second.clone()).await.ok()["done"], json!(true));
        // A read accepts arguments that a client must send and the model left empty.
        alice.call("call_operation", json!({"name": "list_surcharges", "arguments": "", "confirm": ""})).await.ok();

        // A draft that was created this way is sent this way.
        let draft = json!({"name": "draft_message", "arguments": super::drafts::message(&alice, "Hello").await});
        let draft = alice.call("call_operation", draft).await.ok();
        assert!(
            draft["next"].as_str().unwrap().contains("`call_operation` with `name`: \"create_message\""),
            "{draft}"
        );
        let send = json!({"name": "create_message", "draft_id": draft["draft_id"]});
        alice.call("call_operation", send).await.ok();
        gateway.stop().await;
    })
    .await;
}

/// Returns the response over standard input and output to a deletion, for a client of the newest revision with
/// elicitation.
fn removal(environment: &[(&str, &str)]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let all = [&[("TRANSPORT_MODE", "stdio")], environment].concat();
    let mut program = Program::start_hearing(directory.path(), &[], &all, Stdio::piped());
    let params = json!({"name": "delete_guest", "arguments": {"id": 1}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "story", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    }});
    program.tell(&rpc(1, "tools/call", params));
    let answer = program.json();
    program.hang_up();
    program.end();
    answer
}

#[actix_web::test]
async fn a_setting_chooses_two_steps_for_the_one_client_of_stdio() {
    let simulator = Simulator::start(SimulatorOptions::new(ManualClock::new())).await.unwrap();
    let url = simulator.url();
    let own = [("OWNERREZ_API_URL", url.as_str()), ("OWNERREZ_ACCESS_TOKEN", "at_invented")];
    let set = ("MCP_TWO_STEPS", "true");
    assert_eq!(removal(&own)["result"]["resultType"], json!("input_required"));
    let told = removal(&[&own[..], &[set]].concat());
    assert!(told["result"]["structuredContent"]["next_call"].is_object(), "{told}");
    simulator.stop(true).await;

    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let (url, key) = (gateway.url.clone(), alice.key.clone());
        let talk = actix_web::rt::task::spawn_blocking(move || {
            let remote = [("OWNERREZ_GATEWAY_URL", url.as_str()), ("OWNERREZ_API_KEY", key.as_str())];
            (removal(&remote), removal(&[&remote[..], &[set]].concat()))
        });
        let (asked, told) = talk.await.unwrap();
        assert_eq!(asked["result"]["resultType"], json!("input_required"), "{asked}");
        assert!(told["result"]["structuredContent"]["next_call"].is_object(), "{told}");
        gateway.stop().await;
    })
    .await;
}
