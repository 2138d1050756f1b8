//! Errors of the settings, with what the operator can do next. No text here repeats a value that was not understood: it
//! might be a secret in the wrong place.

use std::{fmt, path::PathBuf};

use super::settings::Setting;

/// Where a value was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ValueSource {
    /// `config/default.toml`, built into the program.
    Default,
    /// The file named by `--config`.
    File(PathBuf),
    /// An environment variable.
    Environment,
}

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The names of the setting; or of the file, if the file itself is at fault.
    pub setting: String,
    /// Where the wrong value was found.
    pub source: ValueSource,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, source, problem, remedy } = self;
        match source {
            ValueSource::File(path) => write!(f, "{setting}, set in {}: {problem}", path.display())?,
            ValueSource::Environment => write!(f, "{setting}, set in the environment: {problem}")?,
            ValueSource::Default => write!(f, "{setting}: {problem}")?,
        }
        write!(f, "\n  To fix it: {remedy}")
    }
}

/// All mistakes that were found; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// A mistake as reported by the parser of a single value, which does not know the setting's name.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }

    pub(super) fn of(self, setting: &Setting, source: &ValueSource) -> ConfigError {
        ConfigError { setting: setting.label(), source: source.clone(), problem: self.what, remedy: self.remedy }
    }
}
