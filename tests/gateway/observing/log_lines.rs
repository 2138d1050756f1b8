//! A real process with its log on stderr: one line per request.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use ownerrez_gateway::{
    app::SystemClock,
    simulator::{Simulator, SimulatorOptions},
};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};

use crate::world::{Browser, Person, eventually};

/// `ownerrez-gateway serve` and its output so far.
struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    database: String,
    _directory: tempfile::TempDir,
}

impl Process {
    fn start(settings: &[(&str, &str)], ownerrez: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}", directory.path().join("data").join("gateway.db").display());
        let mut child = Command::new(env!("CARGO_BIN_EXE_ownerrez-gateway"))
            .env_clear()
            .envs([("PORT", "0"), ("DATABASE_URL", &database), ("RUST_LOG", "info")])
            .envs([("OWNERREZ_API_URL", ownerrez), ("OWNERREZ_APP_URL", ownerrez)])
            .envs([("OWNERREZ_CLIENT_ID", "c_sandbox"), ("OWNERREZ_CLIENT_SECRET", "s_sandbox")])
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stderr, written) = (child.stderr.take().unwrap(), lines.clone());
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                written.lock().unwrap().push(line.unwrap());
            }
        });
        Self { child, lines, reader: Some(reader), database, _directory: directory }
    }

    async fn line(&self, what: &str) -> String {
        eventually(what, async || self.lines.lock().unwrap().iter().find(|line| line.contains(what)).cloned()).await
    }

    async fn url(&self) -> String {
        let line = self.line("public address ").await;
        let (_, url) = line.split_once("public address ").unwrap();
        let end = url.find(['"', ' ', ',']).unwrap_or(url.len());
        url[..end].trim_end_matches('/').to_owned()
    }

    /// Kills the process; returns all of its output.
    fn end(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn simulator() -> Simulator {
    Simulator::start(SimulatorOptions::new(Arc::new(SystemClock::new()))).await.unwrap()
}

fn with_id(id: &str) -> [(&str, &str); 4] {
    [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2025-06-18"),
        ("x-request-id", id),
    ]
}

fn call(tool: &str, arguments: &Value) -> Option<String> {
    let params = json!({"name": tool, "arguments": arguments});
    Some(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string())
}

#[actix_web::test]
async fn one_line_of_json_per_request_tells_it_all_and_no_secret() {
    let ownerrez = simulator().await;
    let process = Process::start(&[("LOG_FORMAT", "json")], &ownerrez.url());
    let url = process.url().await;

    let visitor = Person::visitor(&url);
    let headers = [("content-type", "application/json"), ("x-request-id", "register-1")];
    let registered = visitor.send("POST", "/api/users/register", &headers, Some("{}".to_owned())).await;
    let key = registered.body["api_key"].as_str().unwrap().to_owned();
    let user = registered.body["user_id"].as_str().unwrap().to_owned();
    let alice = visitor.with_key(&key, &user);
    let account = ownerrez.controls().add_account("Alice").id;
    let started = alice.get("/api/connect/ownerrez/start").await;
    let state = started.body["state"].as_str().unwrap().to_owned();
    let mut browser = Browser::new();
    let to_ownerrez = browser.give_key(started.body["authorization_url"].as_str().unwrap(), &key).await;
    let back = ownerrez.controls().approve(&to_ownerrez.location(), account).unwrap();
    let code = url::Url::parse(&back).unwrap().query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    assert_eq!(browser.open(&back).await.status, 200);

    alice.send("POST", "/mcp", &with_id("call-1"), call("list_guests", &json!({"q": "Mrs Miller"}))).await;
    alice.send("POST", "/mcp", &with_id("call-2"), call("get_booking", &json!({"id": 999_999_999}))).await;
    alice.send("POST", "/mcp", &with_id("call-3"), call("get_booking", &json!({"id": "x"}))).await;
    visitor.send("GET", "/nowhere?guest=Miller", &[("x-request-id", "lost-1")], None).await;
    visitor.send("GET", "/health", &[("x-request-id", "health-1")], None).await;
    process.line("lost-1").await;
    let lines = process.end();
    ownerrez.stop(true).await;

    let all: Vec<Value> = lines.iter().map(|line| line.parse().unwrap_or_else(|_| panic!("no JSON: {line}"))).collect();
    for line in &all {
        for member in ["time", "level", "target", "message"] {
            assert!(line[member].is_string(), "{line}");
        }
    }
    let of = |id: &str| {
        let found: Vec<&Value> = all.iter().filter(|line| line["id"] == json!(id)).collect();
        assert_eq!(found.len(), 1, "{id}: {found:?}");
        found[0]
    };
    let good = of("call-1");
    let prefix = &key[.."ownerrez_sk_".len() + 12];
    for (member, value) in [
        ("level", json!("INFO")),
        ("target", json!("ownerrez_gateway::request")),
        ("message", json!("request answered")),
        ("method", json!("POST")),
        ("route", json!("/mcp")),
        ("status", json!(200)),
        ("key", json!(prefix)),
        ("user", json!(user)),
        ("tool", json!("list_guests")),
        ("upstream", json!(200)),
        ("error", Value::Null),
    ] {
        assert_eq!(good[member], value, "{member} of {good}");
    }
    assert!(good["ms"].is_u64(), "{good}");
    let missing = of("call-2");
    assert_eq!((&missing["upstream"], &missing["error"]), (&json!(404), &json!("ownerrez_refused")));
    let wrong = of("call-3");
    assert_eq!((&wrong["upstream"], &wrong["error"]), (&Value::Null, &json!("invalid_arguments")));
    let lost = of("lost-1");
    assert_eq!((&lost["route"], &lost["status"], &lost["error"]), (&json!("none"), &json!(404), &json!("not_found")));
    assert_eq!(of("register-1")["status"], json!(201));
    assert!(all.iter().all(|line| line["id"] != json!("health-1")), "probes are of no interest");

    for line in &lines {
        for secret in [key.as_str(), &key[prefix.len()..], &state, &code, "s_sandbox", "Miller", "at_", "rt_"] {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
}

#[actix_web::test]
async fn a_fault_is_told_once_and_only_in_the_log() {
    let ownerrez = simulator().await;
    let process = Process::start(&[("LOG_FORMAT", "json")], &ownerrez.url());
    let url = process.url().await;
    let database = Database::connect(&process.database).await.unwrap();
    database.execute_unprepared("DROP TABLE api_keys").await.unwrap();
    let headers = [("content-type", "application/json"), ("x-request-id", "fault-1")];
    let reply = Person::visitor(&url).send("POST", "/api/users/register", &headers, Some("{}".to_owned())).await;
    assert_eq!((reply.status, reply.error()), (500, "internal_error"));
    assert!(!reply.body.to_string().contains("api_keys"), "{}", reply.body);
    process.line("fault-1").await;
    let lines = process.end();
    ownerrez.stop(true).await;
    let told: Vec<&String> = lines.iter().filter(|line| line.contains("api_keys")).collect();
    assert_eq!(told.len(), 1, "{lines:#?}");
    let line: Value = told[0].parse().unwrap();
    assert_eq!((&line["level"], &line["id"]), (&json!("ERROR"), &json!("fault-1")));
    assert_eq!((&line["error"], &line["status"]), (&json!("internal_error"), &json!(500)));
    let message = line["message"].as_str().unwrap();
    assert!(message.starts_with("request failed: the database rejected a statement: "), "{message}");
}

#[actix_web::test]
async fn the_same_line_as_text() {
    let ownerrez = simulator().await;
    let process = Process::start(&[], &ownerrez.url());
    let url = process.url().await;
    Person::visitor(&url).send("GET", "/nowhere", &[("x-request-id", r#"say"x"#)], None).await;
    let line = process.line("request answered").await;
    process.end();
    ownerrez.stop(true).await;
    assert!(line.contains("INFO") && line.contains("ownerrez_gateway::request"), "{line}");
    let fields = line.split_once("request answered ").unwrap().1;
    let (before, after) = fields.split_once(" ms=").unwrap();
    assert_eq!(before, r#"id="say\"x" method=GET route=none status=404"#);
    assert!(after.ends_with(" error=not_found"), "{line}");
}
