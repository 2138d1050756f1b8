//! The OAuth scopes: `ownerrez:read`, `ownerrez:full`, `offline_access`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::Scope;

/// All scopes, in the order in which they are written.
pub const SCOPES: [&str; 3] = [READ, FULL, OFFLINE];

/// The scopes that a resource requires. `offline_access` is not one of them: it concerns only the client and the
/// authorization server (MCP 2026-07-28, authorization, refresh tokens).
pub const RESOURCE_SCOPES: [&str; 2] = [READ, FULL];

const READ: &str = "ownerrez:read";
const FULL: &str = "ownerrez:full";
/// Requests a refresh token (OpenID Connect Core section 11, whose name clients use).
const OFFLINE: &str = "offline_access";

/// The requested or granted scopes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Scopes {
    /// The permissions on the account. `Full` includes reading.
    pub access: Scope,
    /// Whether refresh tokens are issued.
    pub offline: bool,
}

/// None of the words is a scope of this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownScope;

impl Scopes {
    /// All scopes. Granted to a client that names none, as clients do that rely on `scopes_supported`.
    pub const ALL: Self = Self { access: Scope::Full, offline: true };

    /// Parses scopes separated by spaces (RFC 6749 section 3.3). Unknown scopes are ignored next to known ones; the
    /// response names the granted scopes. Without an account scope, full access is granted, because a token without
    /// access would be useless.
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

    /// Returns the scopes reduced to read access, if `read_only` is set.
    pub fn with_read_only(self, read_only: bool) -> Self {
        if read_only { Self { access: Scope::Read, ..self } } else { self }
    }

    /// Returns whether all of these scopes are part of `granted`.
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
