//! The handle with which tests and demonstrations control a running simulator.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use url::Url;

use super::{
    demo_account::DemoAccount,
    notices,
    request_record::RequestRecord,
    script::{Gate, Held, Pattern, Rule},
    seed::{Plan, Portfolio},
    state::Shared,
    switches::Switches,
    variations::Variations,
};
use crate::domain::{AccountId, Clock};

/// Controls a running simulator from within the process; `/_control` offers the same over HTTP.
#[derive(Clone)]
pub struct Controls(pub(super) Arc<Shared>);

impl Controls {
    /// Returns the requests so far, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.0.lock().log.iter().cloned().collect()
    }

    /// Returns the requests that match a pattern such as `"GET /v2/bookings/{id}"`, oldest first.
    pub fn requests_to(&self, pattern: &str) -> Vec<RequestRecord> {
        let pattern = Pattern::from(pattern);
        let state = self.0.lock();
        state.log.iter().filter(|record| pattern.matches(&record.method, &record.path)).cloned().collect()
    }

    /// Returns how many requests matched a pattern: `controls.count("POST /oauth/access_token")`.
    pub fn count(&self, pattern: &str) -> usize {
        let pattern = Pattern::from(pattern);
        self.0.lock().log.iter().filter(|record| pattern.matches(&record.method, &record.path)).count()
    }

    /// Completes once `count` requests that match have arrived, answered or not.
    pub async fn wait_for(&self, pattern: &str, count: usize) {
        let mut logged = self.0.logged.subscribe();
        // The sender is part of `self`, so it exists while this waits.
        while self.count(pattern) < count && logged.changed().await.is_ok() {}
    }

    /// Returns how many requests were answered with this status.
    pub fn count_status(&self, status: u16) -> usize {
        self.0.lock().log.iter().filter(|record| record.status == Some(status)).count()
    }

    /// Empties the log.
    pub fn clear_requests(&self) {
        let mut state = self.0.lock();
        state.log_start += state.log.len() as u64;
        state.log.clear();
    }

    /// Adds a disturbance. If several match a request, the oldest applies and the others stay for the next request.
    pub fn script(&self, rule: Rule) {
        self.0.lock().rules.push(rule);
    }

    /// Removes all disturbances, including those of webhooks.
    pub fn clear_rules(&self) {
        let mut state = self.0.lock();
        state.rules.clear();
        state.webhooks.rules.clear();
    }

    /// Holds matching requests, before they take effect, until the returned value is released or dropped.
    #[must_use = "dropping it lets the requests pass"]
    pub fn hold(&self, pattern: &str) -> Held {
        self.hold_gate(Gate::new(pattern.into(), None))
    }

    /// Does the same for the requests of one account.
    #[must_use = "dropping it lets the requests pass"]
    pub fn hold_account(&self, pattern: &str, account: AccountId) -> Held {
        self.hold_gate(Gate::new(pattern.into(), Some(account)))
    }

    fn hold_gate(&self, gate: Arc<Gate>) -> Held {
        self.0.lock().gates.push(gate.clone());
        Held(gate)
    }

    /// Returns the current settings.
    pub fn switches(&self) -> Switches {
        self.0.lock().switches.clone()
    }

    /// Changes settings: `controls.change(|switches| switches.rotate_refresh_tokens = true)`.
    pub fn change(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.0.lock().switches);
    }

    /// Returns all accounts: three demo accounts and those added since.
    pub fn accounts(&self) -> Vec<DemoAccount> {
        self.0.lock().accounts.iter().map(|account| account.demo.clone()).collect()
    }

    /// Creates another account with its own small portfolio.
    pub fn add_account(&self, name: &str) -> DemoAccount {
        self.open_account(Plan::small(name))
    }

    /// Creates another account with a portfolio of this size: owners with shares, several currencies and time zones.
    pub fn add_account_of_size(&self, name: &str, portfolio: Portfolio) -> DemoAccount {
        self.open_account(Plan::of_size(name, portfolio))
    }

    fn open_account(&self, plan: Plan) -> DemoAccount {
        let Shared { clock, variations, beginning, .. } = &*self.0;
        let varied = variations.at_first(&plan.tenant_label);
        self.0.lock().open_account(plan, varied, beginning.seed, clock.now())
    }

    /// Returns the variations that are on in an account; none for an unknown account.
    pub fn variations(&self, account: AccountId) -> Variations {
        self.0.lock().account(account).map(|account| account.variations.clone()).unwrap_or_default()
    }

    /// Changes the variations of an account:
    /// `controls.vary(account, |variations| variations.set(Variation::ThreadOnly, true))`.
    pub fn vary(&self, account: AccountId, change: impl FnOnce(&mut Variations)) {
        if let Some(account) = self.0.lock().account_mut(account) {
            change(&mut account.variations);
        }
    }

    /// Returns all records of a collection of an account with all members, including those that its variations hide.
    /// Members that begin with `_` are internal. For tests that compute a result from the full data.
    pub fn records(&self, account: AccountId, collection: &str) -> Vec<Value> {
        let mut state = self.0.lock();
        let Some(account) = state.account_mut(account) else { return Vec::new() };
        account.fill();
        account.records.all(collection).cloned().map(Value::Object).collect()
    }

    /// Issues tokens without a browser and returns the body of a token response; null for an unknown account.
    pub fn grant(&self, account: AccountId) -> Value {
        let now = self.0.clock.now();
        self.0.lock().grant(account, now).unwrap_or_default()
    }

    /// Makes tokens valid that the simulator did not issue, for instance those of a migrated database.
    pub fn import_grant(&self, account: AccountId, access: &str, refresh: Option<&str>) {
        self.0.lock().tokens.import_grant(account, access, refresh);
    }

    /// Does what pressing "Approve" does: takes the authorization URL of the application and returns the URL to which
    /// the browser is redirected; `None` if the page would show an error instead.
    pub fn approve(&self, authorization_url: &str, account: AccountId) -> Option<String> {
        let sent = Url::parse(authorization_url).ok()?;
        let value = |name: &str| sent.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        if value("client_id")? != self.0.client_id || value("response_type")? != "code" {
            return None;
        }
        let redirect_uri = value("redirect_uri")?;
        let mut back = Url::parse(&redirect_uri).ok()?;
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        state.account(account)?;
        let code = state.tokens.issue_code(account, &redirect_uri, now);
        back.query_pairs_mut().append_pair("code", &code).extend_pairs(value("state").map(|state| ("state", state)));
        Some(back.into())
    }

    /// Simulates that the user removed the application: revokes all tokens of the account and sends a webhook.
    pub fn revoke_account_grants(&self, account: AccountId) {
        let mut state = self.0.lock();
        state.tokens.end_grants(account);
        notices::of_revocation(&self.0, &mut state, account);
    }

    /// Expires the account's access tokens; its refresh tokens stay valid.
    pub fn expire_access_tokens(&self, account: AccountId) {
        let now = self.0.clock.now();
        self.0.lock().tokens.expire_access(account, now);
    }

    /// Moves only the simulator's clock forward.
    pub fn advance(&self, by: TimeDelta) {
        self.0.clock.advance(by);
    }

    /// Returns the simulator's time.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// Resets the count of requests of the last five minutes.
    pub fn forget_allowance(&self) {
        self.0.lock().forget_allowance();
    }

    /// Restores the state after start: data, tokens, settings, rules, log and rate limit. Added accounts are removed
    /// and held requests released. The clock does not change.
    pub fn reset(&self) {
        let fresh = self.0.fresh_state();
        let old = std::mem::replace(&mut *self.0.lock(), fresh);
        old.gates.iter().for_each(|gate| gate.open());
    }
}
