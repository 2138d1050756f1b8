//! The measurements and how they are made.

use std::{
    cell::Cell,
    error::Error,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use futures_util::future::{Either, select};
use ownerrez_gateway::crypto::ApiKey;
use secrecy::ExposeSecret;

use crate::{
    load::{self, Connection, Expected, Outcome, post_mcp},
    processes::{GatewaySetting, Process},
    seed::{self, Seeded},
    stub,
    table::{Report, Samples},
};

type Outcomes<T> = Result<T, Box<dyn Error>>;

/// Rounds in which the gateway and the pass-through alternate.
const ROUNDS: usize = 7;
/// Rounds of measurements that need a gateway with all users.
const LONG_ROUNDS: usize = 3;
/// Rounds of each flood.
const FLOOD_ROUNDS: usize = 5;
/// Connections of the load, each with a different user: calls of one user are served one after the other.
const CONNECTIONS: usize = 16;
const WARM_UP: usize = 1_000;
/// With the warm-up below 90 % of [`UPSTREAM_LIMIT`]: the last tenth is reserved for accounts that used little.
const CALLS: usize = 6_400;
/// Turns that the contestants take within a round. Other load on the machine changes from second to second, and a ratio
/// is meaningful only if both contestants had the same share of it.
const TURNS: usize = 8;
/// The maximum of the setting. Every gateway starts on a fresh copy of the database, so its window is empty.
const UPSTREAM_LIMIT: u32 = 10_000;
/// Users in the database.
const USERS: usize = 10_000;
/// The number of these users that call once. One call each stays below the part of the limit that is not reserved for
/// connecting.
const CALLING: usize = 9_000;
/// The upper bound of the memory of their idle sessions, in MiB: 30 for 10,000.
const SESSIONS_BOUND: f64 = 27.0;
/// Keys that are compared with each other, half of them at either end of the first thousand.
const COMPARED: usize = 250;
/// The last users, whose first calls warm a gateway up before keys are compared.
const WARMING: usize = 250;
/// Answers for a p99, once without and once during a flood, on one gateway: about one second's worth each, because a
/// single pause of the machine is a hundredth of anything shorter.
const WATCHED: usize = 4_000;
/// Answers before that, to warm up.
const UNWATCHED: usize = 250;
const FLOOD_CONNECTIONS: usize = 20;
/// Keys per second that a paced flood sends, over all its connections.
const FLOOD_RATE: u32 = 1_000;
/// Source addresses of the flood that comes from many.
const FLOOD_ADDRESSES: u8 = 200;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// An operation whose responses are never cached: each call is one request to OwnerRez.
const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_booking","arguments":{"id":5001}}}"#;

fn is_answer(status: u16, body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    status == 200 && body.contains("Harbour House") && !body.contains(r#""isError":true"#)
}

fn is_refused(status: u16, _: &[u8]) -> bool {
    matches!(status, 401 | 429)
}

/// Everything that stays the same during the benchmark.
struct Bench {
    scratch: tempfile::TempDir,
    seeded: PathBuf,
    config: PathBuf,
    encryption_key: String,
    keys: Vec<String>,
    stub: Process,
    stub_origin: String,
}

/// Runs all measurements, or only the calls through gateway and pass-through. `say` reports progress.
pub(crate) async fn run(only_calls: bool, say: fn(&str)) -> Outcomes<Report> {
    let scratch = tempfile::tempdir()?;
    let seeded = scratch.path().join("seeded.db");
    let config = scratch.path().join("bench.toml");
    fs::write(&config, format!("[keys]\nbcrypt_cost = {}\n", seed::BCRYPT_COST))?;
    say(&format!("making a database of {USERS} connected users"));
    let Seeded { keys, encryption_key } = seed::database(&seeded, USERS).await?;
    let stub = Process::own(&["stub"])?;
    let stub_origin = stub.origin();
    let bench = Bench { scratch, seeded, config, encryption_key, keys, stub, stub_origin };

    let mut report = Report::default();
    let outcome =
        if only_calls { bench.side_by_side(&mut report, say).await } else { bench.stages(&mut report, say).await };
    if outcome.is_err() {
        say(&report.markdown());
    }
    outcome.map(|()| report)
}

/// The figures of one contestant over the rounds.
#[derive(Default)]
struct Series {
    per_second: Samples,
    p50: Samples,
    p99: Samples,
    /// Microseconds of CPU time per answer.
    cpu: Samples,
    /// MiB after the start; `resident` is after the load.
    resting: Samples,
    resident: Samples,
}

impl Bench {
    async fn stages(&self, report: &mut Report, say: fn(&str)) -> Outcomes<()> {
        self.side_by_side(report, say).await?;
        self.starts(report, say)?;
        self.many_users(report, say).await?;
        self.floods(report, say).await
    }

    /// Measures uncached tool calls through the gateway and through the pass-through.
    async fn side_by_side(&self, report: &mut Report, say: fn(&str)) -> Outcomes<()> {
        let (mut gateway, mut passthrough) = (Series::default(), Series::default());
        let mut ratios = Samples::default();
        for round in 0..ROUNDS {
            say(&format!("tool calls: round {} of {ROUNDS}", round + 1));
            let contestants = [self.gateway()?, Process::own(&["passthrough", &self.stub_origin])?];
            let cpu = self.loaded(&contestants, [&mut gateway, &mut passthrough]).await?;
            ratios.add(cpu[0] / cpu[1]);
        }
        report.target(
            "processor time of an uncached tool call, compared with the pass-through",
            2.5,
            " times",
            ratios.median(),
            &format!("ratio of each round, {}", ratios.text(2)),
        );
        report.target("resident at rest", 25.0, " MiB", gateway.resting.median(), &gateway.resting.text(1));
        report.figure("answers per second", 0, &gateway.per_second, &passthrough.per_second);
        report.figure("p50, ms", 2, &gateway.p50, &passthrough.p50);
        report.figure("p99, ms", 2, &gateway.p99, &passthrough.p99);
        report.figure("processor time per answer, µs", 0, &gateway.cpu, &passthrough.cpu);
        report.figure("resident after the start, MiB", 1, &gateway.resting, &passthrough.resting);
        report.figure("resident after the load, MiB", 1, &gateway.resident, &passthrough.resident);
        Ok(())
    }

    /// Runs a round of both contestants, which alternate; returns the CPU time per answer of each in microseconds.
    async fn loaded(&self, contestants: &[Process; 2], series: [&mut Series; 2]) -> Outcomes<[f64; 2]> {
        settle();
        let mut before = [0.0; 2];
        for (at, process) in contestants.iter().enumerate() {
            series[at].resting.add(process.resident()?);
            self.calls(process, WARM_UP).await?;
            before[at] = process.cpu()?;
        }
        let mut outcomes = [Outcome::default(), Outcome::default()];
        for turn in 0..TURNS {
            // The second contestant may find a warmer machine, so the order alternates as well.
            for at in [turn % 2, 1 - turn % 2] {
                outcomes[at].add(self.calls(&contestants[at], CALLS / TURNS).await?);
            }
        }
        let mut cpu = [0.0; 2];
        for (at, process) in contestants.iter().enumerate() {
            let outcome = &outcomes[at];
            // A contestant that waits for its turn uses no CPU time.
            cpu[at] = (process.cpu()? - before[at]) * 1e6 / outcome.answers() as f64;
            series[at].cpu.add(cpu[at]);
            series[at].per_second.add(outcome.per_second());
            series[at].p50.add(outcome.percentile(0.5));
            series[at].p99.add(outcome.percentile(0.99));
            series[at].resident.add(process.resident()?);
        }
        Ok(cpu)
    }

    /// Runs `count` calls over all connections; checks that each caused one upstream request.
    async fn calls(&self, process: &Process, count: usize) -> Outcomes<Outcome> {
        let requests = self.requests(process.address, &self.keys[..CONNECTIONS]);
        let each = count / CONNECTIONS;
        let turns = requests.iter().map(|request| vec![request.as_slice(); each]).collect();
        self.counted(process.address, turns).await
    }

    /// Runs these requests, one connection for each list, and compares their number with the requests that the stub
    /// received.
    async fn counted(&self, to: SocketAddr, turns: Vec<Vec<&[u8]>>) -> Outcomes<Outcome> {
        let before = self.asked().await?;
        let mut connections = Vec::new();
        for requests in turns {
            connections.push((Connection::open(HOME, to).await?, requests));
        }
        let outcome = load::run(connections, is_answer).await?;
        let asked = self.asked().await? - before;
        if asked != outcome.answers() as u64 {
            return Err(format!("{} answers, but {asked} requests to the stub", outcome.answers()).into());
        }
        Ok(outcome)
    }

    async fn asked(&self) -> Outcomes<u64> {
        let mut connection = Connection::open(HOME, self.stub.address).await?;
        let ask = format!("GET {} HTTP/1.1\r\nHost: stub\r\n\r\n", stub::ASKED);
        let (_, body) = connection.exchange(ask.as_bytes()).await?;
        Ok(String::from_utf8(body)?.parse()?)
    }

    fn requests(&self, host: SocketAddr, keys: &[String]) -> Vec<Vec<u8>> {
        keys.iter().map(|key| post_mcp(host, key, CALL)).collect()
    }

    /// Measures the time of a start, on the database with all users and on an empty one.
    fn starts(&self, report: &mut Report, say: fn(&str)) -> Outcomes<()> {
        say("starts");
        let (mut empty, mut full) = (Samples::default(), Samples::default());
        for _ in 0..ROUNDS {
            full.add(self.gateway()?.ready_after.as_secs_f64() * 1e3);
            empty.add(self.gateway_on(&self.fresh_path("empty.db")?)?.ready_after.as_secs_f64() * 1e3);
        }
        let from = format!("empty database, migrations and all: {}; all users: {}", empty.text(0), full.text(0));
        report.target("start until ready, SQLite", 150.0, " ms", empty.median().max(full.median()), &from);
        report.gateway_figure("start until ready, empty database, ms", 0, &empty);
        report.gateway_figure(&format!("start until ready, {USERS} users, ms"), 0, &full);
        Ok(())
    }

    /// Measures each user's first call: the cost of the first and the thousandth key, and the memory of all sessions.
    async fn many_users(&self, report: &mut Report, say: fn(&str)) -> Outcomes<()> {
        let (mut first, mut thousandth, mut last) = (Samples::default(), Samples::default(), Samples::default());
        let (mut ratios, mut growth) = (Samples::default(), Samples::default());
        for round in 0..LONG_ROUNDS {
            say(&format!("first calls of {CALLING} users: round {} of {LONG_ROUNDS}", round + 1));
            let gateway = self.gateway()?;
            settle();
            let resting = gateway.resident()?;
            self.first_calls(&gateway, USERS - WARMING..USERS).await?;
            let half = COMPARED / 2;
            // The near keys are measured before and after the far ones, so that changes over time affect both equally.
            let before = self.first_calls(&gateway, 0..half).await?;
            let far = self.first_calls(&gateway, 1_000 - COMPARED..1_000).await?;
            let after = self.first_calls(&gateway, half..COMPARED).await?;
            let near = f64::midpoint(before, after);
            ratios.add(far / near);
            first.add(near);
            thousandth.add(far);
            self.first_calls(&gateway, COMPARED..1_000 - COMPARED).await?;
            let end = USERS - WARMING;
            self.first_calls(&gateway, 1_000..CALLING - WARMING - COMPARED).await?;
            last.add(self.first_calls(&gateway, end - COMPARED..end).await?);
            settle();
            growth.add(gateway.resident()? - resting);
        }
        report.target(
            "first use of the thousandth key, compared with the first's",
            1.15,
            " times",
            ratios.median(),
            &format!("processor time; within the noise of the measurement, {}", ratios.text(2)),
        );
        report.target(
            &format!("{CALLING} connected users with idle sessions, above rest"),
            SESSIONS_BOUND,
            " MiB",
            growth.median(),
            &growth.text(1),
        );
        report.gateway_figure(&format!("first call with keys 1 to {COMPARED}, processor time, µs"), 0, &first);
        report.gateway_figure(&format!("first call with keys {} to 1000, µs", 1_001 - COMPARED), 0, &thousandth);
        report.gateway_figure(&format!("first call with the last {COMPARED} of {USERS} keys, µs"), 0, &last);
        Ok(())
    }

    /// Makes one call per user; returns the CPU time of one call, in microseconds.
    async fn first_calls(&self, gateway: &Process, users: std::ops::Range<usize>) -> Outcomes<f64> {
        let requests = self.requests(gateway.address, &self.keys[users]);
        let mut turns = vec![Vec::new(); CONNECTIONS];
        for (number, request) in requests.iter().enumerate() {
            turns[number % CONNECTIONS].push(request.as_slice());
        }
        let before = gateway.cpu()?;
        self.counted(gateway.address, turns).await?;
        Ok((gateway.cpu()? - before) * 1e6 / requests.len() as f64)
    }

    /// Measures a valid user while another client tries keys.
    async fn floods(&self, report: &mut Report, say: fn(&str)) -> Outcomes<()> {
        let mut quiet = Samples::default();
        let mut during: Vec<(Flood, Samples, Samples, Samples)> =
            Flood::ALL.map(|flood| (flood, Samples::default(), Samples::default(), Samples::default())).into();
        for round in 0..FLOOD_ROUNDS {
            say(&format!("floods: round {} of {FLOOD_ROUNDS}", round + 1));
            for (flood, p99s, ratios, rates) in &mut during {
                let gateway = self.gateway()?;
                self.watched(&gateway, ELSEWHERE, UNWATCHED).await?;
                let calm = self.watched(&gateway, flood.user_at, WATCHED).await?.percentile(0.99);
                let answered = Cell::new(0);
                let connections = flood.connections(&gateway).await?;
                let pause = flood.paced.then(|| Duration::from_secs(connections.len() as u64) / FLOOD_RATE);
                let tide = Box::pin(load::flood(connections, pause, is_refused, &answered));
                let watch = Box::pin(self.watched(&gateway, flood.user_at, WATCHED));
                let watched = match select(watch, tide).await {
                    Either::Left((watched, _)) => watched?,
                    Either::Right((error, _)) => return Err(error.into()),
                };
                quiet.add(calm);
                p99s.add(watched.percentile(0.99));
                ratios.add(watched.percentile(0.99) / calm);
                rates.add(answered.get() as f64 / watched.took.as_secs_f64());
            }
        }
        report.gateway_figure("p99 of a valid user, quiet, ms", 2, &quiet);
        for (flood, p99s, ratios, rates) in &during {
            let from = format!("{:.0} keys a second refused; {}", rates.median(), ratios.text(2));
            let what = format!("p99 of a valid user during a flood of unknown keys, {}", flood.name);
            if flood.is_target {
                report.target(&what, 2.0, " times", ratios.median(), &from);
            }
            report.gateway_figure(&format!("{what} ({:.0} a second), ms", rates.median()), 2, p99s);
        }
        Ok(())
    }

    /// Runs one user's calls over one connection from that address.
    async fn watched(&self, gateway: &Process, from: IpAddr, calls: usize) -> Outcomes<Outcome> {
        let request = post_mcp(gateway.address, &self.keys[0], CALL);
        let connection = Connection::open(from, gateway.address).await?;
        Ok(load::run(vec![(connection, vec![request.as_slice(); calls])], is_answer as Expected).await?)
    }

    /// Starts a gateway on a fresh copy of the database with all users.
    fn gateway(&self) -> io::Result<Process> {
        let copy = self.fresh_path("gateway.db")?;
        fs::copy(&self.seeded, &copy)?;
        self.gateway_on(&copy)
    }

    fn gateway_on(&self, database: &Path) -> io::Result<Process> {
        Process::gateway(&GatewaySetting {
            database,
            directory: self.scratch.path(),
            config: &self.config,
            encryption_key: &self.encryption_key,
            upstream: &self.stub_origin,
            upstream_limit: UPSTREAM_LIMIT,
        })
    }

    /// Returns a path for a database, after removing all files of an earlier one.
    fn fresh_path(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.scratch.path().join(name);
        for left in ["", "-wal", "-shm"] {
            let left = self.scratch.path().join(format!("{name}{left}"));
            if left.exists() {
                fs::remove_file(left)?;
            }
        }
        Ok(path)
    }
}

/// A kind of flood.
#[derive(Clone, Copy)]
struct Flood {
    name: &'static str,
    /// The number of source addresses.
    addresses: u8,
    /// The address of the valid user.
    user_at: IpAddr,
    paced: bool,
    /// Whether the target applies to it. An unpaced flood takes the whole machine: the operating system then divides
    /// the processors, and the flood's own process takes a share.
    is_target: bool,
}

impl Flood {
    const ALL: [Self; 4] = [
        Self { name: "from another address", addresses: 1, user_at: ELSEWHERE, paced: true, is_target: true },
        Self { name: "from the same address", addresses: 1, user_at: HOME, paced: true, is_target: true },
        Self {
            name: "from 200 addresses",
            addresses: FLOOD_ADDRESSES,
            user_at: ELSEWHERE,
            paced: true,
            is_target: true,
        },
        Self {
            name: "as fast as it is answered, on two processors that it shares",
            addresses: 1,
            user_at: ELSEWHERE,
            paced: false,
            is_target: false,
        },
    ];

    /// Opens the connections of the flood, each with its own unknown keys.
    async fn connections(&self, gateway: &Process) -> Outcomes<Vec<(Connection, Vec<Vec<u8>>)>> {
        let mut connections = Vec::new();
        let count = if self.addresses > 1 { usize::from(self.addresses) } else { FLOOD_CONNECTIONS };
        for last in (1..=self.addresses).cycle().take(count) {
            let from = if self.addresses > 1 { IpAddr::V4(Ipv4Addr::new(127, 0, 1, last)) } else { HOME };
            let keys = (0..200).map(|_| ApiKey::generate()).collect::<Result<Vec<_>, _>>()?;
            let requests =
                keys.iter().map(|key| post_mcp(gateway.address, key.expose().expose_secret(), CALL)).collect();
            connections.push((Connection::open(from, gateway.address).await?, requests));
        }
        Ok(connections)
    }
}

/// Waits until background work after a start or a load has finished.
#[expect(clippy::disallowed_methods, reason = "waits for real processes")]
fn settle() {
    thread::sleep(Duration::from_secs(1));
}
