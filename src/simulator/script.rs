//! Scripted disturbances: rules that change the responses to matching requests, and gates that hold requests.

use std::sync::Arc;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use super::rule_limits::{once, rule_limits};
use crate::domain::AccountId;

/// Matches requests: `"GET /v2/properties"`, `"* /v2/*"`, `"DELETE /oauth/access_token/{token}"`.
///
/// `*` matches any method, `{name}` one path segment, a final `*` the rest of the path.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Pattern {
    method: String,
    path: String,
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Pattern::from(text.as_str())
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        match text.split_once(' ') {
            Some((method, path)) => Pattern { method: method.to_owned(), path: path.to_owned() },
            None => Pattern { method: "*".to_owned(), path: text.to_owned() },
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        format!("{} {}", pattern.method, pattern.path)
    }
}

impl Pattern {
    /// Returns whether a request matches; `path` is given without its query.
    pub fn matches(&self, method: &str, path: &str) -> bool {
        (self.method == "*" || self.method.eq_ignore_ascii_case(method)) && path_matches(&self.path, path)
    }
}

fn path_matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        if expected == "*" {
            return true;
        }
        match segments.next() {
            Some(segment) if segment == expected || (expected.starts_with('{') && !segment.is_empty()) => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

/// What a rule does with a matching request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptedAnswer {
    /// The usual response; only the delays of the rule apply.
    #[default]
    Process,
    /// The given response, without touching any data. `body` is sent as JSON, a string as plain text.
    Reply {
        /// HTTP status.
        status: u16,
        /// Added to `content-type: application/json`, or replacing it.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// Nothing is sent for `null`.
        #[serde(default)]
        body: Value,
    },
    /// The request takes effect, but the connection closes before any byte of the response.
    LoseReply,
    /// The connection closes before the request takes effect.
    Reset,
    /// 200 and a valid JSON text of this many bytes, without `content-length`.
    GiantBody(usize),
    /// 200 and a body that is declared as JSON but invalid.
    InvalidJson,
}

/// One disturbance. By default it matches the next request of its pattern and changes nothing.
///
/// ```ignore
/// controls.script(Rule::on("GET /v2/properties").times(2).reply(503, json!({})));
/// controls.script(Rule::on("POST /oauth/access_token").account(alice.id).lose_reply());
/// controls.script(Rule::on("* /v2/*").always().delay(TimeDelta::seconds(3)));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// The requests that it matches.
    pub pattern: Pattern,
    /// Restricts it to the requests of one account, if given.
    #[serde(default)]
    pub account: Option<i64>,
    /// The number of requests that it matches; `None` for all until the rules are cleared.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// Seconds from the arrival, by the simulator's clock, before the request is processed.
    #[serde(default)]
    pub delay_seconds: f64,
    /// Seconds between the head of the response, sent at once, and its body.
    #[serde(default)]
    pub body_delay_seconds: f64,
    /// The response.
    #[serde(default)]
    pub answer: ScriptedAnswer,
}

rule_limits!(Rule, "requests");

impl Rule {
    /// Creates a rule for the next request that matches.
    pub fn on(pattern: &str) -> Self {
        Rule {
            pattern: pattern.into(),
            account: None,
            times: once(),
            delay_seconds: 0.0,
            body_delay_seconds: 0.0,
            answer: ScriptedAnswer::Process,
        }
    }

    /// Waits before the request takes effect.
    pub fn delay(mut self, delay: TimeDelta) -> Self {
        self.delay_seconds = delay.as_seconds_f64();
        self
    }

    /// Sends the head of the response at once, and the body this much later.
    pub fn body_delay(mut self, delay: TimeDelta) -> Self {
        self.body_delay_seconds = delay.as_seconds_f64();
        self
    }

    /// Returns this response instead of processing the request.
    pub fn reply(mut self, status: u16, body: Value) -> Self {
        self.answer = ScriptedAnswer::Reply { status, headers: Vec::new(), body };
        self
    }

    /// Adds a header to the scripted response; without one, the response becomes an empty 200.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if !matches!(self.answer, ScriptedAnswer::Reply { .. }) {
            self = self.reply(200, Value::Null);
        }
        if let ScriptedAnswer::Reply { headers, .. } = &mut self.answer {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Processes the request, then closes the connection without a response.
    pub fn lose_reply(mut self) -> Self {
        self.answer = ScriptedAnswer::LoseReply;
        self
    }

    /// Closes the connection before processing.
    pub fn reset(mut self) -> Self {
        self.answer = ScriptedAnswer::Reset;
        self
    }

    /// Responds with this many bytes.
    pub fn giant_body(mut self, bytes: usize) -> Self {
        self.answer = ScriptedAnswer::GiantBody(bytes);
        self
    }

    /// Responds with invalid JSON.
    pub fn invalid_json(mut self) -> Self {
        self.answer = ScriptedAnswer::InvalidJson;
        self
    }

    pub(super) fn wait(&self) -> TimeDelta {
        seconds(self.delay_seconds)
    }

    pub(super) fn body_wait(&self) -> TimeDelta {
        seconds(self.body_delay_seconds)
    }

    fn catches(&self, method: &str, path: &str, account: Option<AccountId>) -> bool {
        self.times != Some(0)
            && self.account.is_none_or(|wanted| account == Some(AccountId(wanted)))
            && self.pattern.matches(method, path)
    }
}

/// Converts given seconds to a duration that is never negative, and never so long that a date could overflow.
pub(super) fn seconds(seconds: f64) -> TimeDelta {
    const LONGEST: f64 = 100.0 * 365.0 * 86_400.0;
    TimeDelta::milliseconds((seconds.clamp(0.0, LONGEST) * 1000.0) as i64)
}

/// Returns the first rule that matches the request, and consumes one of its uses.
pub(super) fn take_rule(rules: &mut Vec<Rule>, method: &str, path: &str, account: Option<AccountId>) -> Option<Rule> {
    let index = rules.iter().position(|rule| rule.catches(method, path, account))?;
    let rule = rules.get_mut(index)?;
    rule.times = rule.times.map(|left| left - 1);
    let taken = rule.clone();
    rules.retain(|rule| rule.times != Some(0));
    Some(taken)
}

/// A gate at which held requests wait.
pub(super) struct Gate {
    pattern: Pattern,
    account: Option<AccountId>,
    arrived: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(super) fn new(pattern: Pattern, account: Option<AccountId>) -> Arc<Self> {
        Arc::new(Gate { pattern, account, arrived: watch::Sender::new(0), open: watch::Sender::new(false) })
    }

    pub(super) fn holds(&self, method: &str, path: &str, account: Option<AccountId>) -> bool {
        (self.account.is_none() || self.account == account) && self.pattern.matches(method, path)
    }

    pub(super) fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    pub(super) fn open(&self) {
        self.open.send_replace(true);
    }

    pub(super) fn arrived(&self) -> usize {
        *self.arrived.borrow()
    }

    /// Counts the arrival of a held request and waits until the gate opens.
    pub(super) async fn pass(&self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        // The sender is `self`, so it exists while this waits.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }

    pub(super) async fn wait_arrived(&self, count: usize) {
        let _ = self.arrived.subscribe().wait_for(|arrived| *arrived >= count).await;
    }
}

/// Holds matching requests until released or dropped, so that a test can set up a race without sleeping.
pub struct Held(pub(super) Arc<Gate>);

impl Held {
    /// Returns the number of requests that have arrived at the gate so far.
    pub fn arrived(&self) -> usize {
        self.0.arrived()
    }

    /// Completes once `count` requests have arrived at the gate.
    pub async fn wait_arrived(&self, count: usize) {
        self.0.wait_arrived(count).await;
    }

    /// Releases the waiting requests and lets all later ones pass.
    pub fn release(&self) {
        self.0.open();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_methods_and_paths() {
        for (pattern, method, path, expected) in [
            ("GET /v2/properties", "GET", "/v2/properties", true),
            ("GET /v2/properties", "GET", "/v2/properties/1", false),
            ("GET /v2/properties", "POST", "/v2/properties", false),
            ("GET /v2/bookings/{id}", "GET", "/v2/bookings/17", true),
            ("GET /v2/bookings/{id}", "GET", "/v2/bookings", false),
            ("* /v2/*", "DELETE", "/v2/guests/1/phones/2", true),
            ("* /v2/*", "GET", "/oauth/authorize", false),
            ("/oauth/*", "POST", "/oauth/token", true),
        ] {
            assert_eq!(Pattern::from(pattern).matches(method, path), expected, "{pattern} on {method} {path}");
        }
    }

    #[test]
    fn a_rule_is_used_up_and_makes_room_for_the_next() {
        let mut rules = vec![
            Rule::on("GET /v2/owners").times(2).reply(503, Value::Null),
            Rule::on("* /v2/*").account(AccountId(7)).always().invalid_json(),
        ];
        let mut take = |account| take_rule(&mut rules, "GET", "/v2/owners", Some(AccountId(account))).map(|r| r.answer);
        assert!(matches!(take(7), Some(ScriptedAnswer::Reply { status: 503, .. })));
        assert!(matches!(take(8), Some(ScriptedAnswer::Reply { status: 503, .. })));
        assert!(matches!(take(7), Some(ScriptedAnswer::InvalidJson)));
        assert!(take(8).is_none());
    }

    #[test]
    fn rules_read_from_json() {
        let rule: Rule = serde_json::from_str(r#"{"pattern":"GET /v2/owners","answer":"lose_reply"}"#).expect("a rule");
        assert!(matches!(rule.answer, ScriptedAnswer::LoseReply));
        assert_eq!(rule.times, Some(1));
    }
}
