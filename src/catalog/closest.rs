//! "Did you mean …": the known name nearest to an unknown one.

/// The candidate that was probably meant: the same but for case and dashes, or a few typing mistakes away, or one
/// that contains the other.
pub(super) fn closest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = plain(name);
    // A client may send anything as a name; what is longer than any of ours needs no search.
    if wanted.len() < 2 || wanted.len() > 100 {
        return None;
    }
    candidates
        .filter_map(|candidate| Some((badness(&wanted, &plain(candidate))?, candidate)))
        .min_by_key(|(badness, _)| *badness)
        .map(|(_, candidate)| candidate)
}

fn plain(name: &str) -> String {
    name.chars().take(101).filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn badness(wanted: &str, candidate: &str) -> Option<usize> {
    let distance = strsim::levenshtein(wanted, candidate);
    if distance <= (wanted.len() / 3).clamp(1, 4) {
        return Some(distance);
    }
    let (short, long) = if wanted.len() < candidate.len() { (wanted, candidate) } else { (candidate, wanted) };
    let contained = short.len() >= 4 && long.contains(short);
    contained.then_some(100 + long.len() - short.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["list_bookings", "list_properties", "search_properties", "email_addresses", "phones"];
        for (name, meant) in [
            ("list_booking", Some("list_bookings")),
            ("listBookings", Some("list_bookings")),
            ("LIST-BOOKINGS", Some("list_bookings")),
            ("ownerrez_list_bookings", Some("list_bookings")),
            ("search_property", Some("search_properties")),
            ("phone", Some("phones")),
            ("email", Some("email_addresses")),
            ("x", None),
            ("", None),
            ("launch_rocket", None),
        ] {
            assert_eq!(closest(name, known.into_iter()), meant, "{name}");
        }
        assert_eq!(closest(&"a".repeat(1_000_000), known.into_iter()), None);
    }
}
