//! The command line.

use std::{
    io::{self, Read},
    path::PathBuf,
    pin::pin,
    process::ExitCode,
    sync::Arc,
};

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use ownerrez_gateway::{
    app::{
        self, App, CommandError, MigrateCommand, ProbeAs, ProbeError, SandboxGateway, SandboxOptions, StartError,
        StopSignals, SystemClock, UsersCommand, start_logging,
    },
    config::{Config, ConfigErrors, LogFormat, SingleAccount, Sources, Transport},
    simulator::{Portfolio, Simulator, SimulatorOptions, Variations},
};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

// A call allocates and frees some hundred small values. With the allocator of the C library this takes a tenth of the
// call's processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A self-hosted, multi-user MCP gateway for OwnerRez.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// A TOML file with settings; environment variables override it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway (the default)
    Serve,
    /// Run a gateway with a simulated OwnerRez, a registered user and a connected account; needs no settings
    Sandbox {
        /// Port of the gateway; 0 selects a free port
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Print one line of JSON instead of the text
        #[arg(long)]
        json: bool,
        /// Directory of the database, instead of a temporary one
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Run only the simulated OwnerRez
    SimulateOwnerrez {
        /// Port; 0 selects a free port
        #[arg(long, default_value_t = 8090)]
        port: u16,
        /// Number of properties of the first account; 12 if not given
        #[arg(long, value_name = "N", value_parser = at_least_one)]
        properties: Option<usize>,
        /// Number of bookings and blocks of the first account
        #[arg(long, value_name = "N")]
        bookings: Option<usize>,
        /// Seed of the data: the same seed gives the same data on the same day
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// Deviations from the documentation: all, none, or names separated by commas (docs/SIMULATOR.md)
        #[arg(long, value_name = "NAMES", value_parser = Variations::parse)]
        variations: Option<Variations>,
        /// Print one line of JSON instead of the text
        #[arg(long)]
        json: bool,
    },
    /// Check settings, database and encryption keys, and report every problem and how to fix it; exit code 2 if any
    Check {
        /// Also send one request to OwnerRez
        #[arg(long)]
        upstream: bool,
    },
    /// Compare the responses of OwnerRez with this gateway's catalogue and report the differences; exit code 1 if any
    ///
    /// Sends at most 60 requests, all of them reads. The report can be pasted into an issue: it contains field names,
    /// types and counts, and no values except enumerated words such as a status.
    ///
    /// Without --user the token comes from OWNERREZ_ACCESS_TOKEN, from OWNERREZ_USERNAME and OWNERREZ_TOKEN, or with
    /// --stdin from standard input. Each request counts towards the rate limit that all gateways on the database share.
    Probe {
        /// Use the connection of this user: a user id or a key prefix, as shown by `users list`
        #[arg(long, value_name = "USER", conflicts_with_all = ["stdin", "alone"])]
        user: Option<String>,
        /// Read the token from standard input: an access token, or E-MAIL:PERSONAL_TOKEN
        #[arg(long)]
        stdin: bool,
        /// Use no database and send one request per second; only if no gateway sends requests from this address
        #[arg(long)]
        alone: bool,
        /// Print JSON instead of the text
        #[arg(long)]
        json: bool,
    },
    /// List, disable, enable or delete users. Safe to run while gateways are running
    Users {
        #[command(subcommand)]
        command: UsersCommand,
        /// Print JSON instead of the text
        #[arg(long, global = true)]
        json: bool,
    },
    /// Re-encrypt every stored token with the current ENCRYPTION_KEY. Safe to run while gateways are running; can be
    /// interrupted and re-run
    Reseal,
    /// Request /health from the gateway on this machine; exit code 1 if it does not respond. For containers
    Healthcheck,
    /// Apply, revert or list database migrations
    Migrate {
        #[command(subcommand)]
        step: MigrateCommand,
    },
}

/// Why the process ends with a failure.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("{0}")]
    Command(#[from] CommandError),
    #[error("{0}")]
    Probe(#[from] ProbeError),
    #[error("the gateway does not respond: {0}")]
    Unhealthy(io::Error),
}

/// Parses a number of properties: an account without properties has nothing to show.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Some(Command::Sandbox { .. } | Command::SimulateOwnerrez { .. })) {
        if cli.config.is_some() {
            let message = "this command reads no settings, so it does not accept --config; see --help for its options";
            Cli::command().error(ErrorKind::ArgumentConflict, message).exit();
        }
        start_logging(LogFormat::Text, "warn");
    }
    match actix_rt::System::new().block_on(run(cli)) {
        Ok(code) => code,
        Err(failure) => {
            #[expect(clippy::print_stderr, reason = "a command-line program prints its error to standard error")]
            {
                eprintln!("{failure}");
            }
            ExitCode::from(if matches!(failure, CliError::Config(_)) { 2 } else { 1 })
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode, CliError> {
    let clock = Arc::new(SystemClock::new());
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => return serve(&load_config(cli.config)?, clock).await,
        Command::Sandbox { port, json, data } => run_sandbox(SandboxOptions { port, data }, json, clock).await?,
        Command::SimulateOwnerrez { port, properties, bookings, seed, variations, json } => {
            let usual = SimulatorOptions::new(clock);
            let portfolio = Portfolio::asked(properties, bookings);
            let seed = seed.unwrap_or(usual.seed);
            run_simulator(SimulatorOptions { port, seed, portfolio, variations, ..usual }, json).await?;
        }
        Command::Check { upstream } => {
            let report = app::check(Sources::from_process(cli.config), upstream, clock).await;
            println_stdout(&report.text());
            return Ok(if report.is_fine() { ExitCode::SUCCESS } else { ExitCode::from(2) });
        }
        Command::Probe { user, stdin, alone, json } => {
            let sources = Sources::from_process(cli.config);
            let config = load_quietly(sources.clone())?;
            let probe_as = match user {
                Some(user) => ProbeAs::User(user),
                None if stdin => ProbeAs::Account(read_account(io::stdin())?),
                None => ProbeAs::Account(SingleAccount::from_sources(sources)?.ok_or(ProbeError::NoToken)?),
            };
            let report = app::probe(&config, &probe_as, alone, clock).await?;
            println_stdout(&if json { report.json() } else { report.text() });
            return Ok(if report.is_fine() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Users { command, json } => {
            let config = load_config_quietly(cli.config)?;
            println_stdout(&app::run_users_command(&config, command, json, clock).await?);
        }
        Command::Reseal => return reseal(&load_config_quietly(cli.config)?).await,
        Command::Healthcheck => app::check_health(&load_config_quietly(cli.config)?).map_err(CliError::Unhealthy)?,
        Command::Migrate { step } => {
            let config = load_config(cli.config)?;
            println_stdout(&app::run_migrate_command(&config, step).await?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: &Config, clock: Arc<SystemClock>) -> Result<ExitCode, CliError> {
    if !matches!(config.transport, Transport::Http | Transport::SingleUser { .. }) {
        app::serve_stdio(config, clock).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut stop = pin!(StopSignals::listen().map_err(StartError::from)?.first());
    // Startup may wait long for the database. A signal ends the wait and the process.
    let gateway = tokio::select! {
        gateway = App::build(config, clock) => gateway?,
        () = &mut stop => {
            log::info!("stopped before startup was complete");
            return Ok(ExitCode::SUCCESS);
        }
    };
    log::info!("listening on {}, public address {}", gateway.address(), gateway.url());
    stop.await;
    Ok(if gateway.stop().await.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn run_sandbox(options: SandboxOptions, json: bool, clock: Arc<SystemClock>) -> Result<(), CliError> {
    let mut stop = pin!(StopSignals::listen().map_err(StartError::from)?.first());
    let sandbox = tokio::select! {
        sandbox = SandboxGateway::start(options, clock) => sandbox?,
        () = &mut stop => return Ok(()),
    };
    println_stdout(&if json { sandbox.json() } else { sandbox.text() });
    stop.await;
    sandbox.stop().await;
    Ok(())
}

async fn run_simulator(options: SimulatorOptions, json: bool) -> Result<(), CliError> {
    let stop = StopSignals::listen().map_err(StartError::from)?.first();
    // These credentials are invented, so they may be printed.
    let client_id = options.client_id.clone();
    let client_secret = options.client_secret.expose_secret().to_owned();
    let simulator = Simulator::start(options).await.map_err(StartError::from)?;
    let access = json!({"ownerrez_url": simulator.url(), "client_id": client_id, "client_secret": client_secret});
    println_stdout(&if json {
        access.to_string()
    } else {
        format!(
            "The simulated OwnerRez runs at {url}; use this as OWNERREZ_API_URL and OWNERREZ_APP_URL.
OAuth app: OWNERREZ_CLIENT_ID={client_id} OWNERREZ_CLIENT_SECRET={client_secret}
Control API: {url}/_control. Press Ctrl-C to stop.",
            url = simulator.url()
        )
    });
    stop.await;
    simulator.stop(true).await;
    Ok(())
}

async fn reseal(config: &Config) -> Result<ExitCode, CliError> {
    let stop = CancellationToken::new();
    let (stopped, signal) = (stop.clone(), StopSignals::listen().map_err(StartError::from)?.first());
    actix_rt::spawn(async move {
        signal.await;
        stopped.cancel();
    });
    let outcome = app::reseal_all(config, &stop, println_stdout).await?;
    println_stdout(&outcome.text());
    Ok(if outcome.may_drop_previous_keys() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The settings of the process, with the log begun as they say.
fn load_config(file: Option<PathBuf>) -> Result<Config, ConfigErrors> {
    let config = Config::load(Sources::from_process(file))?;
    start_logging(config.log_format, "info");
    Ok(config)
}

/// The same for commands whose answer is all that matters.
fn load_config_quietly(file: Option<PathBuf>) -> Result<Config, ConfigErrors> {
    load_quietly(Sources::from_process(file))
}

fn load_quietly(sources: Sources) -> Result<Config, ConfigErrors> {
    let config = Config::load(sources)?;
    start_logging(config.log_format, "warn");
    Ok(config)
}

/// Reads a token, which is never longer than this.
fn read_account(input: impl Read) -> Result<SingleAccount, ProbeError> {
    let mut text = Zeroizing::new(String::new());
    let read = input.take(4096).read_to_string(&mut text);
    read.ok().and_then(|_| SingleAccount::parse(&text)).ok_or(ProbeError::NoTokenRead)
}

#[expect(clippy::print_stdout, reason = "a command-line program prints its output to standard output")]
fn println_stdout(text: &str) {
    println!("{text}");
}
