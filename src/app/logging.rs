//! The format of the log: text, or one JSON object per line. `RUST_LOG` selects the lines, within two limits: libraries
//! log nothing finer than `info`, and rmcp logs nothing.

mod escaped;
mod json;
mod text;

use std::{
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
};

use env_logger::{Builder, Env};
use log::{Level, Log, Metadata, Record};

use self::{json::json_line, text::TextLine};
use crate::config::LogFormat;

/// Starts the log of the process. `level` is used if `RUST_LOG` is not set. A second call changes nothing.
pub fn start_logging(format: LogFormat, level: &str) {
    let mut builder = Builder::from_env(Env::default().default_filter_or(level));
    match format {
        LogFormat::Text => builder.format(|out, record| {
            let time = out.timestamp_seconds().to_string();
            writeln!(out, "{}", TextLine { record, time: &time })
        }),
        LogFormat::Json => builder.format(|out, record| {
            let time = out.timestamp_millis().to_string();
            writeln!(out, "{}", json_line(record, &time))
        }),
    };
    let logger = builder.build();
    let finest = logger.filter();
    if log::set_boxed_logger(Box::new(FilteringLogger(logger))).is_ok() {
        log::set_max_level(finest);
    }
}

/// Whether the process is closing its listener, which actix logs as an error.
static LISTENER_CLOSING: AtomicBool = AtomicBool::new(false);

/// Suppresses what the listener logs from here on.
pub(super) fn silence_listener_errors() {
    LISTENER_CLOSING.store(true, Ordering::Relaxed);
}

/// Drops lines of libraries, whatever `RUST_LOG` says. Libraries do not know which values are secret, and their log
/// lines change with their versions. rmcp logs ids, errors and, at `debug`, whole messages: connect links, guests'
/// data, and text that clients choose. Spans of `tracing` contain whatever their authors record. So these two log
/// nothing at any level; the request's own line says what failed.
struct FilteringLogger<L>(L);

impl<L: Log> Log for FilteringLogger<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_allowed(metadata) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if is_allowed(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn is_allowed(metadata: &Metadata<'_>) -> bool {
    if metadata.target() == "actix_server::accept" && LISTENER_CLOSING.load(Ordering::Relaxed) {
        return false;
    }
    match metadata.target().split("::").next() {
        Some(env!("CARGO_CRATE_NAME")) => true,
        Some("rmcp" | "tracing") => false,
        _ => metadata.level() <= Level::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_say_nothing_finer_than_info_and_rmcp_nothing() {
        let may = |target: &str, level| is_allowed(&Metadata::builder().target(target).level(level).build());
        for (target, finest) in [
            ("ownerrez_gateway", Some(Level::Trace)),
            ("ownerrez_gateway::request", Some(Level::Trace)),
            ("rmcp", None),
            ("rmcp::service", None),
            ("tracing::span", None),
            ("sqlx::query", Some(Level::Info)),
            ("ownerrez_gateway_helpers", Some(Level::Info)),
            ("", Some(Level::Info)),
        ] {
            for level in Level::iter() {
                assert_eq!(may(target, level), finest.is_some_and(|finest| level <= finest), "{target} {level}");
            }
        }
    }
}
