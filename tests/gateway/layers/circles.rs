//! No file imports, directly or through others, itself: inside a module, too, imports have one direction.
//!
//! An import of `super::x` leads to the file of the child module `x`, if there is one, and otherwise to the file of the
//! parent, which defines or re-exports `x`. So a child that imports an item of its parent's file forms a circle, because
//! the parent declares the child.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{module_of, rust_files, tokens::tokens};

/// The files of the crate by module path, such as `http::pages`, with their tokens.
type Files = BTreeMap<String, Vec<String>>;
/// The files that each file imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_file_imports_itself_through_others() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    rust_files(&source, &mut paths);
    let files = paths.iter().map(|path| {
        let text = fs::read_to_string(path).unwrap();
        (module_of(path.strip_prefix(&source).unwrap()), without_tests(&tokens(&text)))
    });
    let files: Files = files.filter(|(module, _)| !module.split("::").any(|part| part == "tests")).collect();
    assert!(files.len() > 200, "only {} files found", files.len());
    let circles = circles(&imports(&files));
    assert!(circles.is_empty(), "move what these files share to a file of its own: {circles:#?}");
}

#[test]
fn every_form_of_a_circle_is_found_and_nothing_else() {
    let found = |texts: &[(&str, &str)]| {
        let files = texts.iter().map(|(module, text)| ((*module).to_owned(), without_tests(&tokens(text)))).collect();
        circles(&imports(&files)).len()
    };
    let parent = ("a", "mod b; pub use b::B; pub struct Item;");
    for (child, circles) in [
        ("use super::Item;", 1),
        ("use super::{c::C, Item};", 1),
        ("use crate::a::Item;", 1),
        ("use super::*;", 1),
        ("fn f() -> super::Item { loop {} }", 1),
        ("use super::super::a::Item;", 1),
        ("use self::super::Item;", 1),
        ("fn f() { for x in super::ALL {} }", 1),
        ("fn f() { super::c::X as super::Item }", 1),
        ("pub(super) struct B; pub(in crate::a) struct C;", 0),
        ("use super::c::C;", 0),
        ("use super::{super::b::X, c::C};", 0),
        ("#[cfg(test)] mod tests { use super::super::Item; }", 0),
        ("// use super::Item;", 0),
    ] {
        assert_eq!(found(&[parent, ("a::b", child), ("a::c", "")]), circles, "{child}");
    }
    let siblings = |c: &str| found(&[("a", "mod b; mod c;"), ("a::b", "use super::c::C;"), ("a::c", c)]);
    assert_eq!(siblings("use super::b::B;"), 1);
    assert_eq!(siblings("use crate::{a::{b::{B}}};"), 1);
    assert_eq!(siblings("use super::d::D;"), 0);
    // A re-export leads to its parent, wherever the item is defined.
    assert_eq!(found(&[parent, ("a::b", ""), ("a::c", "use super::B;")]), 0);
    assert_eq!(found(&[("a", "pub use b::B; use c::C;"), ("a::b", ""), ("a::c", "use super::B;")]), 1);
}

/// Returns the tokens without items for tests.
fn without_tests(tokens: &[String]) -> Vec<String> {
    const CONFIGURED: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].iter().take(CONFIGURED.len()).eq(CONFIGURED.iter()) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += CONFIGURED.len();
        let mut level = 0;
        while at < tokens.len() {
            match tokens[at].as_str() {
                "{" => level += 1,
                "}" => level -= 1,
                _ => {}
            }
            let ends = level == 0 && ["}", ";"].contains(&tokens[at].as_str());
            at += 1;
            if ends {
                break;
            }
        }
    }
    kept
}

/// Returns the imports between files of one top-level module.
fn imports(files: &Files) -> Imports {
    let top = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let mut imports = Imports::new();
    for (module, tokens) in files {
        let targets = paths(tokens).into_iter().map(|path| resolve(files, module, &path));
        let children = tokens.windows(2).filter(|two| two[1] == "::").map(|two| format!("{module}::{}", two[0]));
        let targets = targets
            .chain(children)
            .filter(|target| target != module && files.contains_key(target) && top(target) == top(module));
        imports.entry(module.clone()).or_default().extend(targets);
    }
    imports
}

/// Returns the paths that start with `crate`, `super` or `self`, those of braced groups one by one.
fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let follows = |text: &str| at > 0 && tokens[at - 1] == text;
        let is_start = ["crate", "super", "self"].contains(&tokens[at].as_str())
            && tokens.get(at + 1).is_some_and(|next| next == "::")
            && !follows("::");
        let is_visibility = follows("in") && at > 1 && tokens[at - 2] == "(";
        at = if is_start && !is_visibility { read_path(tokens, at, Vec::new(), &mut found) } else { at + 1 };
    }
    found
}

/// Adds the paths that begin with `prefix` and continue at this token; returns the position after them.
fn read_path(tokens: &[String], mut at: usize, mut prefix: Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    while let Some(token) = tokens.get(at) {
        if token == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token != "}") {
                let after = read_path(tokens, at, prefix.clone(), found);
                at = if tokens.get(after).is_some_and(|token| token == ",") { after + 1 } else { after.max(at + 1) };
            }
            return at + 1;
        }
        if !token.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '*') {
            break;
        }
        prefix.push(token.clone());
        at += 1;
        match tokens.get(at).map(String::as_str) {
            Some("::") => at += 1,
            Some("as") => {
                // In an expression, a type with a path of its own may follow.
                let is_type =
                    tokens.get(at + 1).is_some_and(|next| ["crate", "super", "self"].contains(&next.as_str()));
                at += if is_type { 1 } else { 2 };
                break;
            }
            _ => break,
        }
    }
    found.push(prefix);
    at
}

/// Returns the file to which a path leads.
fn resolve(files: &Files, module: &str, path: &[String]) -> String {
    let mut place: Vec<&str> = module.split("::").collect();
    let mut rest = path.iter().map(String::as_str).peekable();
    match rest.peek() {
        Some(&"crate") => {
            place.clear();
            rest.next();
        }
        _ => {
            rest.next_if_eq(&"self");
            while rest.next_if_eq(&"super").is_some() {
                place.pop();
            }
        }
    }
    for part in rest {
        place.push(part);
        if !files.contains_key(&place.join("::")) {
            place.pop();
            break;
        }
    }
    place.join("::")
}

/// Returns the circles, each as the imports between its files.
fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|file| (file.as_str(), reached_from(imports, file))).collect();
    let mut circles: BTreeMap<BTreeSet<&str>, Vec<String>> = BTreeMap::new();
    for (file, targets) in imports {
        for target in targets {
            let is_within = |one: &str, other: &str| reached.get(one).is_some_and(|files| files.contains(other));
            if is_within(target, file) {
                let members = reached[file.as_str()].iter().copied().filter(|other| is_within(other, file)).collect();
                circles.entry(members).or_default().push(format!("{file} imports {target}"));
            }
        }
    }
    circles.into_values().collect()
}

/// Returns the files that a file imports, directly or through others.
fn reached_from<'a>(imports: &'a Imports, file: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = vec![file];
    while let Some(next) = open.pop() {
        for target in imports.get(next).into_iter().flatten() {
            if reached.insert(target.as_str()) {
                open.push(target);
            }
        }
    }
    reached
}
