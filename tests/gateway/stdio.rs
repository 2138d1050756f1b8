//! A client that starts the program and speaks to it over standard input and output.

use std::process::Stdio;

use ownerrez_gateway::sandbox::{Simulator, SimulatorOptions};
use serde_json::{Value, json};

use crate::{
    processes::program::Program,
    world::{Gateway, ManualClock, on_each_database, rpc},
};

fn start(directory: &tempfile::TempDir, environment: &[(&str, &str)]) -> Program {
    let all = [&[("TRANSPORT_MODE", "stdio")], environment].concat();
    Program::start_hearing(directory.path(), &[], &all, Stdio::piped())
}

/// Says hello as a client of 2025-06-18, and calls a tool.
fn ask(program: &mut Program, tool: &str, arguments: Value) -> Value {
    let client = json!({"name": "story", "version": "1"});
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    program.tell(&rpc(1, "initialize", hello));
    let answer = program.json();
    assert_eq!((&answer["id"], &answer["result"]["protocolVersion"]), (&json!(1), &json!("2025-06-18")), "{answer}");
    program.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    program.tell(&rpc(2, "tools/list", json!({})));
    let list = program.json();
    assert!(list["result"]["tools"].as_array().unwrap().len() > 10, "{list}");
    program.tell(&rpc(3, "tools/call", json!({"name": tool, "arguments": arguments})));
    let answer = program.json();
    assert_eq!(answer["id"], json!(3));
    answer["result"].clone()
}

#[actix_web::test]
async fn one_account_is_served_without_a_database() {
    let simulator = Simulator::start(SimulatorOptions::new(ManualClock::new())).await.unwrap();
    let account = simulator.controls().add_account("Alice");
    let token = simulator.controls().grant(account.id)["access_token"].as_str().unwrap().to_owned();
    let url = simulator.url();
    let bearer = [("OWNERREZ_ACCESS_TOKEN", token.as_str())];
    let personal =
        [("OWNERREZ_USERNAME", account.email.as_str()), ("OWNERREZ_TOKEN", account.personal_access_token.as_str())];
    for credentials in [&bearer[..], &personal[..]] {
        let directory = tempfile::tempdir().unwrap();
        let environment = [&[("OWNERREZ_API_URL", url.as_str())], credentials].concat();
        let mut program = start(&directory, &environment);
        let answer = ask(&mut program, "get_current_user", json!({}));
        assert_eq!(answer["structuredContent"]["id"], json!(account.id.0), "{answer}");
        program.tell(&rpc(4, "tools/call", json!({"name": "get_booking", "arguments": {"id": "x"}})));
        assert_eq!(program.json()["result"]["isError"], json!(true));
        program.hang_up();
        let ending = program.end();
        assert_eq!((ending.code, ending.output.as_str()), (Some(0), ""), "{}", ending.errors);
        let left = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 0, "nothing stays behind");
        for (_, secret) in &credentials[credentials.len() - 1..] {
            assert!(!ending.errors.contains(secret));
        }
    }
    simulator.stop(true).await;
}

#[actix_web::test]
async fn a_token_that_does_not_work_is_told_to_the_model() {
    let simulator = Simulator::start(SimulatorOptions::new(ManualClock::new())).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let url = simulator.url();
    let mut program = start(&directory, &[("OWNERREZ_API_URL", &url), ("OWNERREZ_ACCESS_TOKEN", "at_invented")]);
    let answer = ask(&mut program, "get_current_user", json!({}));
    let text = answer["content"][0]["text"].as_str().unwrap();
    assert!(answer["isError"] == json!(true) && text.contains("OWNERREZ_ACCESS_TOKEN"), "{text}");
    simulator.stop(true).await;
}

#[actix_web::test]
async fn a_bridge_hands_everything_on_to_a_gateway() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let directory = tempfile::tempdir().unwrap();
        let (url, key) = (gateway.url.clone(), alice.key.clone());
        let talk = actix_web::rt::task::spawn_blocking(move || {
            let mut program = start(&directory, &[("OWNERREZ_GATEWAY_URL", &url), ("OWNERREZ_API_KEY", &key)]);
            let answer = ask(&mut program, "get_current_user", json!({}));
            program.tell(&rpc(4, "tools/call", json!({"name": "no_such_tool", "arguments": {}})));
            let unknown = program.json();
            program.hang_up();
            (answer, unknown, program.end())
        });
        let (answer, unknown, ending) = talk.await.unwrap();
        assert_eq!(answer["structuredContent"]["id"], json!(alice.account.unwrap().0), "{answer}");
        assert_eq!(unknown["error"]["code"], json!(-32602));
        assert_eq!((ending.code, ending.output.as_str()), (Some(0), ""), "{}", ending.errors);
        assert!(!ending.errors.contains(&alice.key));

        let (url, directory) = (gateway.url.clone(), tempfile::tempdir().unwrap());
        let stranger = actix_web::rt::task::spawn_blocking(move || {
            let invented = ownerrez_gateway::crypto::ApiKey::generate().unwrap();
            let key = secrecy::ExposeSecret::expose_secret(invented.expose()).to_owned();
            let mut program = start(&directory, &[("OWNERREZ_GATEWAY_URL", &url), ("OWNERREZ_API_KEY", &key)]);
            program.tell(&rpc(1, "tools/list", json!({})));
            program.json()
        });
        let refused = stranger.await.unwrap();
        assert!(refused["error"]["message"].as_str().unwrap().contains("API key is not valid"), "{refused}");
        gateway.stop().await;
    })
    .await;
}
