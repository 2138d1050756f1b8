//! Complete loads: the sources, and the resulting configuration.

mod clients;
mod mistakes;
mod secrets;
mod server;
mod sources;
mod transport;

use std::{collections::HashMap, io::Write};

use tempfile::NamedTempFile;

use super::*;

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const PUBLIC: [(&str, &str); 3] =
    [("BIND", "0.0.0.0"), ("SERVER_URL", "https://gateway.example.com"), ("ENCRYPTION_KEY", KEY)];

fn environment(variables: &[(&str, &str)]) -> HashMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::load(Sources { file: None, environment: environment(variables) })
}

fn load_file(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let mut file = NamedTempFile::new().expect("temp file");
    file.write_all(text.as_bytes()).expect("write");
    Config::load(Sources { file: Some(file.path().to_owned()), environment: environment(variables) })
}

fn good(variables: &[(&str, &str)]) -> Config {
    load(variables).unwrap_or_else(|errors| panic!("{variables:?}: {errors}"))
}

/// Returns the settings with a mistake, in order.
fn at_fault(outcome: Result<Config, ConfigErrors>) -> Vec<String> {
    outcome.expect_err("something is wrong").0.into_iter().map(|error| error.setting).collect()
}

/// Asserts that only the named setting has a mistake.
#[track_caller]
fn refused(variables: &[(&str, &str)], setting: &str) {
    let faults = at_fault(load(variables));
    assert!(faults.len() == 1 && faults[0].contains(setting), "{variables:?}: {faults:?}");
}

fn public(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    PUBLIC.iter().chain(more).copied().collect()
}
