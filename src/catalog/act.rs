//! The act of a tool, from the verb in its name, so that a client that asks for a tool that deletes is never referred
//! to one that creates.

use super::{Catalog, Operation, unsupported};

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
    fn in_words(self) -> &'static str {
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

fn verb(word: &str) -> Option<Act> {
    VERBS.into_iter().find(|(_, verbs)| verbs.contains(&word)).map(|(act, _)| act)
}

/// Returns the act in a name of one word, such as `sendmessage`, if the rest of the word is this kind of record.
fn act_in_single_word(name: &str, subject: &[String]) -> Option<Act> {
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

impl Catalog {
    /// Returns the operation with the same act on the same kind of record but another verb, such as `delete_guest` for
    /// `remove_guests`.
    pub fn same_act(&self, name: &str) -> Option<&str> {
        let asked = self.act_and_object(name)?;
        let same =
            self.operations().map(Operation::name).filter(|known| act_and_object(known).as_ref() == Some(&asked));
        // Several operations may read: `search_bookings` means several bookings, as `list_bookings` does.
        same.min_by_key(|known| words(known).last() != words(name).last())
    }

    /// Returns the act that a name contains, and its object; also for a name in one word, if there are such records.
    fn act_and_object(&self, name: &str) -> Option<(Act, Vec<String>)> {
        act_and_object(name).or_else(|| {
            let subjects = self.operations().filter_map(|one| act_and_object(one.name())).map(|(_, subject)| subject);
            subjects.into_iter().find_map(|subject| Some((act_in_single_word(name, &subject)?, subject)))
        })
    }

    /// Returns a message that OwnerRez has no operation for this name or these words, if that is certain: either no
    /// operation performs the act at all, or there are operations on that kind of record and none of them performs it.
    pub fn impossible(&self, name: &str) -> Option<String> {
        let words = words(name);
        let first = words.iter().position(|word| verb(word).is_some() || unsupported::is_verb(word));
        let asked = first.and_then(|first| words.get(first..)).unwrap_or_default();
        if let Some(message) = unsupported::message_for(asked, |word| verb(word).is_some()) {
            return Some(message.to_owned());
        }
        let (act, subject) = self.act_and_object(name)?;
        let mut acts =
            self.operations().filter_map(|one| act_and_object(one.name())).filter(|(_, of)| *of == subject).peekable();
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

/// Returns the words of a name in lower case: `deleteBooking`, `delete-booking` and `delete_booking` have the same.
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
            let (act, subject) = act_and_object(operation.name()).unwrap();
            assert!(!subject.is_empty());
            assert_eq!(act == Act::Read, operation.is_read_only(), "{}", operation.name());
            for (asked, verb) in acts {
                let name = format!("{verb}_{}", subject.join("_"));
                if let Some(found) = catalog.suggest(&name) {
                    assert_eq!(act_and_object(found).unwrap().0, asked, "{name} leads to {found}");
                }
            }
        }
    }

    #[test]
    fn a_name_in_one_word_leads_to_the_same_act() {
        let catalog = catalog();
        for (name, meant) in [
            ("sendmessage", Some("create_message")),
            ("getmessage", Some("get_message")),
            ("deleteguest", Some("delete_guest")),
            ("deletebooking", None),
            ("settings", None),
        ] {
            assert_eq!(catalog.suggest(name), meant, "{name}");
        }
    }

    #[test]
    fn what_ownerrez_cannot_do_is_said() {
        let catalog = catalog();
        let message = catalog.impossible("delete_booking").unwrap();
        assert!(message.contains("no operation that deletes a booking"), "{message}");
        assert!(catalog.impossible("createOwner").unwrap().contains("creates an owner"));
        for (asked, words) in [
            ("refund_booking", "makes no refunds"),
            ("refund guest", "makes no refunds"),
            ("chargeCard", "charges no card"),
            ("charge card of guest", "charges no card"),
            ("archive_guest", "archives, merges and restores no records"),
            ("send email", "`create_message`"),
            ("send_sms", "sends no e-mails"),
            ("email guest", "sends no e-mails"),
            ("deletebooking", "no operation that deletes a booking"),
        ] {
            let message = catalog.impossible(asked).unwrap_or_else(|| panic!("{asked} is impossible"));
            assert!(message.contains(words), "{asked}: {message}");
        }
        for possible in [
            "delete_guest",
            "remove_quotes",
            "launch_rocket",
            "delete",
            "refund",
            "list_refunds",
            "get_charge_of_card",
            "charge_cleaning",
            "email_address_of_guest",
            "delete_guest_email_address",
            "create_email_address",
            "sendmessage",
            "",
            "booking",
        ] {
            assert_eq!(catalog.impossible(possible), None, "{possible}");
        }
        assert_eq!(catalog.impossible(&"delete_".repeat(100_000)), None);
    }
}
