//! Layers of settings (defaults, file, environment) and the functions that read single values from them. A wrong value
//! is recorded and the next lower layer is used, so that one mistake is reported once and never hides another.

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path};

use toml::{Table, Value};

use super::{
    errors::{ConfigError, Problem, ValueSource},
    settings::{self, SETTINGS},
    sources::Sources,
};

/// Takes the place of a setting's name if the whole file is unusable.
pub(super) const WHOLE_FILE: &str = "all settings";

const DEFAULTS: &str = include_str!("../../config/default.toml");

struct Layer {
    source: ValueSource,
    values: BTreeMap<String, Value>,
}

/// The layers, most specific first, and the mistakes found so far.
pub(super) struct Layers {
    layers: Vec<Layer>,
    errors: Vec<ConfigError>,
    file_unusable: bool,
}

impl Layers {
    pub(super) fn of(sources: Sources) -> Self {
        let mut layers = Self { layers: Vec::new(), errors: Vec::new(), file_unusable: false };
        let Sources { file, environment } = sources;
        let values = SETTINGS.iter().filter_map(|setting| {
            Some((setting.key.to_owned(), Value::String(environment.get(setting.env?)?.clone())))
        });
        layers.layers.push(Layer { source: ValueSource::Environment, values: values.collect() });
        for (name, env) in environment.keys().filter_map(|name| Some((name, settings::misspelt_variable(name)?.env?))) {
            layers.errors.push(ConfigError {
                setting: name.clone(),
                source: ValueSource::Environment,
                problem: "unknown setting".to_owned(),
                remedy: format!("use {env}, or remove it"),
            });
        }
        if let Some(path) = file {
            layers.add_file(&path);
        }
        layers.add(ValueSource::Default, DEFAULTS);
        layers
    }

    /// Returns the mistakes. If the file could not be read, mistakes about missing values are left out, because the
    /// values may be in the file.
    pub(super) fn finish(mut self) -> Vec<ConfigError> {
        if self.file_unusable {
            self.errors.retain(|error| error.source != ValueSource::Default);
        }
        self.errors
    }

    fn add_file(&mut self, path: &Path) {
        let source = ValueSource::File(path.to_owned());
        match std::fs::read_to_string(path) {
            Ok(text) => self.add(source, &text),
            Err(error) => self.file_is_unusable(
                source,
                format!("the file cannot be read ({error})"),
                "pass an existing, readable TOML file to --config, or omit --config",
            ),
        }
    }

    fn file_is_unusable(&mut self, source: ValueSource, problem: String, remedy: &str) {
        self.file_unusable = true;
        let setting = WHOLE_FILE.to_owned();
        self.errors.push(ConfigError { setting, source, problem, remedy: remedy.to_owned() });
    }

    fn add(&mut self, source: ValueSource, text: &str) {
        let table = match text.parse::<Table>() {
            Ok(table) => table,
            Err(error) => {
                // The error's own Display quotes the line, which may contain a secret.
                let line = error.span().map_or(0, |span| span.start);
                let line = text.bytes().take(line).filter(|byte| *byte == b'\n').count() + 1;
                let problem = format!("line {line} is not valid TOML ({})", error.message());
                return self.file_is_unusable(source, problem, "write each setting as `name = value` in its [section]");
            }
        };
        let mut values = BTreeMap::new();
        flatten("", table, &mut values);
        for unknown in values.keys().filter(|key| settings::at(key).is_none()) {
            let remedy = match (settings::replacement(unknown), settings::closest(unknown)) {
                (Some(remedy), _) => remedy.to_owned(),
                (None, Some(setting)) => format!("remove it; the closest setting is {}", setting.key),
                (None, None) => "remove it".to_owned(),
            };
            self.errors.push(ConfigError {
                setting: unknown.clone(),
                source: source.clone(),
                problem: "unknown setting".to_owned(),
                remedy,
            });
        }
        self.layers.push(Layer { source, values });
    }

    /// Records a mistake that shows only when several settings are compared.
    pub(super) fn refuse(&mut self, key: &'static str, what: impl Into<String>, remedy: impl Into<String>) {
        let Some(setting) = settings::at(key) else { return };
        let source = self.source(key);
        self.errors.push(Problem::new(what, remedy).of(setting, &source));
    }

    /// Returns whether this setting was given a value, valid or not.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.source(key) != ValueSource::Default
    }

    fn source(&self, key: &str) -> ValueSource {
        let holds = |layer: &&Layer| layer.values.get(key).is_some_and(|value| !is_blank(value));
        self.layers.iter().find(holds).map_or(ValueSource::Default, |layer| layer.source.clone())
    }

    /// Returns the first valid value, from the most specific layer down.
    fn value<T>(&mut self, key: &'static str, read: impl Fn(&Value) -> Result<T, Problem>) -> Option<T> {
        let setting = settings::at(key)?;
        for layer in &self.layers {
            let Some(value) = layer.values.get(key).filter(|value| !is_blank(value)) else { continue };
            match read(value) {
                Ok(value) => return Some(value),
                Err(problem) => self.errors.push(problem.of(setting, &layer.source)),
            }
        }
        None
    }

    /// Reads a text, parsed by `read`.
    pub(super) fn text<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, Problem>) -> Option<T> {
        self.value(key, |value| read(words(value)?))
    }

    /// Reads a text in which every character counts, including surrounding spaces.
    pub(super) fn verbatim<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, Problem>) -> Option<T> {
        self.value(key, |value| read(value.as_str().map_or_else(|| words(value), Ok)?))
    }

    /// Reads an integer within its bounds.
    pub(super) fn number<T: TryFrom<i64> + Default>(&mut self, key: &'static str, bounds: RangeInclusive<i64>) -> T {
        let number = self.value(key, |value| {
            let remedy = format!("set it to a whole number from {} to {}", bounds.start(), bounds.end());
            let number = match value {
                Value::Integer(number) => *number,
                other => words(other)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| Problem::new("it is not a whole number", &*remedy))?,
            };
            let fits = bounds.contains(&number).then(|| T::try_from(number).ok()).flatten();
            fits.ok_or_else(|| Problem::new(format!("{number} is out of range"), remedy))
        });
        number.unwrap_or_default()
    }

    /// Reads a boolean.
    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.choice(key).unwrap_or_default()
    }

    /// Reads a boolean that may be unset.
    pub(super) fn choice(&mut self, key: &'static str) -> Option<bool> {
        self.value(key, |value| match value {
            Value::Boolean(flag) => Ok(*flag),
            other => words(other)
                .ok()
                .and_then(|text| text.to_lowercase().parse().ok())
                .ok_or_else(|| Problem::new("it is neither true nor false", "set it to true or false")),
        })
    }

    /// Reads a list of texts, or one text with commas; `read` checks and normalizes each entry.
    pub(super) fn list<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, Problem>) -> Option<Vec<T>> {
        self.value(key, |value| match value {
            Value::Array(entries) => entries.iter().map(|entry| read(words(entry)?)).collect(),
            other => {
                let entries = words(other)?.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                entries.map(&read).collect()
            }
        })
    }

    /// Reads a list of tables, each checked by `read`. Only a file can contain them.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Table) -> Result<T, Problem>,
    ) -> Option<Vec<T>> {
        self.value(key, |value| {
            let problem = || Problem::new("it is not a list of tables", "write it like [{ name = \"value\" }, …]");
            let entries = value.as_array().ok_or_else(problem)?;
            entries.iter().map(|entry| read(entry.as_table().ok_or_else(problem)?)).collect()
        })
    }
}

fn words(value: &Value) -> Result<&str, Problem> {
    value.as_str().map(str::trim).ok_or_else(|| Problem::new("it is not a string", "write it in double quotes"))
}

/// Returns whether the value counts as unset. An empty list does too: it must not mean "allow nothing" or "check
/// nothing".
fn is_blank(value: &Value) -> bool {
    match value {
        Value::String(text) => text.chars().all(|letter| letter.is_whitespace() || letter == ','),
        Value::Array(entries) => entries.is_empty(),
        _ => false,
    }
}

fn flatten(prefix: &str, table: Table, values: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(section) => flatten(&key, section, values),
            value => {
                values.insert(key, value);
            }
        }
    }
}
