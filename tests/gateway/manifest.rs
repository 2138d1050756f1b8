//! The list of optimization levels in `Cargo.toml` names crates that the program contains.

use std::{collections::BTreeSet, fs, path::Path};

use toml::Table;

fn read(file: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Cargo only warns about a name that is no dependency any more, and that warning appears in release builds only.
#[test]
fn crates_with_an_optimization_level_are_dependencies() {
    let lock = read("Cargo.lock");
    let packages = lock["package"].as_array().unwrap().iter();
    let text = |package: &toml::Value, member: &str| package[member].as_str().unwrap().to_owned();
    let locked: BTreeSet<(String, String)> =
        packages.map(|package| (text(package, "name"), text(package, "version"))).collect();
    let manifest = read("Cargo.toml");
    let levels = manifest["profile"]["release"]["package"].as_table().unwrap();
    let listed: Vec<&str> = levels.keys().map(String::as_str).filter(|name| *name != "*").collect();
    assert!(listed.len() > 20, "only {} crates found", listed.len());
    let is_locked = |listed: &str| {
        let (name, version) = listed.split_once('@').unwrap_or((listed, ""));
        locked.iter().any(|(known, exact)| known == name && exact.starts_with(version))
    };
    let unknown: Vec<&str> = listed.into_iter().filter(|name| !is_locked(name)).collect();
    assert!(unknown.is_empty(), "remove these from [profile.release.package] in Cargo.toml: {unknown:?}");
}
