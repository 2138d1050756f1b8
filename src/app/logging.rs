//! What a line of the log looks like: text for people, or one JSON object per line for machines. `RUST_LOG` decides
//! which lines there are, among those that may be: of libraries nothing finer than `info`.

use std::{
    fmt::{self, Display},
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
};

use env_logger::{Builder, Env};
use log::{
    Level, Log, Metadata, Record,
    kv::{self, Key, Source, Value, VisitSource, VisitValue},
};
use serde_json::{Map, Value as Json, json};

use crate::config::LogFormat;

/// Starts the log of the process. `level` counts where `RUST_LOG` says nothing. A second start changes nothing.
pub fn start_logging(format: LogFormat, level: &str) {
    let mut builder = Builder::from_env(Env::default().default_filter_or(level));
    match format {
        LogFormat::Text => {
            builder.format_key_values(|out, fields| write!(out, "{}", AsText(fields)));
        }
        LogFormat::Json => {
            builder.format(|out, record| {
                let time = out.timestamp_millis().to_string();
                writeln!(out, "{}", as_json(record, &time))
            });
        }
    }
    let logger = builder.build();
    let finest = logger.filter();
    if log::set_boxed_logger(Box::new(Discreet(logger))).is_ok() {
        log::set_max_level(finest);
    }
}

/// Whether the process closes what it listens at, of which actix complains as of an error.
static LISTENER_ENDS: AtomicBool = AtomicBool::new(false);

/// From here on no complaint of the listener's is of interest.
pub(super) fn expect_the_end_of_the_listener() {
    LISTENER_ENDS.store(true, Ordering::Relaxed);
}

/// Keeps the finer lines of libraries out, whatever `RUST_LOG` says. They know nothing of secrets: rmcp writes whole
/// requests and answers at `debug`, connect links and guests among them, and what others write changes with their
/// versions. Of rmcp's greetings and of spans, which carry whatever their makers like, not even `info` is of use.
struct Discreet<L>(L);

impl<L: Log> Log for Discreet<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        may_speak(metadata) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if may_speak(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn may_speak(metadata: &Metadata<'_>) -> bool {
    if metadata.target() == "actix_server::accept" && LISTENER_ENDS.load(Ordering::Relaxed) {
        return false;
    }
    let finest = match metadata.target().split("::").next() {
        Some(env!("CARGO_CRATE_NAME")) => Level::Trace,
        Some("rmcp" | "tracing") => Level::Warn,
        _ => Level::Info,
    };
    metadata.level() <= finest
}

/// What the fields of most lines fit into, in bytes.
const USUAL_FIELDS: usize = 256;

/// ` name=value` for each field; values that are not one plain word stand in quotes.
struct AsText<'a>(&'a dyn Source);

impl Display for AsText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Line(String);

        impl<'kvs> VisitSource<'kvs> for Line {
            fn visit_pair(&mut self, name: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
                let Self(line) = self;
                // Piece by piece: a format string takes several times as long, and there are ten fields in a line.
                line.push(' ');
                line.push_str(name.as_str());
                line.push('=');
                let begin = line.len();
                match value.to_borrowed_str() {
                    Some(text) => line.push_str(text),
                    None => fmt::Write::write_fmt(line, format_args!("{value}"))?,
                }
                let text = &line[begin..];
                let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
                if !plain {
                    let text = line.split_off(begin);
                    fmt::Write::write_fmt(line, format_args!("{text:?}"))?;
                }
                Ok(())
            }
        }

        let mut line = Line(String::with_capacity(USUAL_FIELDS));
        self.0.visit(&mut line).map_err(|_| fmt::Error)?;
        f.write_str(&line.0)
    }
}

/// One line: time, level, target and message, and the record's fields beside them.
fn as_json(record: &Record<'_>, time: &str) -> Json {
    let mut members = Members(Map::new());
    // Fields cannot fail to be put into a map; and a line without them is better than none.
    let _ = record.key_values().visit(&mut members);
    let Members(mut line) = members;
    line.insert("time".to_owned(), json!(time));
    line.insert("level".to_owned(), json!(record.level().as_str()));
    line.insert("target".to_owned(), json!(record.target()));
    line.insert("message".to_owned(), json!(record.args().to_string()));
    Json::Object(line)
}

struct Members(Map<String, Json>);

impl<'kvs> VisitSource<'kvs> for Members {
    fn visit_pair(&mut self, name: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let mut typed = Typed(Json::Null);
        value.visit(&mut typed)?;
        self.0.insert(name.as_str().to_owned(), typed.0);
        Ok(())
    }
}

/// Numbers stay numbers, so that a query may compare them.
struct Typed(Json);

impl<'v> VisitValue<'v> for Typed {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.0 = json!(value.to_string());
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.0 = json!(value);
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0 = json!(value);
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.0 = json!(value);
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0 = json!(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_say_nothing_finer_than_info() {
        let may = |target: &str, level| may_speak(&Metadata::builder().target(target).level(level).build());
        for (target, finest) in [
            ("ownerrez_gateway", Level::Trace),
            ("ownerrez_gateway::request", Level::Trace),
            ("rmcp::service", Level::Warn),
            ("tracing::span", Level::Warn),
            ("sqlx::query", Level::Info),
            ("ownerrez_gateway_helpers", Level::Info),
            ("", Level::Info),
        ] {
            for level in Level::iter() {
                assert_eq!(may(target, level), level <= finest, "{target} {level}");
            }
        }
    }

    fn fields() -> Vec<(&'static str, Value<'static>)> {
        vec![
            ("status", Value::from(200_u16)),
            ("ms", Value::from(-1_i64)),
            ("tool", Value::from("list_owners")),
            ("cause", Value::from("two words,\na \"quote\"")),
            ("level", Value::from("no field takes the place of a part of the line")),
            ("done", Value::from(true)),
        ]
    }

    #[test]
    fn a_line_of_json_is_one_object_on_one_line() {
        let fields = fields();
        let record = Record::builder()
            .level(Level::Warn)
            .target("here")
            .args(format_args!("it happened\nagain"))
            .key_values(&fields)
            .build();
        let line = as_json(&record, "2026-06-15T12:00:00.000Z").to_string();
        assert!(!line.contains('\n'), "{line}");
        let expected = json!({
            "time": "2026-06-15T12:00:00.000Z", "level": "WARN", "target": "here", "message": "it happened\nagain",
            "status": 200, "ms": -1, "tool": "list_owners", "cause": "two words,\na \"quote\"", "done": true,
        });
        assert_eq!(line.parse::<Json>().unwrap(), expected);
    }

    #[test]
    fn a_field_in_text_cannot_pretend_to_be_another() {
        let fields =
            vec![("id", Value::from("x status=500")), ("status", Value::from(200_u16)), ("e", Value::from(""))];
        assert_eq!(AsText(&fields).to_string(), r#" id="x status=500" status=200 e="""#);
        let fields = vec![("cause", Value::from("a\nb"))];
        assert_eq!(AsText(&fields).to_string(), r#" cause="a\nb""#);
    }
}
