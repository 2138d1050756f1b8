//! The format of the log.

use super::errors::Problem;

/// The format of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For humans.
    Text,
    /// One object per line.
    Json,
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, Problem> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Problem::new("it is not a log format", "set it to text or json")),
    }
}
