//! The documents name files of this repository: after a rename they must follow.

use std::{fs, path::Path};

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
