//! The only texts that a report takes from responses: names of members and words of closed vocabularies. Their
//! constructors mask or reject everything else, so a value cannot get into a report by mistake.

use std::fmt;

use serde::Serialize;

/// Replaces a name that may be data, such as a key that is an id or an e-mail address.
const MASKED: &str = "<masked>";
const LONGEST: usize = 40;
/// Parts of the names of members whose keys are chosen by hosts, such as `custom_fields`, `fieldValues` or `merge_codes`.
const NAMED_BY_HOSTS: [&str; 3] = ["field", "custom", "code"];

/// The path of a member within a record, such as `charges.amount`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct MemberPath(String);

impl MemberPath {
    /// Returns the path of a member that the catalogue names.
    pub(super) fn known(&self, name: &str) -> Self {
        self.child(name)
    }

    /// Returns the path of a member that the catalogue does not name. The name is masked unless it consists of letters
    /// and underscores, and everywhere below a member whose keys hosts choose.
    pub(super) fn unknown(&self, key: &str) -> Self {
        let is_name = key.len() <= LONGEST
            && key.starts_with(|first: char| first.is_ascii_alphabetic())
            && key.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        self.child(if is_name && !self.is_named_by_hosts() { key } else { MASKED })
    }

    /// Returns whether hosts may choose the names below this member.
    fn is_named_by_hosts(&self) -> bool {
        self.0.split('.').any(|name| {
            let name = name.to_ascii_lowercase();
            name == MASKED || NAMED_BY_HOSTS.iter().any(|part| name.contains(part))
        })
    }

    /// Returns the path of a member from the catalogue's path.
    pub(super) fn of_catalogue(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// Returns the path of the object that contains this member: the empty path for the record itself.
    pub(super) fn parent(&self) -> Self {
        Self(self.0.rsplit_once('.').map(|(parent, _)| parent.to_owned()).unwrap_or_default())
    }

    /// Returns the last name of the path.
    pub(super) fn name(&self) -> &str {
        self.0.rsplit_once('.').map_or(&*self.0, |(_, name)| name)
    }

    /// Returns the whole path.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A word of a closed vocabulary, such as a status: 1 to 40 lower-case letters and underscores.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(transparent)]
pub struct Word(String);

impl Word {
    /// Returns the text as a word, if it has the form of one. Call it only for members with such words.
    pub(super) fn new(text: &str) -> Option<Self> {
        let fits = (1..=LONGEST).contains(&text.len());
        let is_word = fits && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        is_word.then(|| Self(text.to_owned()))
    }

    /// Returns the word.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_may_be_data_are_masked() {
        let root = MemberPath::default();
        for (key, shown) in [
            ("external_name", "external_name"),
            ("externalName", "externalName"),
            ("street2", MASKED),
            ("ann@example.com", MASKED),
            ("Ann Smith", MASKED),
            ("ann.smith", MASKED),
            ("", MASKED),
            ("_", MASKED),
            ("Zoë", MASKED),
            (&*"a".repeat(41), MASKED),
        ] {
            assert_eq!(root.unknown(key).as_str(), shown, "{key}");
        }
        let fields = root.known("fields");
        assert_eq!(fields.unknown("gate_code").as_str(), "fields.<masked>");
        assert_eq!(fields.known("code").as_str(), "fields.code");
        assert_eq!(fields.unknown("gate_code").unknown("inner").as_str(), "fields.<masked>.<masked>");
        for name in ["customFields", "field_values", "merge_codes", "CUSTOM"] {
            assert_eq!(root.unknown(name).unknown("smith").name(), MASKED, "{name}");
            assert_eq!(root.unknown(name).unknown("smith").unknown("inner").name(), MASKED, "{name}");
        }
        assert_eq!((fields.unknown("x").parent(), fields.parent()), (fields, root));
    }

    #[test]
    fn only_words_are_words() {
        for (text, is_word) in
            [("active", true), ("quote_hold", true), ("Active", false), ("ann smith", false), ("", false)]
        {
            assert_eq!(Word::new(text).is_some(), is_word, "{text}");
        }
        assert!(Word::new(&"a".repeat(40)).is_some() && Word::new(&"a".repeat(41)).is_none());
    }
}
