//! The deployment files of the gateway, as far as they can be checked without Docker, Fly.io and GitHub: they parse,
//! every path in them exists, every variable is a setting, and the gateway starts with the resulting settings.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use ownerrez_gateway::config::{Config, Database, Sources};
use serde_json::Value;

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

type Variables = BTreeMap<String, String>;

fn file(name: &str) -> String {
    let path = in_project(name);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn in_project(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn exists(name: &str) -> bool {
    Path::new(&in_project(name)).exists()
}

fn yaml(name: &str) -> Value {
    serde_norway::from_str(&file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn toml(name: &str) -> Value {
    let table: toml::Table = file(name).parse().unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::to_value(table).unwrap()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn variables(value: &Value) -> Variables {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// Returns every environment variable that is a setting. Another test checks that the file documents all of them.
fn known_variables() -> BTreeSet<String> {
    let defaults = file("config/default.toml");
    defaults.lines().filter_map(|line| line.strip_prefix("# environment: ")).map(str::to_owned).collect()
}

fn assert_known<'a>(names: impl IntoIterator<Item = &'a String>) {
    let known = known_variables();
    for name in names {
        assert!(known.contains(name), "{name} is no setting");
    }
}

/// Returns the lines of the example that set a variable; on request, with those that are commented out.
fn example(commented: bool) -> Variables {
    let example = file("config/env.example");
    let lines = example.lines().filter(|line| !line.starts_with("# "));
    let lines = lines.map(|line| if commented { line.trim_start_matches('#') } else { line });
    lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Returns one entry per instruction, with its continuation lines joined.
fn dockerfile() -> Vec<(String, String)> {
    let joined = file("Dockerfile").replace("\\\n", " ");
    joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(instruction, rest)| (instruction.to_owned(), rest.trim().to_owned()))
        .collect()
}

fn instructions(name: &str) -> Vec<String> {
    dockerfile().into_iter().filter(|(instruction, _)| instruction == name).map(|(_, rest)| rest).collect()
}

fn image_variables() -> Variables {
    let pairs = instructions("ENV");
    pairs.iter().filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

/// Loads the gateway's settings from the variables of an image, overridden by those of its deployment.
fn load(layers: &[&Variables]) -> Config {
    let environment: HashMap<String, String> =
        layers.iter().flat_map(|layer| layer.iter()).map(|(name, value)| (name.clone(), value.clone())).collect();
    Config::load(Sources { file: None, environment }).unwrap_or_else(|errors| panic!("{errors}"))
}

fn set(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_example_names_only_settings_and_needs_only_a_key() {
    assert_known(example(true).keys());
    let given = example(false);
    assert!(given.contains_key("ENCRYPTION_KEY") && given.contains_key("SERVER_URL"), "{given:?}");
    load(&[&given, &set(&[("ENCRYPTION_KEY", KEY)])]);
}

#[test]
fn the_guide_lists_every_variable() {
    let guide = file("docs/SETUP.md");
    let rows: Vec<&str> = guide.lines().filter(|line| line.starts_with("| `")).collect();
    for name in known_variables() {
        assert!(rows.iter().any(|row| row.contains(&format!("`{name}`"))), "{name} is not in docs/SETUP.md");
    }
}

#[test]
fn the_image_copies_only_what_exists_and_is_sent_to_the_engine() {
    let ignored = file(".dockerignore");
    assert!(ignored.lines().any(|line| line == "!Dockerfile"), "Fly.io's client wants it in the context");
    let mut copied = BTreeSet::new();
    for rest in instructions("COPY").iter().filter(|rest| !rest.contains("--from=")) {
        let paths: Vec<&str> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        for path in &paths[..paths.len() - 1] {
            assert!(exists(path), "{path}");
            assert!(ignored.lines().any(|line| line.trim_end_matches("/**") == format!("!{path}")), "{path}");
            copied.insert((*path).to_owned());
        }
    }
    let manifest = toml("Cargo.toml");
    let members = words(&manifest["workspace"]["members"]).into_iter().filter(|member| *member != ".");
    for needed in members.chain(["Cargo.toml", "Cargo.lock", "src", "config"]) {
        assert!(copied.contains(needed), "{needed} is needed for the build");
    }
}

#[test]
fn the_image_runs_this_program_without_rights() {
    let program = env!("CARGO_PKG_NAME");
    let binary = format!("/usr/local/bin/{program}");
    let build = instructions("RUN").into_iter().find(|line| line.contains("cargo build")).unwrap();
    assert!(build.contains(&format!("--bin {program}")) && build.contains("--locked"), "{build}");
    assert_eq!(instructions("COPY").last().unwrap(), &format!("--from=builder {binary} {binary}"));
    assert_eq!(instructions("ENTRYPOINT"), [format!("[\"{binary}\"]")]);
    assert!(instructions("HEALTHCHECK")[0].ends_with(&format!("CMD [\"{binary}\", \"healthcheck\"]")));
    let user = &instructions("USER")[0];
    assert!(instructions("RUN").iter().any(|line| line.contains("useradd") && line.contains(&**user)), "{user}");
    // The volume is the directory of the default SQLite database.
    let home = &instructions("WORKDIR")[1];
    assert_eq!(instructions("VOLUME"), [format!("{home}/data")]);
    let Database::Sqlite { path } = load(&[]).database else { panic!("SQLite is the default") };
    assert_eq!(path.parent(), Some(Path::new("data")));
}

#[test]
fn the_image_sets_only_settings() {
    let image = image_variables();
    assert_known(image.keys());
    let deployment = set(&[("SERVER_URL", "https://gateway.example.com"), ("ENCRYPTION_KEY", KEY)]);
    let config = load(&[&image, &deployment]);
    assert!(!config.server.is_loopback_only(), "a container's loopback is reached by nobody");
    assert_eq!(instructions("EXPOSE"), [config.server.port.to_string()]);
}

#[test]
fn compose_runs_postgres_and_the_gateway_on_it() {
    let compose = yaml("docker-compose.yml");
    let (gateway, postgres) = (&compose["services"]["gateway"], &compose["services"]["postgres"]);
    assert!(exists(gateway["build"].as_str().unwrap()) && exists("Dockerfile"));
    assert_eq!(gateway["depends_on"]["postgres"]["condition"], "service_healthy");
    assert_eq!(postgres["healthcheck"]["test"][1], "pg_isready");
    for volume in words(&postgres["volumes"]) {
        let (name, _) = volume.split_once(':').unwrap();
        assert!(compose["volumes"].as_object().unwrap().contains_key(name), "{name}");
    }

    // It reads `.env`, which is the example filled in.
    assert_eq!(gateway["env_file"], ".env");
    let own = variables(&gateway["environment"]);
    assert_known(own.keys());
    let config = load(&[&image_variables(), &example(false), &set(&[("ENCRYPTION_KEY", KEY)]), &own]);
    assert!(!config.server.is_loopback_only());
    let port = config.server.port;
    assert_eq!(words(&gateway["ports"]), [format!("127.0.0.1:{port}:{port}")]);
    let server = variables(&postgres["environment"]);
    let expected = format!(
        "postgres://{}:{}@postgres:5432/{}",
        server["POSTGRES_USER"], server["POSTGRES_PASSWORD"], server["POSTGRES_DB"]
    );
    assert_eq!(own["DATABASE_URL"], expected);
    let grace: u32 = gateway["stop_grace_period"].as_str().unwrap().trim_end_matches('s').parse().unwrap();
    assert!(grace > config.server.shutdown_seconds, "{grace}");
}

#[test]
fn fly_runs_one_machine_that_is_never_stopped() {
    let fly = toml("fly.toml");
    let env = variables(&fly["env"]);
    assert_known(env.keys());
    let secrets = set(&[
        ("DATABASE_URL", "postgresql://fly-user:secret@direct.abc.flympg.net/fly-db"),
        ("ENCRYPTION_KEY", KEY),
        ("OWNERREZ_CLIENT_ID", "c_1"),
        ("OWNERREZ_CLIENT_SECRET", "s_1"),
    ]);
    let secret_names = |name: &String| secrets.contains_key(name);
    assert!(!env.keys().any(secret_names), "a secret stands in fly.toml");
    let config = load(&[&image_variables(), &env, &secrets]);
    assert_eq!(config.server.public_url(0).host_str().unwrap(), format!("{}.fly.dev", fly["app"].as_str().unwrap()));
    assert!(!config.server.trusted_proxies.is_empty());

    let service = &fly["http_service"];
    assert_eq!(service["internal_port"], config.server.port);
    assert_eq!(service["force_https"], true);
    assert_eq!(service["auto_stop_machines"], "off");
    assert_eq!(service["min_machines_running"], 1);
    assert_eq!(service["checks"][0]["path"], "/health");
    assert_eq!(fly["checks"]["ready"]["path"], "/ready");
    assert_eq!(fly["checks"]["ready"]["port"], config.server.port);
    assert!(fly["kill_timeout"].as_u64().unwrap() > u64::from(config.server.shutdown_seconds));
    assert!(exists(fly["build"]["dockerfile"].as_str().unwrap()));
    let strategy = fly["deploy"]["strategy"].as_str().unwrap();
    assert!(!matches!(strategy, "canary" | "bluegreen"), "a second process is never ready beside the first");
}

#[test]
fn the_workflow_runs_scripts_that_exist_and_deploys_only_what_was_tested() {
    let workflow = yaml(".github/workflows/ci.yml");
    let events = workflow["on"].as_object().unwrap();
    assert!(events.contains_key("push") && events.contains_key("pull_request"), "{events:?}");
    let jobs = workflow["jobs"].as_object().unwrap();
    let mut scripts = BTreeSet::new();
    for (name, job) in jobs {
        for step in job["steps"].as_array().unwrap() {
            assert!(step["run"].is_string() || step["uses"].is_string(), "{name}: {step}");
            let commands = step["run"].as_str().unwrap_or_default().split_whitespace();
            scripts.extend(commands.filter(|word| word.starts_with(".ci/") || word.starts_with("tests/")));
        }
    }
    assert!(scripts.contains(".ci/run"), "{scripts:?}");
    for script in scripts {
        let mode = std::fs::metadata(in_project(script)).unwrap_or_else(|error| panic!("{script}: {error}"));
        assert_ne!(mode.permissions().mode() & 0o111, 0, "{script} cannot be executed");
    }

    // .ci/run expects a server here that trusts root, and creates its own database through this one.
    let run = file(".ci/run");
    let postgres = &jobs["test"]["services"]["postgres"];
    let server = variables(&postgres["env"]);
    assert!(run.contains("server_host=127.0.0.1") && run.contains("server_port=5432"));
    assert_eq!(words(&postgres["ports"]), ["127.0.0.1:5432:5432"]);
    assert!(run.contains(&format!("server_database={}\n", server["POSTGRES_DB"])));
    assert!(run.contains(&format!("--username {}", server["POSTGRES_USER"])));
    assert_eq!(server["POSTGRES_HOST_AUTH_METHOD"], "trust");

    let deploy = &jobs["deploy"];
    assert_eq!(deploy["needs"], "test");
    assert!(deploy["if"].as_str().unwrap().contains("refs/heads/main"));
    let step = deploy["steps"].as_array().unwrap().last().unwrap();
    assert!(step["run"].as_str().unwrap().starts_with("flyctl deploy --remote-only"), "{step}");
    assert_eq!(step["if"], "env.MAY_DEPLOY == 'true'");
    assert!(deploy["env"]["MAY_DEPLOY"].as_str().unwrap().contains("secrets.FLY_API_TOKEN"));
}
