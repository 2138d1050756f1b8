//! Reads which functions of `store` query a table without naming the user.

use std::{collections::BTreeSet, fs, path::Path};

/// Returns the functions, as `file::function`, that query one of these tables and do not mention the user whose rows
/// they read or change.
pub(super) fn without_user(tables: &BTreeSet<&str>) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The commands of the operator work across users.
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("admin.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let file = path.file_stem().unwrap().to_str().unwrap();
        let aliases = aliases(text, tables);
        for (name, body) in functions(text) {
            let queries = aliases.iter().any(|alias| {
                ["Entity", "Column", "ActiveModel"].iter().any(|part| names(&body, &format!("{alias}::{part}")))
            });
            let mentions_user = ["UserId", "user.0", "users::Column::Id"].iter().any(|word| body.contains(word));
            if queries && !mentions_user {
                found.insert(format!("{file}::{name}"));
            }
        }
    }
    found
}

/// Returns the names under which a file knows the entities of these tables.
fn aliases(text: &str, tables: &BTreeSet<&str>) -> Vec<String> {
    let imports = text.split("use entity::").skip(1).map(|rest| rest.split(';').next().unwrap());
    let mut found: Vec<String> = tables.iter().map(|table| format!("entity::{table}")).collect();
    for import in imports.flat_map(|import| import.split(['{', '}', ','])) {
        let (table, alias) = import.split_once(" as ").unwrap_or((import, import));
        if tables.contains(table.trim()) {
            found.push(alias.trim().to_owned());
        }
    }
    found
}

/// Returns whether a text contains a path that does not continue another one to its left.
fn names(text: &str, path: &str) -> bool {
    text.match_indices(path).any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

/// Returns the functions of a file, those of its `impl` blocks included, with their texts.
fn functions(text: &str) -> Vec<(String, String)> {
    let mut functions: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let indented = line.strip_prefix("    ").unwrap_or(line);
        let is_start =
            !indented.starts_with([' ', '/', '}']) && (indented.starts_with("fn ") || indented.contains(" fn "));
        if is_start {
            let (_, rest) = line.split_once("fn ").unwrap();
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            functions.push((name, String::new()));
        }
        if let Some((_, body)) = functions.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    functions
}
