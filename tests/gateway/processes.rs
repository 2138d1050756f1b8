//! The real program: started, killed, stopped, misconfigured. Real time, so everything here is bounded.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::world::{Browser, Person, TestDatabase, on_each_database, on_postgres};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ownerrez-gateway");
const BOUND: Duration = Duration::from_secs(20);

/// A running program; killed when the story ends.
struct Process {
    child: Child,
    address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(command: &mut Command) -> Output {
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > BOUND {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Process {
    /// One of the commands that print a line of JSON once they are up.
    fn with_line(arguments: &[&str], environment: &[(&str, &str)]) -> (Self, Value) {
        let mut child = program(arguments).envs(environment.iter().copied()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = said["server_url"].as_str().or(said["ownerrez_url"].as_str()).unwrap().to_owned();
        (Self { child, address }, said)
    }

    /// A gateway on a port of its own, up when `/health` answers.
    async fn serve(database: &str, ownerrez: &str, environment: &[(&str, &str)]) -> Self {
        // Taken by the kernel, given back, and taken again by the gateway: good enough for a story.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = program(&["serve"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("DATABASE_URL", database)
            .env("PORT", port.to_string())
            .env("OWNERREZ_API_URL", ownerrez)
            .env("OWNERREZ_APP_URL", ownerrez)
            .env("OWNERREZ_CLIENT_ID", "c_sandbox")
            .env("OWNERREZ_CLIENT_SECRET", "s_sandbox")
            .env("ENCRYPTION_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
            .envs(environment.iter().copied())
            .spawn()
            .unwrap();
        let mut process = Self { child, address: format!("http://127.0.0.1:{port}") };
        process.until("it answers", async |address| answers(address, "/health").await).await;
        process
    }

    async fn until(&mut self, what: &str, look: impl AsyncFn(&str) -> bool) {
        let started = Instant::now();
        while !look(&self.address).await {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended while waiting: {what}");
            assert!(started.elapsed() < BOUND, "waited in vain: {what}");
            actix_web::rt::task::yield_now().await;
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal and waits for the end: its exit code, and how long it took.
    fn stop(mut self, signal: &str) -> (Option<i32>, Duration) {
        let started = Instant::now();
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), started.elapsed());
            }
            assert!(started.elapsed() < BOUND, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

async fn answers(address: &str, path: &str) -> bool {
    let sent = awc::Client::default().get(format!("{address}{path}")).send().await;
    sent.is_ok_and(|response| response.status().is_success())
}

/// Registers and connects over HTTP alone, pressing the simulated consent page's button.
async fn connected(gateway: &str) -> Person {
    let visitor = Person::visitor(gateway);
    let registered = visitor.post("/api/users/register", &json!({"name": "process"})).await;
    let person =
        visitor.with_key(registered.body["api_key"].as_str().unwrap(), registered.body["user_id"].as_str().unwrap());
    let started = person.get("/api/connect/ownerrez/start").await;
    let mut browser = Browser::new();
    let consent = browser.give_key(started.body["authorization_url"].as_str().unwrap(), &person.key).await.location();
    let page = browser.open(&consent).await;
    let mut fields: Vec<(String, String)> = ["client_id", "redirect_uri", "state", "response_type", "scope"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), page.hidden(name)?)))
        .collect();
    fields.push(("account".to_owned(), "70101".to_owned()));
    fields.push(("decision".to_owned(), "approve".to_owned()));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let action = consent.split('?').next().unwrap();
    let back = browser.submit_with(action, &fields, &[]).await.location();
    assert_eq!(browser.open(&back).await.status, 200);
    person
}

/// How many of `count` calls got an answer; the others must have been told how long to wait.
async fn answered(person: &Person, count: usize) -> usize {
    let mut good = 0;
    for _ in 0..count {
        let answer = person.call("get_current_user", json!({})).await;
        if answer.is_ok() {
            good += 1;
        } else {
            let said = answer.refused();
            assert!(said.contains("Try again in"), "{said}");
        }
    }
    good
}

async fn throttled(simulator: &Process) -> usize {
    let log = Person::visitor(&simulator.address).get("/_control/requests").await;
    let list = log.body.as_array().cloned().or_else(|| log.body["requests"].as_array().cloned()).unwrap();
    list.iter().filter(|request| request["status"] == json!(429)).count()
}

#[actix_web::test]
async fn a_killed_gateway_leaves_no_429_to_its_successor() {
    on_each_database(async |database: &TestDatabase| {
        let (simulator, _) = Process::with_line(&["simulate-ownerrez", "--port", "0", "--json"], &[]);
        let gateway = Process::serve(&database.url(), &simulator.address, &[]).await;
        let alice = connected(&gateway.address).await;
        assert_eq!(answered(&alice, 250).await, 250);
        let (code, _) = gateway.stop("-KILL");
        assert_eq!(code, None, "it had no chance to clean up");

        let gateway = Process::serve(&database.url(), &simulator.address, &[]).await;
        let good = answered(&alice.at(&gateway.address), 200).await;
        // 251 were spent; at most two blocks of fifteen were lost with the process.
        assert!((19..=49).contains(&good), "{good}");
        assert_eq!(throttled(&simulator).await, 0);
    })
    .await;
}

#[actix_web::test]
async fn one_process_per_sqlite_file() {
    let directory = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", directory.path().join("gateway.db").display());
    let first = Process::serve(&database, "http://127.0.0.1:1", &[]).await;
    let second = run(program(&["serve"]).env("DATABASE_URL", &database).env("PORT", "0"));
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another process"), "{}", text(&second.stderr));
    assert_eq!(first.stop("-TERM").0, Some(0));
}

#[actix_web::test]
async fn on_postgres_a_second_process_stands_by_and_takes_over() {
    on_postgres(async |database| {
        let (simulator, _) = Process::with_line(&["simulate-ownerrez", "--port", "0", "--json"], &[]);
        let first = Process::serve(&database.url(), &simulator.address, &[]).await;
        let alice = connected(&first.address).await;
        let mut second = Process::serve(&database.url(), &simulator.address, &[]).await;
        let there = alice.at(&second.address);
        let test = there.get("/api/connect/ownerrez/test").await;
        assert_eq!((test.status, test.error()), (503, "standby"));
        assert!(test.header("retry-after").is_some());
        alice.call("get_current_user", json!({})).await.ok();

        first.stop("-KILL");
        second.until("it takes over", async |_| there.get("/api/connect/ownerrez/test").await.status == 200).await;
        there.call("get_current_user", json!({})).await.ok();
    })
    .await;
}

#[actix_web::test]
async fn on_postgres_shares_are_spent_side_by_side() {
    on_postgres(async |database| {
        let (simulator, _) = Process::with_line(&["simulate-ownerrez", "--port", "0", "--json"], &[]);
        let share = [("UPSTREAM_SHARED", "true"), ("UPSTREAM_LIMIT", "150")];
        let first = Process::serve(&database.url(), &simulator.address, &share).await;
        let second = Process::serve(&database.url(), &simulator.address, &share).await;
        let alice = connected(&first.address).await;
        assert_eq!(answered(&alice, 200).await, 149);
        assert_eq!(answered(&alice.at(&second.address), 200).await, 150);
        assert_eq!(throttled(&simulator).await, 0);
    })
    .await;
}

#[actix_web::test]
async fn a_signal_ends_the_sandbox_once_its_calls_are_answered() {
    for signal in ["-TERM", "-INT"] {
        let directory = tempfile::tempdir().unwrap();
        let inherited = [
            ("TMPDIR", directory.path().to_str().unwrap()),
            ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
            ("OWNERREZ_API_URL", "https://elsewhere.example"),
            ("PORT", "1"),
            ("TRANSPORT_MODE", "stdio"),
        ];
        let (process, said) = Process::with_line(&["sandbox", "--port", "0", "--json"], &inherited);
        let mut names: Vec<_> = said.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["api_key", "mcp_url", "ownerrez_url", "server_url", "user_id"]);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "its temporary directory");

        let member = |name: &str| said[name].as_str().unwrap();
        let alice = Person::visitor(member("server_url")).with_key(member("api_key"), member("user_id"));
        alice.call("get_current_user", json!({})).await.ok();
        let slow = json!({"pattern": "GET /v2/properties", "delay_seconds": 1.0});
        assert!(Person::visitor(member("ownerrez_url")).post("/_control/rules", &slow).await.status < 300);
        let caller = alice.clone();
        let call = actix_web::rt::spawn(async move { caller.call("list_properties", json!({})).await });
        let arrived = async || {
            let log =
                Person::visitor(member("ownerrez_url")).get("/_control/requests?pattern=GET%20/v2/properties").await;
            log.body.to_string().contains("/v2/properties")
        };
        while !arrived().await {}
        // `alice` keeps an idle connection open meanwhile; it must not hold up the end.
        let (code, took) = actix_web::rt::task::spawn_blocking(move || process.stop(signal)).await.unwrap();
        call.await.unwrap().ok();
        assert_eq!(code, Some(0), "{signal}");
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "the directory went with it");
    }
}

#[actix_web::test]
async fn the_sandbox_keeps_a_database_that_it_was_told_to_keep() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("kept");
    let arguments = ["sandbox", "--port", "0", "--json", "--data", data.to_str().unwrap()];
    for _ in 0..2 {
        let (process, said) = Process::with_line(&arguments, &[]);
        let alice = Person::visitor(&process.address).with_key(said["api_key"].as_str().unwrap(), "");
        alice.call("list_properties", json!({})).await.ok();
        assert_eq!(process.stop("-TERM").0, Some(0));
        assert!(data.join("gateway.db").exists() && data.join("gateway.db.key").exists());
    }
}

#[actix_web::test]
#[cfg(unix)]
async fn a_key_is_made_once_and_kept_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let database = format!("sqlite://{}", data.join("gateway.db").display());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut kept = None;
    for _ in 0..2 {
        let process = Process::serve(&database, "http://127.0.0.1:1", &[("ENCRYPTION_KEY", "")]).await;
        let file = data.join("gateway.db.key");
        assert_eq!((mode(&data), mode(&file)), (0o700, 0o600));
        let key = std::fs::read_to_string(&file).unwrap();
        assert_eq!(kept.get_or_insert_with(|| key.clone()), &key);
        assert_eq!(process.stop("-TERM").0, Some(0));
    }
}

#[test]
fn mistakes_in_the_configuration_are_told_together() {
    let output = run(program(&["serve"])
        .env("TRANSPORT_MODE", "stdio")
        .env("PORT", "99999")
        .env("BIND", "0.0.0.0")
        .env("ENCRYPTION_KEY", "c2hvcnQ=")
        .env("SERVER_URL", "http://gateway.example")
        .env("OWNERREZ_CLIENT_ID", "c_only"));
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for name in ["TRANSPORT_MODE", "PORT", "ENCRYPTION_KEY", "SERVER_URL", "OWNERREZ_CLIENT_SECRET"] {
        assert!(said.contains(name), "{name} in: {said}");
    }
    assert!(!said.contains("c2hvcnQ="), "no secret is repeated");
}

#[test]
fn the_command_line_is_as_people_expect() {
    let help = run(&mut program(&["--help"]));
    assert_eq!(help.status.code(), Some(0));
    for command in ["serve", "sandbox", "simulate-ownerrez", "migrate"] {
        assert!(text(&help.stdout).contains(command));
    }
    let version = run(&mut program(&["--version"]));
    assert_eq!(text(&version.stdout).trim(), format!("ownerrez-gateway {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(run(&mut program(&["no-such-command"])).status.code(), Some(2));

    let directory = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", directory.path().join("gateway.db").display());
    let migrate = |step: &[&str]| {
        let output = run(program(&[&["migrate"], step].concat()).env("DATABASE_URL", &database));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(migrate(&["status"]).contains("missing"));
    assert!(!migrate(&["up"]).contains("missing"));
    assert!(migrate(&["down"]).contains("missing"));
}

#[actix_web::test]
async fn a_database_that_comes_later_is_waited_for() {
    on_postgres(async |database| {
        database.take_away().await;
        let mut gateway = Process::serve(&database.url(), "http://127.0.0.1:1", &[]).await;
        let visitor = Person::visitor(&gateway.address);
        let early = visitor.post("/api/users/register", &json!({})).await;
        assert_eq!((early.status, early.error()), (503, "database_unavailable"));
        database.give_back().await;
        gateway.until("it serves", async |_| visitor.post("/api/users/register", &json!({})).await.status == 201).await;
    })
    .await;
}
