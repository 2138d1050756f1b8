//! The sources of the settings: a file and the environment.

use std::{collections::HashMap, path::PathBuf};

use super::settings::{SETTINGS, misspelt_variable};

/// The sources of the settings, in addition to the built-in defaults. Not `Debug`: it contains secrets.
#[derive(Clone, Default)]
pub struct Sources {
    /// A TOML file; its settings override the defaults.
    pub file: Option<PathBuf>,
    /// Environment variables; they override the file. Unknown names are ignored, except misspelt names of the tool
    /// settings.
    pub environment: HashMap<String, String>,
}

impl Sources {
    /// Returns the sources of a real process: the file, if one was named, and the process's environment.
    #[expect(clippy::disallowed_methods, reason = "this is the only reader of the environment")]
    pub fn from_process(file: Option<PathBuf>) -> Self {
        let known = |name: &str| SETTINGS.iter().any(|setting| setting.env == Some(name));
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            // A value that is not UTF-8 is converted lossily and kept, so that it is rejected and not overlooked.
            let counts = known(&name) || misspelt_variable(&name).is_some();
            counts.then(|| (name, value.to_string_lossy().into_owned()))
        });
        Self { file, environment: variables.collect() }
    }
}
