//! Search for several words: OwnerRez searches for `q` of list_guests in each member separately, so a first and a last
//! name together find nothing. The second attempt searches for one word and keeps the guests that have all words.

use serde_json::{Map, Value, json};

use crate::catalog::Operation;

/// The members that OwnerRez searches.
const NAMES: [&str; 2] = ["first_name", "last_name"];
const PARTS: [(&str, &str); 2] = [("email_addresses", "address"), ("phones", "number")];
/// The size of the largest page, and the number of pages read in a second attempt.
const PAGE: u64 = 100;
pub(super) const MOST_PAGES: usize = 3;

/// The second attempt of a search.
pub(super) struct ByWord {
    text: String,
    words: Vec<String>,
    /// The longest word, which is usually the rarest.
    word: String,
    /// The argument for the text.
    searched: String,
    arguments: Map<String, Value>,
}

impl ByWord {
    /// Returns the second attempt if the text has several words and the first page was requested.
    pub(super) fn of(operation: &Operation, arguments: &Map<String, Value>) -> Option<Self> {
        let searched = operation.searches_one_text()?;
        if arguments.get("offset").is_some_and(|offset| *offset != json!(0)) {
            return None;
        }
        let text = arguments.get(searched)?.as_str()?.trim().to_owned();
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        let word = words.iter().max_by_key(|word| word.chars().count())?.clone();
        (words.len() > 1).then(|| Self {
            text,
            words,
            word,
            searched: searched.to_owned(),
            arguments: arguments.clone(),
        })
    }

    /// Returns the arguments that read a page of it.
    pub(super) fn page(&self, offset: u64) -> Map<String, Value> {
        let mut arguments = self.arguments.clone();
        arguments.insert(self.searched.clone(), json!(self.word));
        arguments.insert("limit".to_owned(), json!(PAGE));
        arguments.insert("offset".to_owned(), json!(offset));
        arguments
    }

    /// Returns whether a guest has all words.
    pub(super) fn matches(&self, guest: &Value) -> bool {
        let names = NAMES.iter().map(|name| &guest[*name]);
        let parts = PARTS
            .iter()
            .flat_map(|(list, member)| guest[*list].as_array().into_iter().flatten().map(move |entry| &entry[*member]));
        let all: Vec<&str> = names.chain(parts).filter_map(Value::as_str).collect();
        let all = all.join("\n").to_lowercase();
        self.words.iter().all(|word| all.contains(word))
    }

    /// Returns the note for the response. `looked_through` guests have the word; `more` means that others have it, too.
    pub(super) fn note(&self, looked_through: usize, more: bool) -> String {
        let rest = if more {
            ", and more were not checked: search for a rarer word, an e-mail address or a phone number"
        } else {
            ""
        };
        format!(
            "OwnerRez finds nothing for `{}` as one text. These are the guests with all of its words, among the \
             {looked_through} with `{}`{rest}.",
            self.text, self.word
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn of(arguments: Value) -> Option<ByWord> {
        ByWord::of(Catalog::embedded().unwrap().get("list_guests").unwrap(), arguments.as_object()?)
    }

    #[test]
    fn only_several_words_are_tried_again() {
        for arguments in
            [json!({}), json!({"q": "Liam"}), json!({"q": " Liam "}), json!({"q": "Liam Okafor", "offset": 20})]
        {
            assert!(of(arguments.clone()).is_none(), "{arguments}");
        }
        let again = of(json!({"q": "Liam  Okafor", "limit": 5, "include_tags": true})).unwrap();
        let page = json!({"q": "okafor", "limit": 100, "offset": 100, "include_tags": true});
        assert_eq!(Value::Object(again.page(100)), page);
        let bookings = Catalog::embedded().unwrap();
        let bookings = bookings.get("list_bookings").unwrap();
        assert!(ByWord::of(bookings, json!({"q": "a b"}).as_object().unwrap()).is_none());
    }

    #[test]
    fn a_guest_fits_who_has_all_words_somewhere() {
        let guest = json!({"first_name": "Liam", "last_name": "Okafor", "email_addresses": [{"address": "lo@x.example"}],
            "phones": [{"number": "+1 555 0100"}], "notes": "Rossi"});
        for (text, fits) in [
            ("okafor LIAM", true),
            ("Liam lo@x", true),
            ("okafor 0100", true),
            ("Liam Rossi", false),
            ("Liam Okafor Jr", false),
        ] {
            assert_eq!(of(json!({"q": text})).unwrap().matches(&guest), fits, "{text}");
        }
    }
}
