//! Real processes and real time: what an operator sees when they start, stop and crash.

pub(crate) mod program;

use std::{
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::join;
use serde_json::{Value, json};

use self::program::Program;
use crate::world::{Browser, Person, eventually, on_each_database, on_postgres};

/// The simulated OwnerRez as a separate process.
struct OwnerRez {
    program: Program,
    url: String,
    client: (String, String),
}

impl OwnerRez {
    fn start(directory: &Path) -> Self {
        let program = Program::start(directory, &["simulate-ownerrez", "--port", "0", "--json"], &[]);
        let said = program.json();
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        Self { url: text("ownerrez_url"), client: (text("client_id"), text("client_secret")), program }
    }

    /// Starts a gateway that uses it.
    fn gateway(&self, directory: &Path, settings: &[(&str, &str)]) -> Program {
        let mut all = vec![
            ("PORT", "0"),
            ("RUST_LOG", "info"),
            ("OWNERREZ_API_URL", &self.url),
            ("OWNERREZ_APP_URL", &self.url),
            ("OWNERREZ_CLIENT_ID", &self.client.0),
            ("OWNERREZ_CLIENT_SECRET", &self.client.1),
        ];
        all.extend_from_slice(settings);
        Program::start(directory, &["serve"], &all)
    }

    async fn log(&self) -> Vec<Value> {
        let reply = Person::visitor(&self.url).get("/_control/requests").await;
        reply.body.as_array().unwrap().clone()
    }

    async fn refused(&self) -> usize {
        self.log().await.iter().filter(|request| request["status"] == json!(429)).count()
    }

    async fn delay_next(&self, seconds: f64) {
        let rule = json!({"pattern": "* /v2/*", "delay_seconds": seconds});
        assert_eq!(Person::visitor(&self.url).post("/_control/rules", &rule).await.status, 200);
    }
}

/// Registers a user and goes through the consent page with the first account.
async fn connected_user(url: &str) -> Person {
    let visitor = Person::visitor(url);
    let reply = visitor.post("/api/users/register", &json!({"name": "Alice"})).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    let text = |name: &str| reply.body[name].as_str().unwrap().to_owned();
    let alice = visitor.with_key(&text("api_key"), &text("user_id"));
    let started = alice.get("/api/connect/ownerrez/start").await;
    let mut browser = Browser::new();
    let consent = browser.give_key(started.body["authorization_url"].as_str().unwrap(), &alice.key).await.location();
    let page = browser.open(&consent).await;
    let hidden = |name: &str| page.hidden(name).unwrap_or_default().replace("&amp;", "&");
    let account = page.body.split(r#"name="account" value=""#).nth(1).unwrap().split('"').next().unwrap();
    let fields = ["client_id", "redirect_uri", "response_type", "state"].map(|name| (name, hidden(name)));
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.extend([("account", account), ("decision", "approve")]);
    let approved = browser.submit(consent.split('?').next().unwrap(), &fields).await;
    assert_eq!(browser.open(&approved.location()).await.status, 200);
    alice
}

async fn ask(person: &Person) -> Result<(), String> {
    let answer = person.call("list_inquiries", json!({"limit": 1})).await;
    if answer.is_ok() { Ok(()) } else { Err(answer.0.body.to_string()) }
}

#[actix_web::test]
async fn kill_9_after_250_calls_and_200_more() {
    let home = tempfile::tempdir().unwrap();
    let ownerrez = OwnerRez::start(home.path());
    let gateway = ownerrez.gateway(home.path(), &[]);
    let alice = connected_user(&gateway.url()).await;
    for _ in 0..250 {
        ask(&alice).await.unwrap();
    }
    gateway.kill();

    let gateway = ownerrez.gateway(home.path(), &[]);
    let alice = alice.at(&gateway.url());
    let mut refused = Vec::new();
    for _ in 0..200 {
        if let Err(told) = ask(&alice).await {
            refused.push(told);
        }
    }
    assert_eq!(ownerrez.refused().await, 0);
    assert!((150..=200).contains(&refused.len()), "{}", refused.len());
    assert!(refused.iter().all(|told| told.contains("Try again in ")), "{refused:?}");
    assert_eq!(gateway.stop().code, Some(0));
    assert_eq!(ownerrez.program.stop().code, Some(0));
}

#[actix_web::test]
async fn an_embedded_database_serves_one_process() {
    let home = tempfile::tempdir().unwrap();
    let mode = |path: &str| std::fs::metadata(home.path().join(path)).unwrap().permissions().mode() & 0o777;
    let ownerrez = OwnerRez::start(home.path());
    let first = ownerrez.gateway(home.path(), &[]);
    let alice = connected_user(&first.url()).await;
    assert_eq!((mode("data"), mode("data/gateway.db.key")), (0o700, 0o600));
    let key = std::fs::read(home.path().join("data/gateway.db.key")).unwrap();

    let second = ownerrez.gateway(home.path(), &[]).end();
    assert_eq!(second.code, Some(1));
    assert!(second.errors.contains("another process already uses the SQLite database"), "{}", second.errors);

    assert_eq!(first.stop().code, Some(0));
    let again = ownerrez.gateway(home.path(), &[]);
    ask(&alice.at(&again.url())).await.unwrap();
    assert_eq!(std::fs::read(home.path().join("data/gateway.db.key")).unwrap(), key);
}

#[actix_web::test]
async fn a_stop_answers_what_is_under_way_and_waits_for_no_idle_client() {
    for signal in ["TERM", "INT", "HUP"] {
        let home = tempfile::tempdir().unwrap();
        let ownerrez = OwnerRez::start(home.path());
        let gateway = ownerrez.gateway(home.path(), &[]);
        let url = gateway.url();
        let alice = connected_user(&url).await;
        // An idle connection without a request, in addition to Alice's own, which is kept alive after a response.
        let idle = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        ownerrez.delay_next(1.0).await;
        let seen = ownerrez.log().await.len();
        let stop = async {
            eventually("the call to be under way", async || (ownerrez.log().await.len() > seen).then_some(())).await;
            gateway.signal(signal);
            Instant::now()
        };
        let (answer, stopped) = join(ask(&alice), stop).await;
        answer.unwrap();
        let ending = gateway.end();
        assert_eq!(ending.code, Some(0), "{}", ending.errors);
        assert!(stopped.elapsed() < Duration::from_secs(4), "{signal}: {:?}", stopped.elapsed());
        drop(idle);
    }
}

#[actix_web::test]
async fn a_stop_with_idle_clients_is_quick_and_without_complaint() {
    on_each_database(async |database| {
        let home = tempfile::tempdir().unwrap();
        let ownerrez = OwnerRez::start(home.path());
        let gateway = ownerrez.gateway(home.path(), &[("DATABASE_URL", &database.url()), KEY]);
        let url = gateway.url();
        let alice = connected_user(&url).await;
        ask(&alice).await.unwrap();
        // Alice's connection is kept alive.
        let silent = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        let ending = gateway.stop();
        assert_eq!(ending.code, Some(0));
        assert!(ending.took < Duration::from_secs(3), "{:?}", ending.took);
        for level in ["WARN", "ERROR"] {
            assert!(!ending.written.contains(level), "{}", ending.written);
        }
        let used = database.number("SELECT CAST(sum(requests) AS bigint) FROM allowance_use").await;
        assert_eq!(used, 2, "connecting and the call are written down");
        drop(silent);
    })
    .await;
}

#[test]
fn the_command_line_answers_as_people_expect() {
    let home = tempfile::tempdir().unwrap();
    let run =
        |arguments: &[&str], environment: &[(&str, &str)]| Program::start(home.path(), arguments, environment).end();
    let help = run(&["--help"], &[]);
    assert_eq!(help.code, Some(0));
    for command in ["serve", "sandbox", "simulate-ownerrez", "migrate", "check", "users", "reseal"] {
        assert!(help.output.contains(command), "{}", help.output);
    }
    let version = run(&["--version"], &[]);
    assert_eq!((version.code, version.output.contains(env!("CARGO_PKG_VERSION"))), (Some(0), true));
    assert_eq!(run(&["no-such-command"], &[]).code, Some(2));

    let wrong = run(&["serve"], &[("PORT", "many"), ("TRANSPORT_MODE", "stdio"), ("ENCRYPTION_KEY", "short")]);
    assert_eq!(wrong.code, Some(2));
    for name in ["PORT", "TRANSPORT_MODE", "ENCRYPTION_KEY"] {
        assert!(wrong.errors.contains(name), "{}", wrong.errors);
    }
    assert!(!wrong.errors.contains("short\n"), "a secret is not repeated");

    let up = run(&["migrate", "up"], &[]);
    assert_eq!((up.code, up.output.contains("applied ")), (Some(0), true));
    let down = run(&["migrate", "down"], &[]);
    assert_eq!((down.code, down.output.contains("missing ")), (Some(0), true));
    let status = run(&["migrate", "status"], &[]);
    assert_eq!((status.code, status.output), (Some(0), down.output));
}

#[actix_web::test]
async fn the_sandbox_needs_nothing_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let misleading = [
        ("PORT", "1"),
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
        ("ENCRYPTION_KEY", "nonsense"),
        ("OWNERREZ_API_URL", "https://elsewhere.example"),
        ("OWNERREZ_CLIENT_ID", "c_other"),
        ("SERVER_URL", "https://elsewhere.example"),
    ];
    let sandbox = Program::start(home.path(), &["sandbox", "--port", "0", "--json"], &misleading);
    let said = sandbox.json();
    let mut keys: Vec<&String> = said.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["api_key", "mcp_url", "ownerrez_url", "server_url", "user_id"]);
    let user = |said: &Value| {
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        Person::visitor(&text("server_url")).with_key(&text("api_key"), &text("user_id"))
    };
    ask(&user(&said)).await.unwrap();
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "its temporary directory");
    let ending = sandbox.stop();
    assert_eq!((ending.code, ending.output.as_str()), (Some(0), ""), "one line on stdout");
    assert!(ending.took < Duration::from_secs(3), "{:?}", ending.took);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "gone");

    for _ in 0..2 {
        let kept = Program::start(home.path(), &["sandbox", "--port", "0", "--json", "--data", "kept"], &[]);
        ask(&user(&kept.json())).await.unwrap();
        assert_eq!(kept.stop().code, Some(0));
    }
    assert!(home.path().join("kept/gateway.db").exists());
}

const KEY: (&str, &str) = ("ENCRYPTION_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");

#[actix_web::test]
async fn a_standby_takes_over_when_the_first_is_killed() {
    on_postgres(async |database| {
        let home = tempfile::tempdir().unwrap();
        let ownerrez = OwnerRez::start(home.path());
        let settings = [("DATABASE_URL", &*database.url()), KEY];
        let first = ownerrez.gateway(home.path(), &settings);
        let alice = connected_user(&first.url()).await;
        for _ in 0..100 {
            ask(&alice).await.unwrap();
        }
        let second = ownerrez.gateway(home.path(), &settings);
        let there = alice.at(&second.url());
        assert_eq!(there.get("/health").await.status, 200);
        assert!(ask(&there).await.unwrap_err().contains("standby"));
        first.kill();
        eventually("the second to take over", async || ask(&there).await.ok()).await;
        while ask(&there).await.is_ok() {}
        assert!((250..=300).contains(&ownerrez.log().await.len()));
        assert_eq!(ownerrez.refused().await, 0);
        assert_eq!(second.stop().code, Some(0));
    })
    .await;
}

#[actix_web::test]
async fn two_processes_with_a_share_each_both_serve() {
    on_postgres(async |database| {
        let home = tempfile::tempdir().unwrap();
        let ownerrez = OwnerRez::start(home.path());
        let settings =
            [("DATABASE_URL", &*database.url()), KEY, ("UPSTREAM_LIMIT", "150"), ("UPSTREAM_SHARED", "true")];
        let first = ownerrez.gateway(home.path(), &settings);
        let second = ownerrez.gateway(home.path(), &settings);
        let alice = connected_user(&first.url()).await;
        for person in [alice.clone(), alice.at(&second.url())] {
            ask(&person).await.unwrap();
            while ask(&person).await.is_ok() {}
        }
        let counted = ownerrez.log().await.iter().filter(|request| request["path"] != "/oauth/authorize").count();
        assert_eq!((counted, ownerrez.refused().await), (300, 0));
        assert_eq!((first.stop().code, second.stop().code), (Some(0), Some(0)));
    })
    .await;
}

#[actix_web::test]
async fn a_database_that_comes_later_is_waited_for() {
    on_postgres(async |database| {
        let home = tempfile::tempdir().unwrap();
        let ownerrez = OwnerRez::start(home.path());
        let mut later = url::Url::parse(&database.url()).unwrap();
        let name = format!("{}_later", later.path().trim_start_matches('/'));
        later.set_path(&name);
        let gateway = ownerrez.gateway(home.path(), &[("DATABASE_URL", later.as_str()), KEY]);
        let url = gateway.starting_url();
        let visitor = Person::visitor(&url);
        assert_eq!(visitor.get("/health").await.status, 200);
        let register = async || visitor.post("/api/users/register", &json!({"name": "Alice"})).await.status;
        assert_eq!(register().await, 503);
        database.execute(&format!("CREATE DATABASE {name}")).await;
        eventually("the database to be used", async || (register().await == 201).then_some(())).await;
        let ready = async || {
            let alice = connected_user(&url).await;
            ask(&alice).await.unwrap();
        };
        gateway.says("listening on");
        ready().await;
        assert_eq!(gateway.stop().code, Some(0));
        database.execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
    })
    .await;
}
