//! What a client may be given, in words: `ownerrez:read`, `ownerrez:full`, `offline_access`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::Scope;

/// Every scope there is, in the order in which they are written.
pub const SCOPES: [&str; 3] = [READ, FULL, OFFLINE];

/// The scopes that a resource asks for. `offline_access` is not among them: it is between the client and the authorization
/// server (MCP 2026-07-28, authorization, refresh tokens).
pub const RESOURCE_SCOPES: [&str; 2] = [READ, FULL];

const READ: &str = "ownerrez:read";
const FULL: &str = "ownerrez:full";
/// Whether there is a refresh token (OpenID Connect Core section 11, whose word clients use).
const OFFLINE: &str = "offline_access";

/// What is asked for or granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Scopes {
    /// What may be done with the account. Full includes reading.
    pub access: Scope,
    /// Whether that goes on after the first access token.
    pub offline: bool,
}

/// None of the words is a scope of this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownScope;

impl Scopes {
    /// Everything: what a client gets that names no scope, as clients do that take `scopes_supported` for granted.
    pub const ALL: Self = Self { access: Scope::Full, offline: true };

    /// Reads words separated by spaces (RFC 6749 section 3.3). Unknown words are ignored next to known ones, and the answer
    /// names what was granted. No word about the account means all of it: a token for nothing would be of no use.
    pub fn parse(words: &str) -> Result<Self, UnknownScope> {
        if words.split_ascii_whitespace().next().is_none() {
            return Ok(Self::ALL);
        }
        let (mut access, mut offline) = (None, false);
        for word in words.split_ascii_whitespace() {
            match word {
                READ => access = access.max(Some(Scope::Read)),
                FULL => access = Some(Scope::Full),
                OFFLINE => offline = true,
                _ => {}
            }
        }
        if access.is_none() && !offline {
            return Err(UnknownScope);
        }
        Ok(Self { access: access.unwrap_or(Scope::Full), offline })
    }

    /// The same without changes, where only reading is asked for.
    pub fn reading_if(self, read_only: bool) -> Self {
        if read_only { Self { access: Scope::Read, ..self } } else { self }
    }

    /// Whether all of it is part of `granted`.
    pub fn is_within(self, granted: Self) -> bool {
        self.access <= granted.access && self.offline <= granted.offline
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(READ)?;
        if self.access == Scope::Full {
            write!(f, " {FULL}")?;
        }
        if self.offline {
            write!(f, " {OFFLINE}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written() {
        for (words, meant) in [
            ("", "ownerrez:read ownerrez:full offline_access"),
            ("ownerrez:read", "ownerrez:read"),
            ("ownerrez:full", "ownerrez:read ownerrez:full"),
            ("ownerrez:full ownerrez:read", "ownerrez:read ownerrez:full"),
            ("offline_access ownerrez:read", "ownerrez:read offline_access"),
            ("offline_access", "ownerrez:read ownerrez:full offline_access"),
            ("ownerrez:read openid", "ownerrez:read"),
            ("profile offline_access ownerrez:admin ownerrez:read", "ownerrez:read offline_access"),
        ] {
            let scopes = Scopes::parse(words).unwrap();
            assert_eq!(scopes.to_string(), meant, "{words}");
            assert_eq!(Scopes::parse(meant), Ok(scopes));
        }
        for unknown in ["openid", "openid profile", "OWNERREZ:READ"] {
            assert_eq!(Scopes::parse(unknown), Err(UnknownScope), "{unknown}");
        }
    }

    #[test]
    fn less_is_within_more() {
        let of = |words| Scopes::parse(words).unwrap();
        assert!(of("ownerrez:read").is_within(of("ownerrez:full")));
        assert!(of("ownerrez:full").is_within(Scopes::ALL));
        assert!(!of("ownerrez:full").is_within(of("ownerrez:read offline_access")));
        assert!(!Scopes::ALL.is_within(of("ownerrez:full")));
    }
}
