//! The operation that a caller probably meant by a name that does not exist, or that no operation does this.

use super::{
    act::{Act, act_and_object, act_in_single_word, acts_agree, verb, words},
    closest::closest,
    operation::Operation,
    operation_table::Catalog,
    unsupported,
};

impl Catalog {
    /// Returns the name that was probably meant by one that does not exist.
    pub fn suggest(&self, name: &str) -> Option<&str> {
        suggest(name, self.operations().map(Operation::name)).or_else(|| self.same_act(name))
    }

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

/// Returns the one of these names that was probably meant by one that does not exist. If both names state an act, it is
/// the same act.
pub fn suggest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    closest(name, known.filter(|candidate| acts_agree(name, candidate)))
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
