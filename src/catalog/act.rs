//! What a tool does, by the verb in its name: a client that asks for a tool that deletes is never led to one that creates.

use super::{Catalog, Operation};

/// What is done to a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Read,
    Create,
    Change,
    Delete,
}

/// The verbs that tools of this and of other servers begin with.
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
    fn in_words(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Create => "creates",
            Self::Change => "changes",
            Self::Delete => "deletes",
        }
    }
}

/// The act that a name says, and what it is done to, in words of the singular.
pub(super) fn said(name: &str) -> Option<(Act, Vec<String>)> {
    let words = words(name);
    let verb = |word: &str| VERBS.into_iter().find(|(_, verbs)| verbs.contains(&word)).map(|(act, _)| act);
    let (place, act) = words.iter().enumerate().find_map(|(place, word)| Some((place, verb(word)?)))?;
    Some((act, words.iter().skip(place + 1).map(|word| singular(word)).collect()))
}

/// Whether one of these names may be meant by the other one: both do the same, as far as they say.
pub(super) fn may_mean(name: &str, candidate: &str) -> bool {
    match (said(name), said(candidate)) {
        (Some((asked, _)), Some((found, _))) => asked == found,
        _ => true,
    }
}

impl Catalog {
    /// The operation that does the same to the same kind of record under another verb, such as `delete_guest` for
    /// `remove_guests`.
    pub fn same_act(&self, name: &str) -> Option<&str> {
        let asked = said(name)?;
        let same = self.operations().map(Operation::name).filter(|known| said(known).as_ref() == Some(&asked));
        // Several may read: `search_bookings` asks for several bookings, as `list_bookings` does.
        same.min_by_key(|known| words(known).last() != words(name).last())
    }

    /// Says that OwnerRez has no operation for what this name asks for, where that is certain: there are operations on
    /// that kind of record, and none of them does this.
    pub fn impossible(&self, name: &str) -> Option<String> {
        let (act, subject) = said(name)?;
        let mut acts = self.operations().filter_map(|one| said(one.name())).filter(|(_, of)| *of == subject).peekable();
        acts.peek()?;
        if acts.any(|(known, _)| known == act) {
            return None;
        }
        let subject = subject.join(" ");
        let article = if subject.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        Some(format!(
            "OwnerRez's API has no operation that {} {article} {subject}: only the user can do that, in OwnerRez itself.",
            act.in_words()
        ))
    }
}

/// The words of a name in lower case: `deleteBooking`, `delete-booking` and `delete_booking` have the same.
fn words(name: &str) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        Catalog::embedded().unwrap()
    }

    #[test]
    fn a_suggestion_does_what_was_asked_for() {
        let catalog = catalog();
        for (asked, meant) in [
            ("delete_booking", None),
            ("cancelBooking", None),
            ("remove_guests", Some("delete_guest")),
            ("ownerrez-delete-quotes", Some("delete_quote")),
            ("edit_booking", Some("update_booking")),
            ("add_guest", Some("create_guest")),
            ("get_bookings", Some("get_booking")),
            ("list_booking", Some("list_bookings")),
            ("search_bookings", Some("list_bookings")),
            ("fetch_quote", Some("get_quote")),
            ("send_message", Some("create_message")),
            ("update_guests", Some("update_guest")),
            ("delete_payment", None),
            ("bookings", Some("list_bookings")),
            ("launch_rocket", None),
        ] {
            assert_eq!(catalog.suggest(asked), meant, "{asked}");
        }
    }

    #[test]
    fn every_operation_is_of_one_act_and_never_suggested_for_another() {
        let catalog = catalog();
        let acts = [(Act::Read, "read"), (Act::Create, "create"), (Act::Change, "update"), (Act::Delete, "delete")];
        for operation in catalog.operations() {
            let (act, subject) = said(operation.name()).unwrap();
            assert!(!subject.is_empty());
            assert_eq!(act == Act::Read, operation.is_read_only(), "{}", operation.name());
            for (asked, verb) in acts {
                let name = format!("{verb}_{}", subject.join("_"));
                if let Some(found) = catalog.suggest(&name) {
                    assert_eq!(said(found).unwrap().0, asked, "{name} leads to {found}");
                }
            }
        }
    }

    #[test]
    fn what_ownerrez_cannot_do_is_said() {
        let catalog = catalog();
        let told = catalog.impossible("delete_booking").unwrap();
        assert!(told.contains("no operation that deletes a booking"), "{told}");
        assert!(catalog.impossible("createOwner").unwrap().contains("creates an owner"));
        for possible in ["delete_guest", "remove_quotes", "launch_rocket", "delete", "", "booking"] {
            assert_eq!(catalog.impossible(possible), None, "{possible}");
        }
        assert_eq!(catalog.impossible(&"delete_".repeat(100_000)), None);
    }
}
