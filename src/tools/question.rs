//! The question to a person. Clients show little of it (Claude Code three lines), so what matters most comes first: the
//! effect, then whom or what it meets, then what else the write says.

use serde_json::{Map, Value};

use crate::catalog::Operation;

/// Longer lines are cut; the last one holds texts such as a message.
const LONGEST_LINE: usize = 120;
const LONGEST_LAST_LINE: usize = 500;

/// Asks whether a write that says this is to be made, in two or three lines.
pub(super) fn question(operation: &Operation, said: &Map<String, Value>) -> String {
    let title = operation.tool().title.as_deref().unwrap_or(operation.name());
    let (effect, whom) = if operation.is_destructive() {
        ("This cannot be undone.", "Affects")
    } else {
        ("A guest gets this at once, for good.", "To")
    };
    let (mut records, rest): (Vec<_>, Vec<_>) = said.iter().partition(|(name, _)| names_a_record(name));
    // A long name must not push the id out of the line.
    records.sort_by_key(|(_, value)| !value.is_number());
    let listed = |members: Vec<(&String, &Value)>| {
        members.iter().map(|(name, value)| format!("{name}: {}", one_line(value))).collect::<Vec<_>>().join(", ")
    };
    let mut question = format!("{title}? {effect}");
    for (whom, members, longest) in [(whom, records, LONGEST_LINE), ("With", rest, LONGEST_LAST_LINE)] {
        if !members.is_empty() {
            question.push('\n');
            question.push_str(&cut(&format!("{whom} {}", listed(members)), longest));
        }
    }
    question
}

/// Whether an argument says which record is meant.
fn names_a_record(name: &str) -> bool {
    name == "id" || name.ends_with("_id") || name == "entity_type" || name == "name"
}

/// A value without line breaks and without characters that hide or reorder others: a model wrote it, and it must not look
/// like another line of the question.
fn one_line(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let plain: String = text.chars().map(|c| if is_deceptive(c) { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Control characters, and those of Unicode that are invisible or change the direction of writing (UAX 9).
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
}

fn cut(line: &str, longest: usize) -> String {
    let characters = line.chars().count();
    if characters <= longest {
        return line.to_owned();
    }
    let shown: String = line.chars().take(longest).collect();
    format!("{shown}… ({} more characters)", characters - longest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::catalog::Catalog;

    fn asked(tool: &str, said: &Value) -> String {
        let catalog = Catalog::embedded().unwrap();
        question(catalog.get(tool).unwrap(), said.as_object().unwrap())
    }

    #[test]
    fn the_effect_comes_first_and_whom_it_meets_second() {
        assert_eq!(
            asked("delete_guest_phone", &json!({"id": 7, "phone_id": 1})),
            "Delete a guest phone? This cannot be undone.\nAffects id: 7, phone_id: 1"
        );
        assert_eq!(
            asked("create_message", &json!({"body": "Welcome,\n\nAda!", "thread_id": 8})),
            "Send a message? A guest gets this at once, for good.\nTo thread_id: 8\nWith body: Welcome, Ada!"
        );
        let long = asked("create_message", &json!({"body": "x".repeat(600), "thread_id": 8}));
        assert!(long.ends_with("… (111 more characters)"), "{long}");
    }

    proptest! {
        #[test]
        fn it_has_three_short_lines_whatever_a_model_writes(
            body in any::<String>(), subject in "\\PC{0,40}\n[\u{200b}-\u{202e}]{0,3}\\PC{0,200}", id in any::<i64>(),
        ) {
            for (tool, effect) in [("create_message", "A guest gets this at once"), ("delete_tag_by_name", "cannot be undone")] {
                let question = asked(tool, &json!({"thread_id": id, "name": &subject, "body": &body, "x": [&body]}));
                let lines: Vec<&str> = question.split('\n').collect();
                prop_assert!(lines.len() <= 3 && lines[0].contains(effect), "{}", question);
                prop_assert!(lines[0].chars().count() <= 100 && lines[1].contains(&id.to_string()), "{}", question);
                prop_assert!(lines.iter().all(|line| line.chars().count() <= 540), "{}", question);
                prop_assert!(!question.chars().any(|c| c != '\n' && is_deceptive(c)), "{:?}", question);
            }
        }
    }
}
