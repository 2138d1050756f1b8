//! The names in generated records.

pub(super) const FIRST_NAMES: [&str; 24] = [
    "Ada", "Bruno", "Clara", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Keiko", "Liam", "Mara",
    "Nadia", "Oscar", "Priya", "Quentin", "Rosa", "Stefan", "Tess", "Uma", "Victor", "Wanda", "Yusuf",
];
pub(super) const LAST_NAMES: [&str; 24] = [
    "Abbott",
    "Bergman",
    "Castellano",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Gallagher",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Petrov",
    "Quigley",
    "Rossi",
    "Svensson",
    "Tanaka",
    "Underhill",
    "Vasquez",
    "Whitfield",
    "Zimmer",
];
pub(super) const STREETS: [&str; 6] =
    ["Harbor Lane", "Mill Road", "Orchard Street", "Quarry Hill", "Shore Drive", "Station Road"];
pub(super) const CHANNELS: [(&str, &str); 4] =
    [("Airbnb", "HM"), ("Vrbo", "HA-"), ("Booking.com", "4"), ("Direct", "")];
