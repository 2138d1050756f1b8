//! A client that starts the program and communicates over standard input and output.

use std::process::Stdio;

use ownerrez_gateway::simulator::{Simulator, SimulatorOptions};
use serde_json::{Value, json};

use crate::{
    processes::program::Program,
    world::{Gateway, ManualClock, on_each_database, rpc},
};

fn start(directory: &tempfile::TempDir, environment: &[(&str, &str)]) -> Program {
    let all = [&[("TRANSPORT_MODE", "stdio")], environment].concat();
    Program::start_hearing(directory.path(), &[], &all, Stdio::piped())
}

/// Performs the handshake of a 2025-06-18 client, and calls a tool.
fn ask(program: &mut Program, tool: &str, arguments: Value) -> Value {
    let client = json!({"name": "story", "version": "1"});
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    program.tell(&rpc(1, "initialize", hello));
    let answer = program.json();
    assert_eq!((&answer["id"], &answer["result"]["protocolVersion"]), (&json!(1), &json!("2025-06-18")), "{answer}");
    assert!(answer["result"]["serverInfo"]["icons"].is_null(), "the revision has none: {answer}");
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
            // The negotiated revision has no batches: the response is one error, not silence.
            program.tell(&json!([rpc(5, "ping", json!({}))]));
            let refused = program.json();
            assert!(refused["error"]["message"].is_string(), "{refused}");
            program.hang_up();
            (answer, unknown, program.end())
        });
        let (answer, unknown, ending) = talk.await.unwrap();
        assert_eq!(answer["structuredContent"]["id"], json!(alice.account.unwrap().0), "{answer}");
        assert_eq!(unknown["error"]["code"], json!(-32602));
        assert_eq!((ending.code, ending.output.as_str()), (Some(0), ""), "{}", ending.errors);
        assert!(!ending.errors.contains(&alice.key));

        // Before the handshake, a line may contain several messages.
        let (url, key, directory) = (gateway.url.clone(), alice.key.clone(), tempfile::tempdir().unwrap());
        let talk = actix_web::rt::task::spawn_blocking(move || {
            let mut program = start(&directory, &[("OWNERREZ_GATEWAY_URL", &url), ("OWNERREZ_API_KEY", &key)]);
            program.tell(&json!([rpc(1, "ping", json!({})), rpc(2, "tools/list", json!({}))]));
            program.json()
        });
        let answers = talk.await.unwrap();
        assert_eq!((&answers[0]["id"], &answers[1]["id"]), (&json!(1), &json!(2)), "{answers}");

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

/// Lines that are not messages, and the error code of each response.
const BROKEN: [(&[u8], i64); 6] = [
    (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"x\":\"\xff\"}}", -32700),
    (b"\xfe\xff", -32700),
    (b"{", -32700),
    (b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", -32700),
    (b"{\"hello\":1}", -32600),
    (b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", -32600),
];

/// Sends lines that are not messages, before and after the handshake; every line gets an error, and the following
/// message a normal response.
fn break_off_nothing(program: &mut Program) {
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x"}});
    for after in [false, true] {
        for (line, code) in BROKEN {
            program.tell_bytes(line);
            let answer = program.json();
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &Value::Null), "{answer}");
        }
        program.tell(&rpc(7, "tools/call", json!({"name": 5})));
        let answer = program.json();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-32602)), "{answer}");
        // A response to a request that was never sent, with the id of a request of the client.
        program.tell(&json!({"jsonrpc": "2.0", "id": 8, "result": {}}));
        program.tell(&json!({"jsonrpc": "2.0", "id": 8, "error": {"code": 1, "message": "x"}}));
        program.tell_bytes(b"  \r");
        program.tell(&rpc(8, "ping", json!({})));
        assert_eq!(program.json(), json!({"jsonrpc": "2.0", "id": 8, "result": {}}));
        if !after {
            program.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
            program.tell(&rpc(9, "initialize", hello.clone()));
            let answer = program.json();
            assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(9), &json!(-32602)), "{answer}");
            ask(program, "get_current_user", json!({}));
        }
    }
}

#[actix_web::test]
async fn a_line_that_is_no_message_is_answered_and_the_next_one_too() {
    let simulator = Simulator::start(SimulatorOptions::new(ManualClock::new())).await.unwrap();
    let url = simulator.url();
    let own = [("OWNERREZ_API_URL", url.as_str()), ("OWNERREZ_ACCESS_TOKEN", "at_invented")];
    let directory = tempfile::tempdir().unwrap();
    let mut program = start(&directory, &own);
    break_off_nothing(&mut program);
    program.hang_up();
    let ending = program.end();
    assert_eq!((ending.code, ending.output.as_str()), (Some(0), ""), "{}", ending.errors);
    simulator.stop(true).await;

    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let (url, key, directory) = (gateway.url.clone(), alice.key.clone(), tempfile::tempdir().unwrap());
        let talk = actix_web::rt::task::spawn_blocking(move || {
            let mut program = start(&directory, &[("OWNERREZ_GATEWAY_URL", &url), ("OWNERREZ_API_KEY", &key)]);
            break_off_nothing(&mut program);
            program.hang_up();
            program.end()
        });
        let ending = talk.await.unwrap();
        assert_eq!((ending.code, ending.output.as_str()), (Some(0), ""), "{}", ending.errors);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_method_that_is_not_served_is_named_with_those_that_are() {
    let simulator = Simulator::start(SimulatorOptions::new(ManualClock::new())).await.unwrap();
    let url = simulator.url();
    let directory = tempfile::tempdir().unwrap();
    let mut program = start(&directory, &[("OWNERREZ_API_URL", &url), ("OWNERREZ_ACCESS_TOKEN", "at_invented")]);
    ask(&mut program, "get_current_user", json!({}));
    for method in ["tasks/list", "no/such/method"] {
        program.tell(&rpc(5, method, json!({})));
        let answer = program.json();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(5), &json!(-32601)), "{answer}");
        let told = answer["error"]["message"].as_str().unwrap();
        assert!(told.contains(&format!("Unknown method `{method}`")) && told.contains("tools/call"), "{told}");
    }
    simulator.stop(true).await;
}

/// Commands without settings reject a settings file, which they would ignore.
#[actix_web::test]
async fn the_sandbox_takes_no_file_of_settings() {
    for command in ["sandbox", "simulate-ownerrez"] {
        for arguments in [[command, "--config", "gateway.toml"], ["--config", "gateway.toml", command]] {
            let directory = tempfile::tempdir().unwrap();
            let ending = Program::start(directory.path(), &arguments, &[]).end();
            assert_eq!(ending.code, Some(2), "{arguments:?}: {}", ending.errors);
            assert!(ending.errors.contains("does not accept --config"), "{}", ending.errors);
        }
    }
}

/// Returns the program's list of tools and its response to a call.
fn listed(program: &mut Program, tool: &str) -> (Vec<String>, Value) {
    let client = json!({"name": "story", "version": "1"});
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    program.tell(&rpc(1, "initialize", hello));
    program.json();
    program.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    program.tell(&rpc(2, "tools/list", json!({})));
    let list = program.json();
    let tools = list["result"]["tools"].as_array().unwrap_or_else(|| panic!("{list}"));
    let names = tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    program.tell(&rpc(3, "tools/call", json!({"name": tool, "arguments": {}})));
    (names, program.json())
}

#[actix_web::test]
async fn the_settings_choose_the_tools_of_the_one_client() {
    let choice = [
        ("MCP_TOOLSETS", "messaging, webhooks"),
        ("MCP_TOOLS", "list_tags"),
        ("MCP_EXCLUDE_TOOLS", "get_message"),
        ("MCP_READ_ONLY", "true"),
    ];
    let expected = [
        "get_webhook_categories",
        "get_webhook_subscription",
        "list_messages",
        "list_tags",
        "list_webhook_subscriptions",
    ];
    let told = |answer: &Value| answer["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();

    let simulator = Simulator::start(SimulatorOptions::new(ManualClock::new())).await.unwrap();
    let url = simulator.url();
    let own = [("OWNERREZ_API_URL", url.as_str()), ("OWNERREZ_ACCESS_TOKEN", "at_invented")];
    let directory = tempfile::tempdir().unwrap();
    let (names, answer) = listed(&mut start(&directory, &[&own[..], &choice].concat()), "list_guests");
    assert_eq!(names, expected);
    assert!(told(&answer).contains("tool selection"), "{answer}");

    let directory = tempfile::tempdir().unwrap();
    let refused = start(&directory, &[&own[..], &[("MCP_TOOLSETS", "message")]].concat()).end();
    assert_eq!(refused.code, Some(1), "{}", refused.errors);
    assert!(
        refused.errors.contains("messaging, money") && refused.errors.contains("MCP_TOOLSETS"),
        "{}",
        refused.errors
    );
    simulator.stop(true).await;

    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.user("Alice").await;
        let (url, key, directory) = (gateway.url.clone(), alice.key.clone(), tempfile::tempdir().unwrap());
        let talk = actix_web::rt::task::spawn_blocking(move || {
            let remote = [("OWNERREZ_GATEWAY_URL", url.as_str()), ("OWNERREZ_API_KEY", key.as_str())];
            listed(&mut start(&directory, &[&remote[..], &choice].concat()), "create_message")
        });
        let (names, answer) = talk.await.unwrap();
        assert_eq!(names, expected);
        assert!(told(&answer).contains("tool selection") || told(&answer).contains("read-only"), "{answer}");
        gateway.stop().await;
    })
    .await;
}
