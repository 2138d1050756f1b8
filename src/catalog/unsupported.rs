//! Acts that OwnerRez's API does not support at all, whatever a client calls them. If only the act is missing for a
//! kind of record, `act` derives that from the table of operations.

/// Acts that no operation performs.
struct UnsupportedAct {
    /// The first verb of a name or a question.
    verbs: &'static [&'static str],
    /// The objects of the act, as words in the singular; empty if it is supported for no object.
    objects: &'static [&'static str],
    message: &'static str,
}

const NO_MESSAGES: &str = "OwnerRez's API sends no e-mails and no text messages. What it sends is a message in a guest's thread \
(`draft_message`, then `create_message`).";

const UNSUPPORTED: [UnsupportedAct; 5] = [
    UnsupportedAct {
        verbs: &["refund", "reimburse"],
        objects: &[],
        message: "OwnerRez's API makes no refunds, it only shows them (`list_refunds`): only the user can make one, in OwnerRez \
               itself.",
    },
    UnsupportedAct {
        verbs: &["bill", "capture", "charge", "collect", "pay"],
        objects: &[
            "balance", "booking", "card", "credit", "customer", "deposit", "guest", "invoice", "money", "owner",
            "payment", "rent",
        ],
        message: "OwnerRez's API charges no card and takes no payment, it only shows payments (`list_payments`): only the user can \
               do that, in OwnerRez itself.",
    },
    UnsupportedAct {
        verbs: &["archive", "deactivate", "merge", "restore", "unarchive", "undelete"],
        objects: &[],
        message: "OwnerRez's API archives, merges and restores no records: only the user can do that, in OwnerRez itself.",
    },
    UnsupportedAct {
        verbs: &["compose", "create", "draft", "send", "write"],
        objects: &["email", "mail", "sms", "whatsapp"],
        message: NO_MESSAGES,
    },
    UnsupportedAct {
        verbs: &["email", "mail", "phone", "sms", "text"],
        objects: &["customer", "guest", "owner", "renter"],
        message: NO_MESSAGES,
    },
];

/// Returns the message that no operation does what these words of a name or a question ask for; the first word is the
/// verb. `None` if that is not certain: a word such as "charge" may be part of a search.
pub(super) fn message_for(words: &[String], is_verb: impl Fn(&str) -> bool) -> Option<&'static str> {
    let (verb, rest) = words.split_first()?;
    // An e-mail address is a part of a guest.
    let is_other = |word: &String| is_verb(word) || word.starts_with("address");
    if rest.is_empty() || rest.iter().any(is_other) {
        return None;
    }
    let matches_object = |objects: &[&str]| {
        objects.is_empty()
            || rest
                .iter()
                .any(|word| [word.as_str(), word.trim_end_matches('s')].iter().any(|word| objects.contains(word)))
    };
    let act = UNSUPPORTED.iter().find(|act| act.verbs.contains(&&**verb) && matches_object(act.objects))?;
    Some(act.message)
}

/// Returns whether a word is a verb of acts that no operation performs.
pub(super) fn is_verb(word: &str) -> bool {
    UNSUPPORTED.iter().any(|act| act.verbs.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn what_is_told_names_tools_that_there_are() {
        let catalog = Catalog::embedded().unwrap();
        for act in UNSUPPORTED {
            for tool in act.message.split('`').skip(1).step_by(2) {
                assert!(catalog.get(tool).is_some() || catalog.drafted_by(tool).is_some(), "{tool}");
            }
        }
    }
}
