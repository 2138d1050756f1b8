//! The rules for keys: their number, names and expiry.

use chrono::{DateTime, Utc};

use crate::{domain::plain_name, store::KEY_NAME_LIMIT};

/// Limits the keys of a user.
pub(crate) const KEYS_PER_USER: u64 = 50;

/// A rule that the request for a key breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KeyRuleError {
    /// The name is longer than [`KEY_NAME_LIMIT`], or contains control characters.
    Name,
    /// The expiry is in the past.
    ExpiryInThePast,
    /// The expiry is later than that of the key that creates the new one, which it contains.
    ExpiryAfterIssuer(DateTime<Utc>),
}

/// Returns the name of a key, cleaned like every name that pages show ([`plain_name`]); `None` if nothing is left.
/// Control characters and names that are too long are rejected, since the caller expects to see the name unchanged.
pub(crate) fn validate_name(name: Option<String>) -> Result<Option<String>, KeyRuleError> {
    let Some(name) = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    if name.chars().count() > KEY_NAME_LIMIT || name.chars().any(char::is_control) {
        return Err(KeyRuleError::Name);
    }
    Ok(plain_name(&name, KEY_NAME_LIMIT))
}

/// Returns the expiry of a new key. It must not be in the past, nor later than that of the key that creates it.
pub(crate) fn validate_expiry(
    wanted: Option<DateTime<Utc>>,
    own: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, KeyRuleError> {
    match (wanted, own) {
        (Some(wanted), _) if wanted <= now => Err(KeyRuleError::ExpiryInThePast),
        (Some(wanted), Some(own)) if wanted > own => Err(KeyRuleError::ExpiryAfterIssuer(own)),
        (Some(wanted), _) => Ok(Some(wanted)),
        (None, own) => Ok(own),
    }
}
