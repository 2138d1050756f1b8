//! The direction of the house: a file names only rooms below its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each room and how high it lies.
const ROOMS: &[(&str, u8)] = &[
    ("domain", 0),
    ("config", 1),
    ("crypto", 1),
    ("catalog", 1),
    ("store", 2),
    ("upstream", 2),
    ("session", 3),
    ("http", 4),
    ("app", 5),
];

/// The simulator lies beside the house: it knows `domain` only, and only `app` knows it.
const SANDBOX: &str = "sandbox";

#[test]
fn a_file_names_only_rooms_below_its_own() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in rust_files(&source) {
        let within = file.strip_prefix(&source).unwrap();
        let room = within.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if room == "lib" || room == "main" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        wrong.extend(
            rooms_named(&text)
                .into_iter()
                .filter(|named| !may_name(&room, named))
                .map(|named| format!("{} names {named}", within.display())),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_test_sees_what_it_is_there_to_see() {
    let text = "use crate::{\n    domain::UserId,\n    http::{Guard, x},\n};\nfn f() { crate::app::run() }\n// crate::session\n";
    assert_eq!(rooms_named(text), ["app", "domain", "http"]);
    assert!(!may_name("store", "http") && !may_name("store", "upstream") && !may_name("crypto", "config"));
    assert!(may_name("session", "store") && may_name("store", "store") && !may_name("http", SANDBOX));
}

fn may_name(room: &str, named: &str) -> bool {
    let height = |room: &str| ROOMS.iter().find(|(known, _)| *known == room).map(|(_, height)| *height);
    match (height(room), height(named)) {
        _ if room == named => true,
        (Some(_), None) => room == "app" && named == SANDBOX,
        (None, Some(height)) => room == SANDBOX && height == 0,
        (Some(own), Some(other)) => other < own,
        (None, None) => false,
    }
}

/// The rooms after `crate::`, in nested lists as well; comments do not count.
fn rooms_named(text: &str) -> Vec<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.push(first_word(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut start = true;
                for (at, letter) in list.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        letter if start && depth == 0 && letter.is_alphanumeric() => {
                            found.push(first_word(&list[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found.retain(|word| word == SANDBOX || ROOMS.iter().any(|(room, _)| room == word));
    found.sort();
    found.dedup();
    found
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files
}
