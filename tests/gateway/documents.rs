//! The documents name files of this repository and must follow a rename. They name no counts that a change makes wrong.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The pages for contributors; pages for users name no source files.
const PAGES: [&str; 5] =
    ["CONTRIBUTING.md", "SECURITY.md", "docs/ARCHITECTURE.md", "docs/GLOSSARY.md", "docs/SIMULATOR.md"];

#[test]
fn every_path_in_the_documents_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let records = fs::read_dir(root.join("docs/adr")).unwrap().map(|entry| entry.unwrap().path());
    let mut checked = 0;
    let mut missing = Vec::new();
    for page in PAGES.iter().map(|page| root.join(page)).chain(records) {
        let text = fs::read_to_string(&page).unwrap();
        for path in text.split('`').skip(1).step_by(2).filter(|path| is_path(path)) {
            checked += 1;
            if !root.join(path).exists() {
                missing.push(format!("{}: {path}", page.display()));
            }
        }
    }
    assert!(checked > 50, "only {checked} paths found");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// A path from the root of the repository. Capital letters mark a placeholder, such as `src/store/NAME.rs`.
fn is_path(text: &str) -> bool {
    let tops = ["src/", "tests/", "config/", "migration/src/", "entity/src/", "docs/"];
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    let is_placeholder = text.contains("NAME") || text.contains("NNNN");
    tops.iter().any(|top| text.starts_with(top)) && is_plain && !is_placeholder
}

#[test]
fn every_name_in_the_documents_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut words = BTreeSet::new();
    for top in ["src", "tests", "config", "migration/src", "entity/src", "clippy.toml", "Cargo.toml", "justfile"] {
        collect_words(&root.join(top), &mut words);
    }
    let mut checked = 0;
    let mut missing = Vec::new();
    for page in ["docs/ARCHITECTURE.md", "docs/GLOSSARY.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        for name in text.split('`').skip(1).step_by(2).filter(|name| is_name(name)) {
            checked += 1;
            if name.split("::").any(|part| !words.contains(part)) {
                missing.push(format!("{page}: {name}"));
            }
        }
    }
    assert!(checked > 300, "only {checked} names found");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// A name as in the sources, with its path or without. Capital letters mark a placeholder, such as `NAME`.
fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && part != "NAME"
    };
    text.split("::").all(is_part) && !text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Adds the words of all files below a path, and the names of these files.
fn collect_words(path: &Path, words: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect_words(&entry.unwrap().path(), words);
        }
    } else if let Ok(text) = fs::read_to_string(path) {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        words.extend(text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(str::to_owned));
    }
    words.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
}

/// The things that documents must not count: the next new one would make the number wrong.
const COUNTED: [&str; 5] = ["tool", "operation", "endpoint", "route", "toolset"];

/// Words that may be between a number and the noun.
const BETWEEN: [&str; 12] =
    ["of", "the", "them", "these", "all", "plain", "new", "composite", "combined", "listed", "other", "default"];

/// Numbers in words. The smaller ones are left out: "the two tools" are followed by their names.
const NUMBERS: [&str; 24] = [
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
];

fn is_number(word: &str) -> bool {
    let first = word.split('-').next().unwrap();
    word.chars().all(|c| c.is_ascii_digit()) || NUMBERS.contains(&first)
}

/// Returns the counts of tools and the like in a text, each with the words behind it.
fn counts(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let bare = |at: usize| words[at].trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let is_counted = |word: &str| COUNTED.contains(&word.strip_suffix('s').unwrap_or(word));
    let mut found = Vec::new();
    for at in 0..words.len() {
        // A word with a mark behind it, such as "404:", begins another phrase.
        let ends = |at: usize| words[at].ends_with(['.', ',', ':', ';', '|', ')']);
        if bare(at).is_empty() || !is_number(&bare(at)) || ends(at) {
            continue;
        }
        let mut noun = at + 1;
        while noun < words.len() && (BETWEEN.contains(&&*bare(noun)) || is_number(&bare(noun))) && !ends(noun) {
            noun += 1;
        }
        if noun < words.len() && is_counted(&bare(noun)) {
            found.push(words[at..words.len().min(noun + 3)].join(" "));
        }
    }
    found
}

fn files_below(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, extension, found);
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
}

/// A number that is needed must be checked by a test, as those of docs/TOOLSETS.md and docs/TOOLS.md are.
#[test]
fn no_text_counts_tools_operations_or_endpoints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].iter().map(|page| root.join(page)).collect();
    files_below(&root.join("docs"), "md", &mut files);
    for folder in ["src", "tests", "entity", "migration"] {
        files_below(&root.join(folder), "rs", &mut files);
    }
    files_below(&root.join("config"), "toml", &mut files);
    assert!(files.len() > 400, "only {} files found", files.len());
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with("docs/TOOLS.md")) {
        let text = fs::read_to_string(file).unwrap();
        let mark = match file.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => "//",
            Some("toml") => "#",
            _ => "",
        };
        let prose: Vec<&str> = text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix(mark))
            .map(|line| line.trim_start_matches(['/', '!']))
            .collect();
        // docs/TOOLSETS.md names the size of the default list; a test of `tools` computes it.
        let is_checked = |count: &str| file.ends_with("docs/TOOLSETS.md") && count.contains(" tools, ");
        let own = counts(&prose.join(" ")).into_iter().filter(|count| !is_checked(count));
        wrong.extend(own.map(|count| format!("{}: {count}", file.strip_prefix(root).unwrap().display())));
    }
    assert!(wrong.is_empty(), "remove these counts, or compute them in a test: {wrong:#?}");
}

#[test]
fn a_count_is_recognised() {
    for (text, expected) in [
        ("All 81 operations of the API", vec!["81 operations of the"]),
        ("an `outputSchema`: 61 of the 81 operations and", vec!["61 of the 81 operations and", "81 operations and"]),
        ("called; 49 tools are new", vec!["49 tools are new"]),
        ("twenty-three new endpoints", vec!["twenty-three new endpoints"]),
        ("the two tools answer 404. Tools of 300 requests in 5 minutes, 404: tools", vec![]),
    ] {
        assert_eq!(counts(text), expected, "{text}");
    }
}
