//! The confirmation question to the user. Clients show little of it (Claude Code three lines), so the most important
//! part comes first: the effect, then the affected record, then the other arguments of the write.

use serde_json::{Map, Value};

use crate::catalog::Operation;

/// Longer lines are cut.
const LONGEST_LINE: usize = 100;

/// Returns the question whether to make a write with these arguments, in two or three lines.
pub(super) fn question(operation: &Operation, arguments: &Map<String, Value>) -> String {
    let title = operation.tool().title.as_deref().unwrap_or(operation.name());
    let (effect, whom) = match (operation.is_destructive(), arguments.contains_key(THREAD)) {
        (true, _) => ("This cannot be undone.", "Affects"),
        (false, true) => ("A guest gets this at once; it cannot be recalled.", "In"),
        (false, false) => ("A guest gets this at once; it cannot be recalled.", "To"),
    };
    let (records, rest): (Vec<_>, Vec<_>) = arguments.iter().partition(|(name, _)| names_a_record(name));
    let mut records: Vec<Record> =
        records.into_iter().filter_map(|(name, value)| record(operation, arguments, name, value)).collect();
    // A long name must not push the id out of the line.
    records.sort_by_key(|record| !record.has_id);
    let records: Vec<String> = records.into_iter().map(|record| record.words).collect();
    let rest: Vec<String> = rest.into_iter().map(|(name, value)| format!("{name}: {}", one_line(value))).collect();
    let mut question = format!("{title}? {effect}");
    for (whom, members) in [(whom, records), ("With", rest)] {
        if !members.is_empty() {
            question.push('\n');
            question.push_str(&cut(&format!("{whom} {}", members.join(", "))));
        }
    }
    question
}

/// The argument with the id of the message thread.
const THREAD: &str = "thread_id";
/// The arguments that together identify a record of any kind.
const ENTITY: (&str, &str) = ("entity_type", "entity_id");

/// A record in words.
struct Record {
    has_id: bool,
    words: String,
}

/// Returns whether an argument identifies a record.
fn names_a_record(name: &str) -> bool {
    name == "id" || name.ends_with("_id") || name == ENTITY.0 || name == "name"
}

/// Returns the record that an argument identifies, as "the guest 7"; `None` for the kind of a record, which is shown
/// with its id.
fn record(operation: &Operation, arguments: &Map<String, Value>, name: &str, value: &Value) -> Option<Record> {
    let value_in_words = one_line(value);
    let kind = match name {
        "id" => kind_of_id(operation),
        THREAD => "message thread".to_owned(),
        name if name == ENTITY.1 => one_line(arguments.get(ENTITY.0).unwrap_or(&Value::from("record"))),
        name if name == ENTITY.0 && arguments.contains_key(ENTITY.1) => return None,
        name => match name.strip_suffix("_id") {
            Some(kind) => kind.replace('_', " "),
            None => return Some(Record { has_id: false, words: format!("{name}: {value_in_words}") }),
        },
    };
    Some(Record { has_id: value.is_number(), words: format!("the {} {value_in_words}", kind.replace('_', " ")) })
}

/// Returns the kind of record that `id` identifies: the path segment before it, or the words of the title if they are
/// the same without spaces.
fn kind_of_id(operation: &Operation) -> String {
    let before = operation.path().split("/{id}").next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let kind = before.strip_suffix('s').unwrap_or(before);
    let title = operation.tool().title.as_deref().unwrap_or_default();
    let words: Vec<&str> = title.split(' ').skip(2).collect();
    if words.concat() == kind { words.join(" ") } else { kind.to_owned() }
}

/// Returns a value without line breaks and without characters that hide or reorder others: a model wrote it, and it
/// must not look like another line of the question.
fn one_line(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let plain: String = text.chars().map(|c| if is_deceptive(c) { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Matches control characters, and Unicode characters that are invisible or change the text direction (UAX 9).
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
}

fn cut(line: &str) -> String {
    let characters = line.chars().count();
    if characters <= LONGEST_LINE {
        return line.to_owned();
    }
    let shown: String = line.chars().take(LONGEST_LINE).collect();
    format!("{shown}… ({} more characters)", characters - LONGEST_LINE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::catalog::Catalog;

    fn asked(tool: &str, arguments: &Value) -> String {
        let catalog = Catalog::embedded().unwrap();
        question(catalog.get(tool).unwrap(), arguments.as_object().unwrap())
    }

    #[test]
    fn the_effect_comes_first_and_whom_it_meets_second() {
        for (tool, arguments, expected) in [
            (
                "delete_guest_phone",
                json!({"id": 7, "phone_id": 1}),
                "Delete a guest phone? This cannot be undone.\nAffects the guest 7, the phone 1",
            ),
            (
                "delete_tag_definition",
                json!({"id": 7}),
                "Delete a tag definition? This cannot be undone.\nAffects the tag definition 7",
            ),
            (
                "delete_tag_by_name",
                json!({"name": "VIP", "entity_type": "guest", "entity_id": 5}),
                "Delete a tag by name? This cannot be undone.\nAffects the guest 5, name: VIP",
            ),
            (
                "create_message",
                json!({"body": "Welcome,\n\nAda!", "thread_id": 8}),
                "Send a message? A guest gets this at once; it cannot be recalled.\nIn the message thread 8\nWith body: Welcome, Ada!",
            ),
        ] {
            let question = asked(tool, &arguments);
            let (_, whom) = question.split_once('\n').unwrap();
            assert_eq!(whom, expected.split_once('\n').unwrap().1, "{question}");
        }
        let long = asked("create_message", &json!({"body": "x".repeat(600), "thread_id": 8}));
        assert!(long.ends_with("… (511 more characters)"), "{long}");
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
                prop_assert!(lines.iter().all(|line| line.chars().count() <= 130), "{}", question);
                prop_assert!(!question.chars().any(|c| c != '\n' && is_deceptive(c)), "{:?}", question);
            }
        }
    }
}
