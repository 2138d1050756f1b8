//! The benchmark: the release build of the gateway, compared with a minimal pass-through.
//!
//! ```console
//! cargo bench --bench gateway            # prints the tables
//! cargo bench --bench gateway -- --write # and writes them to docs/BENCHMARKS.md
//! cargo bench --bench gateway -- --calls # only the tool calls, for use while optimizing them
//! ```
//!
//! One program with three roles: this process generates the load and measures; it starts itself as the stub of OwnerRez
//! and as the pass-through, and the gateway as a separate binary. Linux only, because it reads `/proc`.

mod bench;
mod load;
mod passthrough;
mod processes;
mod seed;
mod stub;
mod table;

use std::{env, error::Error, fs, path::Path, process::ExitCode};

use chrono::SubsecRound;
use ownerrez_gateway::{app::SystemClock, domain::Clock};

/// The page with the latest tables, and the marks around them.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/BENCHMARKS.md");
const BEGIN: &str = "<!-- figures: begin -->\n";
const END: &str = "<!-- figures: end -->\n";

fn main() -> ExitCode {
    // Cargo adds `--bench`, but not when a test run builds and starts all targets.
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = actix_rt::System::new().block_on(async {
        match arguments.as_slice() {
            ["stub"] => Ok(stub::serve().await?),
            ["passthrough", upstream] => Ok(passthrough::serve(upstream).await?),
            given if given.contains(&"--bench") => {
                measure(given.contains(&"--write"), given.contains(&"--calls")).await
            }
            _ => Err("run it as `cargo bench --bench gateway`".into()),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the last word of a command-line program")]
            {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn measure(write: bool, only_calls: bool) -> Result<(), Box<dyn Error>> {
    let report = bench::run(only_calls, say).await?;
    let text = format!("{}\n\n{}", circumstances(), report.markdown());
    say(&text);
    if write && !only_calls {
        put_into_page(Path::new(PAGE), &text)?;
    }
    match report.missed() {
        0 => say("Every target is reached."),
        missed => say(&format!("Missed: {missed}.")),
    }
    Ok(())
}

/// Returns the machine, the time and the command.
fn circumstances() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "`cargo bench --bench gateway` at {} UTC: {cores} processors ({}), memory {}, Linux {}, load average before and \
         after it {}.",
        SystemClock::new().now().trunc_subsecs(0).format("%Y-%m-%d %H:%M"),
        field(&read("/proc/cpuinfo"), "model name"),
        field(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(", "),
    )
}

fn put_into_page(page: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let old = fs::read_to_string(page)?;
    let (before, rest) = old.split_once(BEGIN).ok_or("the page has lost its marks")?;
    let (_, after) = rest.split_once(END).ok_or("the page has lost its marks")?;
    Ok(fs::write(page, format!("{before}{BEGIN}\n{text}\n{END}{after}"))?)
}

#[expect(clippy::print_stdout, reason = "the answer of a command-line program")]
fn say(text: &str) {
    println!("{text}");
}
