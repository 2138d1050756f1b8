//! The act of a tool, from the verb in its name, so that a client that asks for a tool that deletes is never referred
//! to one that creates.

/// The kind of change to a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Read,
    Create,
    Change,
    Delete,
}

/// The verbs that tool names of this and of other servers begin with.
const VERBS: [(Act, &[&str]); 4] = [
    (
        Act::Read,
        &["count", "describe", "fetch", "find", "get", "list", "lookup", "query", "read", "search", "show", "view"],
    ),
    (Act::Create, &["add", "create", "draft", "insert", "make", "new", "post", "send"]),
    (Act::Change, &["change", "edit", "modify", "move", "patch", "put", "rename", "set", "update"]),
    (Act::Delete, &["cancel", "delete", "destroy", "drop", "erase", "remove"]),
];

/// No name of a tool is longer.
const LONGEST: usize = 100;

impl Act {
    /// Returns the verb of the act in the third person.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Create => "creates",
            Self::Change => "changes",
            Self::Delete => "deletes",
        }
    }
}

/// Returns the act that a name contains, and the words of its object in the singular.
pub(super) fn act_and_object(name: &str) -> Option<(Act, Vec<String>)> {
    let words = words(name);
    let (index, act) = words.iter().enumerate().find_map(|(index, word)| Some((index, verb(word)?)))?;
    Some((act, words.iter().skip(index + 1).map(|word| singular(word)).collect()))
}

/// Returns the act that a verb means.
pub(super) fn verb(word: &str) -> Option<Act> {
    VERBS.into_iter().find(|(_, verbs)| verbs.contains(&word)).map(|(act, _)| act)
}

/// Returns the act in a name of one word, such as `sendmessage`, if the rest of the word is this kind of record.
pub(super) fn act_in_single_word(name: &str, subject: &[String]) -> Option<Act> {
    let words = words(name);
    let [word] = words.as_slice() else { return None };
    let subject = subject.concat();
    let is_rest = |verb: &&str| word.strip_prefix(*verb).is_some_and(|rest| singular(rest) == subject);
    VERBS.into_iter().find(|(_, verbs)| !subject.is_empty() && verbs.iter().any(is_rest)).map(|(act, _)| act)
}

/// Returns whether a client that used one name may mean the other: both have the same act, as far as they name one.
pub(super) fn acts_agree(name: &str, candidate: &str) -> bool {
    let Some((found, subject)) = act_and_object(candidate) else { return true };
    let asked = act_and_object(name).map(|(asked, _)| asked).or_else(|| act_in_single_word(name, &subject));
    asked.is_none_or(|asked| asked == found)
}

/// Returns the words of a name in lower case: `deleteBooking`, `delete-booking` and `delete_booking` have the same.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars().take(LONGEST) {
        let begins = !letter.is_alphanumeric() || (letter.is_uppercase() && was_lower);
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        was_lower = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    for ending in ["ses", "xes"] {
        if let Some(stem) = word.strip_suffix(ending) {
            return format!("{stem}{}", &ending[..1]);
        }
    }
    match word.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') => stem.to_owned(),
        _ => word.to_owned(),
    }
}
