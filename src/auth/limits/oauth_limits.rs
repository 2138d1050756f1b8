//! The limits on requests to the authorization server.

use chrono::{DateTime, TimeDelta, Utc};

use super::fixed_window_counter::FixedWindowCounter;
use crate::{auth::source_address::SourceAddress, domain::GrantId};

/// Limits per source for requests to the authorization server that cost resources.
///
/// ChatGPT and Claude send the token requests of all their users from a few addresses, and bad codes from one user must
/// not lock out the others. So a source beyond its limit is not rejected: its requests must contain a known code or
/// token. This costs one database lookup, before anything is fetched, decrypted or verified. Then the limit of its
/// grant applies.
pub struct OAuthLimits {
    registrations: FixedWindowCounter<SourceAddress>,
    authorizations: FixedWindowCounter<SourceAddress>,
    consents: FixedWindowCounter<SourceAddress>,
    token_requests: FixedWindowCounter<SourceAddress>,
    by_grant: FixedWindowCounter<GrantId>,
}

/// Authorization requests of one source within an hour: each may cause a fetch of a client document.
const AUTHORIZE_LIMIT: u32 = 300;
/// Token and revocation requests of one source within five minutes, before each must contain a known code or token.
const TOKEN_REQUEST_LIMIT: u32 = 60;
/// Requests beyond that limit with one grant, in the same span. Programs that share their tokens may refresh at once.
const GRANT_LIMIT: u32 = 20;
/// Sign-ins that one source may start within an hour: each stores a row for some minutes.
const CONSENT_LIMIT: u32 = 120;

impl OAuthLimits {
    /// Allows `registrations` client registrations within an hour from one source.
    pub fn new(registrations: u32) -> Self {
        let counts = |limit| FixedWindowCounter::new(limit, TimeDelta::hours(1));
        let soon = TimeDelta::minutes(5);
        Self {
            registrations: counts(registrations),
            authorizations: counts(AUTHORIZE_LIMIT),
            consents: counts(CONSENT_LIMIT),
            token_requests: FixedWindowCounter::new(TOKEN_REQUEST_LIMIT, soon),
            by_grant: FixedWindowCounter::new(GRANT_LIMIT, soon),
        }
    }

    /// Counts a client registration. The error is the time to wait.
    pub(crate) fn check_registration(&self, source: SourceAddress, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        self.registrations.admit(source, now)
    }

    /// Counts an authorization request.
    pub(crate) fn check_authorize(&self, source: SourceAddress, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        self.authorizations.admit(source, now)
    }

    /// Counts a request for tokens or for a revocation.
    pub(crate) fn check_token_request(&self, source: SourceAddress, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        self.token_requests.admit(source, now)
    }

    /// Counts such a request for its grant, if its source is beyond the limit.
    pub(crate) fn check_grant(&self, grant: GrantId, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        self.by_grant.admit(grant, now)
    }

    /// Counts a consent in a browser.
    pub(crate) fn check_consent(&self, source: SourceAddress, now: DateTime<Utc>) -> Result<(), TimeDelta> {
        self.consents.admit(source, now)
    }
}
