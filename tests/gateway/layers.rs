//! The direction of dependencies: a module imports only modules below it.

mod circles;
mod tokens;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use tokens::tokens;

/// Each top-level module and the modules that it may import.
const MAY_NAME: [(&str, &[&str]); 20] = [
    ("domain", &[]),
    ("config", &["domain"]),
    ("legacy", &["domain"]),
    ("crypto", &["domain", "legacy"]),
    ("catalog", &["domain"]),
    ("allowance", &["domain"]),
    ("metrics", &[]),
    ("outgoing", &[]),
    ("store", &["domain", "crypto", "allowance"]),
    ("upstream", &["domain", "metrics", "outgoing"]),
    ("session", &["domain", "legacy", "crypto", "catalog", "allowance", "metrics", "store", "upstream"]),
    ("auth", &["domain", "legacy", "crypto", "metrics", "store"]),
    ("oauth", &["domain", "config", "crypto", "metrics", "outgoing", "store", "session"]),
    ("tools", &["domain", "crypto", "catalog", "allowance", "metrics", "store", "upstream", "session"]),
    ("mcp", &["domain", "catalog", "tools"]),
    (
        "http",
        &[
            "domain",
            "config",
            "crypto",
            "catalog",
            "allowance",
            "metrics",
            "store",
            "upstream",
            "session",
            "auth",
            "oauth",
            "tools",
            "mcp",
        ],
    ),
    (
        "app",
        &[
            "domain",
            "config",
            "crypto",
            "catalog",
            "metrics",
            "outgoing",
            "store",
            "upstream",
            "session",
            "auth",
            "oauth",
            "tools",
            "mcp",
            "http",
            "simulator",
        ],
    ),
    ("simulator", &["domain"]),
    ("main", &["app", "config", "simulator"]),
    ("lib", &[]),
];

#[test]
fn every_file_names_only_what_lies_below_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    assert!(files.len() > 50, "only {} files found", files.len());
    let violations: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let relative = file.strip_prefix(&source).unwrap();
            violations(&module_of(relative), &fs::read_to_string(file).unwrap())
                .into_iter()
                .map(move |named| format!("src/{} names {named}", relative.display()))
        })
        .collect();
    assert!(violations.is_empty(), "{violations:#?}");
}

/// An edge that no file uses any more would let it come back unseen.
#[test]
fn every_edge_of_the_table_exists() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut found = BTreeSet::new();
    for file in files {
        let module = module_of(file.strip_prefix(&source).unwrap());
        let top = module.split("::").next().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        for named in top_modules(module.split("::").count(), &tokens(&text)) {
            found.insert((top.clone(), named));
        }
    }
    let unused: Vec<String> = MAY_NAME
        .iter()
        .flat_map(|(top, allowed)| allowed.iter().map(move |named| (top, named)))
        .filter(|(top, named)| !found.contains(&(top.to_string(), named.to_string())))
        .map(|(top, named)| format!("{top} -> {named}"))
        .collect();
    assert!(unused.is_empty(), "{unused:#?}");
}

/// The simulator has its own API description, so that an error in the catalogue is not repeated in the simulator.
#[test]
fn the_simulator_reads_nothing_of_the_catalogue() {
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/simulator"), &mut files);
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/simulator.rs"));
    assert!(files.len() > 30, "only {} files found", files.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("/config/"), "{} reads a file of the gateway", file.display());
    }
}

/// The checks of callers work on values, so that they need no request to be tested.
#[test]
fn the_checks_of_callers_name_no_type_of_actix_web() {
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/auth"), &mut files);
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/auth.rs"));
    assert!(files.len() > 20, "only {} files found", files.len());
    for file in files {
        let tokens = tokens(&fs::read_to_string(&file).unwrap());
        assert!(!tokens.iter().any(|token| token.starts_with("actix")), "{} names actix", file.display());
    }
}

#[test]
fn the_table_knows_every_module() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let declared: BTreeSet<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let known = MAY_NAME.iter().map(|(name, _)| *name).filter(|name| !["main", "lib"].contains(name)).collect();
    assert_eq!(declared, known);
}

#[test]
fn a_forbidden_import_is_seen_in_every_disguise() {
    for (module, text, expected) in [
        ("store", "use crate::session::Sessions;", vec!["session"]),
        ("store", "use crate::{domain::UserId, upstream::{Reply, Upstream}};", vec!["upstream"]),
        ("store::users", "fn f() { crate :: upstream :: send() }", vec!["upstream"]),
        ("store::users", "use super::super::http;", vec!["http"]),
        ("store", "use super::{http, domain};", vec!["http"]),
        ("store", "use super::{self as root, session as s};", vec!["session"]),
        ("domain", "use crate::*;", vec!["*"]),
        ("domain", "use crate as all;", vec!["*"]),
        ("config", "use crate::catalog::Catalog;", vec!["catalog"]),
        ("http", "use crate::simulator::Controls;", vec!["simulator"]),
        ("simulator", "use ownerrez_gateway::config::Config;", vec!["config"]),
        ("main", "use ownerrez_gateway::{app, store::{self}};", vec!["store"]),
        ("domain", "const T: &str = \"\\\"\"; const C: char = '\"'; use crate::app; // \"", vec!["app"]),
        ("domain", "fn f<'a>(x: &'a str) { crate::app::f(x) }", vec!["app"]),
        ("domain", "const R: &str = r#\"a \" b\"#; use crate::app;", vec!["app"]),
        // Text that is not an import of a higher layer.
        ("store", "// use crate::session;\n/* crate::http /* nested */ crate::app */", vec![]),
        ("store", "const TEXT: &str = \"crate::session\";", vec![]),
        ("store", "use crate::{crypto::Sealed, domain::{UserId, session}};", vec![]),
        ("session::error", "use super::http; use crate::session::allowance; mod tests { use super::*; }", vec![]),
        ("app::sandbox_gateway", "use crate::{http, simulator};", vec![]),
    ] {
        assert_eq!(violations(module, text), expected, "{module}: {text}");
    }
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// `http/mcp.rs` is `http::mcp`.
fn module_of(file: &Path) -> String {
    let file = file.with_extension("");
    let parts = file.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "mod");
    parts.collect::<Vec<_>>().join("::")
}

/// Returns the modules that the text of a module imports but must not.
fn violations(module: &str, text: &str) -> Vec<String> {
    let top = module.split("::").next().unwrap();
    let (_, allowed) = MAY_NAME.iter().find(|(name, _)| *name == top).unwrap_or_else(|| panic!("unknown: {top}"));
    let named = top_modules(module.split("::").count(), &tokens(text));
    named.into_iter().filter(|name| name != top && !allowed.contains(&name.as_str())).collect()
}

/// Returns the top-level modules that are named by a path from the crate's root, or by enough `super`s to get there. An
/// inline module is deeper than its file, so this may report too many modules there, but never too few.
fn top_modules(depth: usize, tokens: &[String]) -> Vec<String> {
    let mut named = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is_start = at == 0 || tokens[at - 1] != "::";
        let mut after = at + 1;
        let from_root = match token.as_str() {
            "crate" | "ownerrez_gateway" if is_start => true,
            "super" if is_start => {
                let mut ups = 1;
                while tokens.get(after).is_some_and(|next| next == "::")
                    && tokens.get(after + 1).is_some_and(|next| next == "super")
                {
                    ups += 1;
                    after += 2;
                }
                ups >= depth
            }
            _ => false,
        };
        if from_root {
            match (tokens.get(after).map(String::as_str), tokens.get(after + 1).map(String::as_str)) {
                (Some("::"), Some("{")) => named.extend(heads(&tokens[after + 2..])),
                (Some("::"), Some(name)) => named.push(name.to_owned()),
                (Some("as"), _) => named.push("*".to_owned()),
                _ => {}
            }
        }
        at = after;
    }
    // `super::*` in a test module means its file, and glob imports of the root appear as `crate::*`.
    let known = |name: &String| MAY_NAME.iter().any(|(module, _)| module == name);
    let wild = tokens.windows(3).any(|three| three == ["crate", "::", "*"])
        || tokens.windows(2).any(|two| two == ["crate", "as"]);
    let mut seen: Vec<String> = named.into_iter().filter(known).collect();
    if wild {
        seen.push("*".to_owned());
    }
    seen
}

/// Returns the first names of a braced group; inner groups belong to those names.
fn heads(group: &[String]) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut level, mut is_head) = (1, true);
    for token in group {
        match token.as_str() {
            "{" => level += 1,
            "}" => level -= 1,
            "," if level == 1 => {
                is_head = true;
                continue;
            }
            name if level == 1 && is_head => heads.push(name.to_owned()),
            _ => {}
        }
        if level == 0 {
            break;
        }
        is_head = false;
    }
    heads
}
