//! Codes, grants and tokens: the account and the validity of each. No I/O; the time is a parameter.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::domain::AccountId;

/// The lifetime of an authorization code.
const CODE_LIFE: TimeDelta = TimeDelta::minutes(10);

/// A hundred years in seconds: the longest lifetime that a test can set without exceeding the calendar.
const LONGEST_LIFE: i64 = 100 * 365 * 86_400;

/// The app's settings for new tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// The lifetime of an access token in seconds; `None` is the policy "None": no expiry, no refresh token.
    pub(super) life_seconds: Option<i64>,
    pub(super) rotate_refresh: bool,
    pub(super) refresh_ends_old_access: bool,
    pub(super) second_grant_ends_first: bool,
    pub(super) read_only: bool,
}

/// The scope of a bearer token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    Full,
    Read,
}

/// The status of a bearer token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TokenStatus {
    Valid(AccountId, Scope),
    Expired,
    Unknown,
}

#[derive(Clone, Debug)]
struct Code {
    account: AccountId,
    redirect_uri: String,
    expires_at: DateTime<Utc>,
}

#[derive(Clone, Debug)]
struct Access {
    grant: Uuid,
    expires_at: Option<DateTime<Utc>>,
}

/// Ended grants are kept, so that the log shows the account of a request with an invalid token.
#[derive(Clone, Debug)]
struct Grant {
    account: AccountId,
    scope: Scope,
    ended: bool,
}

/// All codes and tokens issued by one simulator.
#[derive(Default)]
pub(super) struct Tokens {
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Uuid>,
    grants: HashMap<Uuid, Grant>,
}

fn secret(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v4().simple())
}

impl Tokens {
    pub(super) fn issue_code(&mut self, account: AccountId, redirect_uri: &str, now: DateTime<Utc>) -> String {
        let code = secret("tc");
        self.codes
            .insert(code.clone(), Code { account, redirect_uri: redirect_uri.to_owned(), expires_at: now + CODE_LIFE });
        code
    }

    /// Redeems a code. The code is consumed even if redemption fails.
    pub(super) fn redeem(
        &mut self,
        code: &str,
        redirect_uri: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<AccountId, &'static str> {
        let Some(code) = self.codes.remove(code) else {
            return Err("The authorization code is unknown or was used before.");
        };
        if code.expires_at <= now {
            return Err("The authorization code has expired.");
        }
        if redirect_uri.is_some_and(|sent| sent != code.redirect_uri) {
            return Err("The redirect_uri differs from the one of the authorization request.");
        }
        Ok(code.account)
    }

    /// Creates a grant with its first tokens and returns the members of the token response.
    pub(super) fn grant(&mut self, account: AccountId, policy: Policy, now: DateTime<Utc>) -> Map<String, Value> {
        if policy.second_grant_ends_first {
            self.end_grants(account);
        }
        let id = Uuid::new_v4();
        let scope = if policy.read_only { Scope::Read } else { Scope::Full };
        self.grants.insert(id, Grant { account, scope, ended: false });
        let mut reply = self.issue_access(id, scope, policy, now);
        if policy.life_seconds.is_some() {
            reply.insert("refresh_token".into(), self.issue_refresh(id).into());
        }
        reply
    }

    /// Adds a grant with known tokens that do not expire, as if it had been made long ago.
    pub(super) fn import_grant(&mut self, account: AccountId, access: &str, refresh: Option<&str>) {
        let grant = Uuid::new_v4();
        self.grants.insert(grant, Grant { account, scope: Scope::Full, ended: false });
        self.access.insert(access.to_owned(), Access { grant, expires_at: None });
        self.refresh.extend(refresh.map(|token| (token.to_owned(), grant)));
    }

    /// Issues new tokens for a refresh token. Without rotation the response contains no refresh token and the old one
    /// stays valid.
    pub(super) fn renew(
        &mut self,
        refresh: &str,
        policy: Policy,
        now: DateTime<Utc>,
    ) -> Option<(AccountId, Map<String, Value>)> {
        let id = *self.refresh.get(refresh)?;
        let Grant { account, scope, .. } = *self.grants.get(&id).filter(|grant| !grant.ended)?;
        if policy.refresh_ends_old_access {
            self.access.retain(|_, access| access.grant != id);
        }
        let mut reply = self.issue_access(id, scope, policy, now);
        if policy.rotate_refresh {
            self.refresh.remove(refresh);
            reply.insert("refresh_token".into(), self.issue_refresh(id).into());
        }
        Some((account, reply))
    }

    fn issue_access(&mut self, grant: Uuid, scope: Scope, policy: Policy, now: DateTime<Utc>) -> Map<String, Value> {
        let token = secret("at");
        let life_seconds = policy.life_seconds.map(|seconds| seconds.clamp(0, LONGEST_LIFE));
        let expires_at = life_seconds.map(|seconds| now + TimeDelta::seconds(seconds));
        self.access.insert(token.clone(), Access { grant, expires_at });
        let mut reply = Map::new();
        reply.insert("access_token".into(), token.into());
        reply.insert("token_type".into(), "bearer".into());
        reply.insert("scope".into(), if scope == Scope::Read { "read" } else { "full" }.into());
        if let Some((seconds, expires_at)) = life_seconds.zip(expires_at) {
            reply.insert("expires_in".into(), seconds.into());
            reply.insert("expires_at".into(), expires_at.to_rfc3339_opts(SecondsFormat::Secs, true).into());
            reply.insert("refresh_token_supported".into(), json!(true));
        }
        reply
    }

    fn issue_refresh(&mut self, grant: Uuid) -> String {
        let token = secret("rt");
        self.refresh.insert(token.clone(), grant);
        token
    }

    pub(super) fn check(&self, bearer: &str, now: DateTime<Utc>) -> TokenStatus {
        let Some(access) = self.access.get(bearer) else { return TokenStatus::Unknown };
        match self.grants.get(&access.grant) {
            Some(grant) if !grant.ended => {
                if access.expires_at.is_some_and(|end| end <= now) {
                    TokenStatus::Expired
                } else {
                    TokenStatus::Valid(grant.account, grant.scope)
                }
            }
            _ => TokenStatus::Unknown,
        }
    }

    /// Ends the grant of an access or refresh token, which invalidates both kinds. Returns false if it has already
    /// ended.
    pub(super) fn revoke(&mut self, token: &str) -> bool {
        let grant = self.access.get(token).map(|access| access.grant).or_else(|| self.refresh.get(token).copied());
        match grant.and_then(|id| self.grants.get_mut(&id)) {
            Some(grant) if !grant.ended => {
                grant.ended = true;
                true
            }
            _ => false,
        }
    }

    /// Ends all grants of the account, as when the user removes the app.
    pub(super) fn end_grants(&mut self, account: AccountId) {
        self.grants.values_mut().filter(|grant| grant.account == account).for_each(|grant| grant.ended = true);
    }

    /// Expires all access tokens of the account at once; refresh tokens stay valid.
    pub(super) fn expire_access(&mut self, account: AccountId, now: DateTime<Utc>) {
        let Tokens { access, grants, .. } = self;
        for access in access.values_mut() {
            if grants.get(&access.grant).is_some_and(|grant| grant.account == account) {
                access.expires_at = Some(now);
            }
        }
    }

    /// Returns the account of a token, refresh token or code, including invalid ones: for the log and for rules.
    pub(super) fn owner(&self, secret: &str) -> Option<AccountId> {
        if let Some(code) = self.codes.get(secret) {
            return Some(code.account);
        }
        let grant = self.access.get(secret).map(|access| access.grant).or_else(|| self.refresh.get(secret).copied())?;
        self.grants.get(&grant).map(|grant| grant.account)
    }
}
