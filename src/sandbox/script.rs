//! Disturbances on order: rules that bend the answers to matching requests, and gates that hold requests back.

use std::sync::Arc;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::domain::AccountId;

/// Which requests are meant: `"GET /v2/properties"`, `"* /v2/*"`, `"DELETE /oauth/access_token/{token}"`.
///
/// `*` stands for any method, `{name}` for one path segment, a final `*` for the rest of the path.
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
    /// Whether a request is meant; `path` comes without its query.
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

/// What becomes of a request that a rule caught.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The usual answer; only the delays of the rule apply.
    #[default]
    Process,
    /// The given answer, without touching any data. `body` is sent as JSON, a string as the text it is.
    Reply {
        /// HTTP status.
        status: u16,
        /// Added to, or instead of, `content-type: application/json`.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// Nothing is sent for `null`.
        #[serde(default)]
        body: Value,
    },
    /// The request takes effect, but the connection closes before any byte of the answer.
    LoseReply,
    /// The connection closes before the request takes effect.
    Reset,
    /// 200 and a valid JSON text of this many bytes, without `content-length`.
    GiantBody(usize),
    /// 200 and a body that only claims to be JSON.
    InvalidJson,
}

/// One disturbance. Without further calls it catches the next matching request and changes nothing about it.
///
/// ```ignore
/// controls.script(Rule::on("GET /v2/properties").times(2).reply(503, json!({})));
/// controls.script(Rule::on("POST /oauth/access_token").account(alice.id).lose_reply());
/// controls.script(Rule::on("* /v2/*").always().delay(TimeDelta::seconds(3)));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Which requests.
    pub pattern: Pattern,
    /// Only those of one account, when given.
    #[serde(default)]
    pub account: Option<i64>,
    /// How many requests it catches; `None` for every one until the rules are cleared.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// Seconds from the arrival, by the simulator's clock, before anything happens to the request.
    #[serde(default)]
    pub delay_seconds: f64,
    /// Seconds between the head of the answer, sent at once, and its body.
    #[serde(default)]
    pub body_delay_seconds: f64,
    /// What is answered.
    #[serde(default)]
    pub answer: Answer,
}

fn once() -> Option<u32> {
    Some(1)
}

impl Rule {
    /// A rule for the next request that matches.
    pub fn on(pattern: &str) -> Self {
        Rule {
            pattern: pattern.into(),
            account: None,
            times: once(),
            delay_seconds: 0.0,
            body_delay_seconds: 0.0,
            answer: Answer::Process,
        }
    }

    /// Only for requests made with this account's credentials.
    pub fn account(mut self, account: AccountId) -> Self {
        self.account = Some(account.0);
        self
    }

    /// For the next `times` requests.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// For every request until [`Controls::clear_rules`](super::Controls::clear_rules).
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Wait before the request takes effect.
    pub fn delay(mut self, delay: TimeDelta) -> Self {
        self.delay_seconds = delay.as_seconds_f64();
        self
    }

    /// Send the head of the answer at once, the body this much later.
    pub fn body_delay(mut self, delay: TimeDelta) -> Self {
        self.body_delay_seconds = delay.as_seconds_f64();
        self
    }

    /// Answer this instead of processing the request.
    pub fn reply(mut self, status: u16, body: Value) -> Self {
        self.answer = Answer::Reply { status, headers: Vec::new(), body };
        self
    }

    /// Add a header to the scripted reply; without one, the reply becomes an empty 200.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if !matches!(self.answer, Answer::Reply { .. }) {
            self = self.reply(200, Value::Null);
        }
        if let Answer::Reply { headers, .. } = &mut self.answer {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Process the request, then close the connection without answering.
    pub fn lose_reply(mut self) -> Self {
        self.answer = Answer::LoseReply;
        self
    }

    /// Close the connection before processing.
    pub fn reset(mut self) -> Self {
        self.answer = Answer::Reset;
        self
    }

    /// Answer with this many bytes.
    pub fn giant_body(mut self, bytes: usize) -> Self {
        self.answer = Answer::GiantBody(bytes);
        self
    }

    /// Answer with broken JSON.
    pub fn invalid_json(mut self) -> Self {
        self.answer = Answer::InvalidJson;
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

/// A span given by a person or a program: never negative, never so long that a date could overflow.
pub(super) fn seconds(seconds: f64) -> TimeDelta {
    const LONGEST: f64 = 100.0 * 365.0 * 86_400.0;
    TimeDelta::milliseconds((seconds.clamp(0.0, LONGEST) * 1000.0) as i64)
}

/// Takes the first rule that catches the request and uses it up once.
pub(super) fn take_rule(rules: &mut Vec<Rule>, method: &str, path: &str, account: Option<AccountId>) -> Option<Rule> {
    let index = rules.iter().position(|rule| rule.catches(method, path, account))?;
    let rule = rules.get_mut(index)?;
    rule.times = rule.times.map(|left| left - 1);
    let taken = rule.clone();
    rules.retain(|rule| rule.times != Some(0));
    Some(taken)
}

/// Where held requests wait.
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

    /// Called by a held request: announces itself and waits.
    pub(super) async fn pass(&self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        // The sender is `self`: it cannot be gone while this waits.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }

    pub(super) async fn wait_arrived(&self, count: usize) {
        let _ = self.arrived.subscribe().wait_for(|arrived| *arrived >= count).await;
    }
}

/// Holds matching requests back until released or dropped, so that a test can arrange a race without sleeping.
pub struct Held(pub(super) Arc<Gate>);

impl Held {
    /// How many requests have come to the gate so far.
    pub fn arrived(&self) -> usize {
        self.0.arrived()
    }

    /// Completes once `count` requests have come to the gate.
    pub async fn wait_arrived(&self, count: usize) {
        self.0.wait_arrived(count).await;
    }

    /// Lets the waiting requests go on, and all later ones pass.
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
        assert!(matches!(take(7), Some(Answer::Reply { status: 503, .. })));
        assert!(matches!(take(8), Some(Answer::Reply { status: 503, .. })));
        assert!(matches!(take(7), Some(Answer::InvalidJson)));
        assert!(take(8).is_none());
    }

    #[test]
    fn rules_read_from_json() {
        let rule: Rule = serde_json::from_str(r#"{"pattern":"GET /v2/owners","answer":"lose_reply"}"#).expect("a rule");
        assert!(matches!(rule.answer, Answer::LoseReply));
        assert_eq!(rule.times, Some(1));
    }
}
