//! "Did you mean …": the known name that is closest to an unknown one.

/// Longer names are not compared: a client may send anything as a name, and no name of this gateway is as long.
const LONGEST: usize = 100;

/// Returns the candidate that was probably meant: it is equal except for case and dashes, or a few typing mistakes
/// away, or one of the two names contains the other from the beginning of a word on.
pub(super) fn closest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = NormalizedName::of(name);
    if !(2..=LONGEST).contains(&wanted.letters.len()) {
        return None;
    }
    candidates
        .filter_map(|candidate| Some((wanted.score(&NormalizedName::of(candidate))?, candidate)))
        .min_by_key(|(score, _)| *score)
        .map(|(_, candidate)| candidate)
}

/// A name without case and dashes.
struct NormalizedName {
    letters: String,
    /// The start positions of its words, in bytes.
    words: Vec<usize>,
}

impl NormalizedName {
    fn of(name: &str) -> Self {
        let mut normalized = Self { letters: String::new(), words: Vec::new() };
        let mut before = None;
        for letter in name.chars().take(LONGEST + 1) {
            let begins = before
                .is_none_or(|before: char| !before.is_alphanumeric() || before.is_lowercase() && letter.is_uppercase());
            if letter.is_alphanumeric() {
                if begins {
                    normalized.words.push(normalized.letters.len());
                }
                normalized.letters.extend(letter.to_lowercase());
            }
            before = Some(letter);
        }
        normalized
    }

    fn score(&self, candidate: &Self) -> Option<usize> {
        edit_distance(&self.letters, &candidate.letters).or_else(|| self.word_prefix_score(candidate))
    }

    /// Returns the difference in length if one name is contained in the other and starts at a word of it; as a score
    /// that is worse than any number of typing mistakes.
    fn word_prefix_score(&self, other: &Self) -> Option<usize> {
        let (short, long) = if self.letters.len() < other.letters.len() { (self, other) } else { (other, self) };
        let mut from_words = long.words.iter().filter_map(|start| long.letters.get(*start..));
        let begins = short.letters.len() >= 4 && from_words.any(|rest| rest.starts_with(&short.letters));
        begins.then_some(100 + long.letters.len() - short.letters.len())
    }
}

/// Returns the edit distance, if it is small for the length of the name.
fn edit_distance(wanted: &str, candidate: &str) -> Option<usize> {
    let distance = strsim::levenshtein(wanted, candidate);
    (distance <= (wanted.len() / 4).clamp(1, 4)).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = [
            "list_bookings",
            "list_properties",
            "search_properties",
            "email_addresses",
            "phones",
            "opt_out_transactional_sms",
            "active",
        ];
        for (name, meant) in [
            ("list_booking", Some("list_bookings")),
            ("listBookings", Some("list_bookings")),
            ("LIST-BOOKINGS", Some("list_bookings")),
            ("ownerrez_list_bookings", Some("list_bookings")),
            ("search_property", Some("search_properties")),
            ("phone", Some("phones")),
            ("email", Some("email_addresses")),
            ("addresses", Some("email_addresses")),
            ("transactionalSms", Some("opt_out_transactional_sms")),
            ("activ", Some("active")),
            ("x", None),
            ("", None),
            ("action", None),
            ("launch_rocket", None),
        ] {
            assert_eq!(closest(name, known.into_iter()), meant, "{name}");
        }
        assert_eq!(closest(&"a".repeat(1_000_000), known.into_iter()), None);
        assert_eq!(closest("emial_addresses", known.into_iter()), Some("email_addresses"));
    }
}
