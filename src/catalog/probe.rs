//! A probe of the real OwnerRez: which requests it sends, and what it concludes from the responses. No I/O: the caller
//! sends the requests.
//!
//! Everything comes from the catalogue's data, so a new operation needs no code here. Lists are requested first, with
//! everything that a parameter adds. The ids in their records lead to other lists and to single records, which are
//! requested without such parameters. Second requests to a list come last: an empty page, a page with a next one, and
//! inactive records.
//!
//! - `ids`: the ids that responses contain
//! - `arguments`: parameters and ids → arguments
//! - `shown`: the only texts that a report takes from responses
//! - `found`: what a report contains in place of values
//! - `observe`: responses → counts, types, words and formats by member
//! - `judge`: comparison of these with the catalogue
//! - `report`: the result

mod arguments;
mod found;
mod ids;
mod judge;
mod observe;
mod report;
mod shown;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde_json::{Map, Value, json};

use self::{
    arguments::{TRIES, candidates, is_include, needs, snake_case},
    ids::Ids,
    judge::{Judgement, not_asked},
    observe::{Expected, Observed},
};
pub use self::{
    found::{Found, NextPage, TextFormat, ValueType},
    report::{End, Entry, NotSeen, NotSeenReason, ObservationKind, ProbeCredential, ProbeReport, SeenOperation},
    shown::{MemberPath, Word},
};
use super::{operation::Operation, operation_table::Catalog, spec::ParameterLocation};
use crate::domain::UpstreamRequest;

/// The maximum number of requests of a probe.
pub const MOST_REQUESTS: u32 = 60;
/// The number of consecutive failures, or of consecutive rejections of the token, that ends a probe.
const IN_A_ROW: u32 = 3;
/// An offset past the end of every list.
const PAST_THE_END: u32 = 1_000_000;
/// The parameter that separates active records from others.
const ACTIVE: &str = "active";

/// A probe in progress.
pub struct Probe<'a> {
    catalog: &'a Catalog,
    today: NaiveDate,
    ids: Ids,
    states: BTreeMap<&'a str, State>,
    requests: u32,
    failures: u32,
    refused_tokens: u32,
    end: Option<End>,
}

/// A request to send.
pub struct Asked<'a> {
    operation: &'a Operation,
    purpose: Purpose,
    arguments: Map<String, Value>,
    /// The request.
    pub request: UpstreamRequest,
}

/// The outcome of a request.
#[derive(Clone, PartialEq, Debug)]
pub enum ProbeOutcome {
    /// A response.
    Response {
        /// HTTP status.
        status: u16,
        /// The body; null if there was none.
        body: Value,
    },
    /// A success whose body is not JSON.
    NotJson {
        /// HTTP status.
        status: u16,
    },
    /// No response.
    Failed,
}

/// The purpose of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Purpose {
    Records,
    EmptyPage,
    NextPage,
    Inactive,
}

/// The state of one operation.
#[derive(Default)]
struct State {
    /// Paths and queries that were requested.
    asked: BTreeSet<String>,
    purposes: BTreeSet<Purpose>,
    observed: Observed,
    /// Successes with another status than 200.
    other_successes: BTreeMap<u16, u32>,
    /// The rejection of a request for records.
    refusal: Option<Refusal>,
    /// Rejections that contradict the catalogue, and server errors.
    errors: BTreeMap<Refusal, u32>,
    /// The number of requests without a response.
    unanswered: u32,
    failed: Option<u16>,
    /// The ids of the first page, if that contained all records.
    all_ids: Option<BTreeSet<i64>>,
    /// The number of records of `active=false` that the first page lacks, and the number of records of `active=false`.
    inactive: Option<(u32, u32)>,
    /// The number of days in a calendar, and the number of days requested.
    days: Option<(u32, u32)>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Refusal {
    status: u16,
    code: Option<Word>,
}

impl Catalog {
    /// Starts a probe.
    pub fn probe(&self, today: NaiveDate) -> Probe<'_> {
        Probe {
            catalog: self,
            today,
            ids: Ids::default(),
            states: BTreeMap::new(),
            requests: 0,
            failures: 0,
            refused_tokens: 0,
            end: None,
        }
    }
}

impl<'a> Probe<'a> {
    /// Returns the next request, until nothing is left to request or the probe has to end.
    pub fn next_request(&mut self) -> Option<Asked<'a>> {
        if self.end.is_some() {
            return None;
        }
        let Some(asked) = self.choose() else {
            self.end = Some(End::Complete);
            return None;
        };
        if self.requests == MOST_REQUESTS {
            self.end = Some(End::MostRequests);
            return None;
        }
        self.requests += 1;
        let state = self.states.entry(asked.operation.name()).or_default();
        state.asked.insert(asked.request.path_and_query.clone());
        state.purposes.insert(asked.purpose);
        Some(asked)
    }

    /// Returns the number of requests so far.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// Ends the probe: no more requests are made.
    pub fn stop(&mut self, end: End) {
        self.end = Some(end);
    }

    /// Processes the outcome of a request.
    pub fn take_in(&mut self, asked: &Asked<'a>, outcome: &ProbeOutcome) {
        let state = self.states.entry(asked.operation.name()).or_default();
        let (status, body) = match outcome {
            ProbeOutcome::Response { status, body } => (*status, body),
            ProbeOutcome::NotJson { status } => (*status, &Value::Null),
            ProbeOutcome::Failed => (0, &Value::Null),
        };
        self.refused_tokens = if status == 401 { self.refused_tokens + 1 } else { 0 };
        self.failures = if status == 0 || status >= 500 { self.failures + 1 } else { 0 };
        match status {
            200..=299 => {
                if status != 200 {
                    *state.other_successes.entry(status).or_default() += 1;
                }
                if matches!(outcome, ProbeOutcome::NotJson { .. }) {
                    state.observed.no_json();
                } else {
                    state.observed.response(&expected(asked.operation), body);
                    self.note(asked, body);
                }
            }
            429 => self.end = Some(End::Throttled),
            0 => {
                state.failed = Some(status);
                state.unanswered += 1;
            }
            _ => {
                let code = body.get("code").and_then(Value::as_str).and_then(Word::new);
                let refusal = Refusal { status, code };
                if is_finding(asked, status) {
                    *state.errors.entry(refusal.clone()).or_default() += 1;
                }
                if status >= 500 {
                    state.failed = Some(status);
                } else if asked.purpose == Purpose::Records {
                    state.refusal = Some(refusal);
                }
            }
        }
        if self.refused_tokens == IN_A_ROW || (self.refused_tokens == 1 && self.requests == 1) {
            self.end = Some(End::TokenRefused);
        } else if self.failures == IN_A_ROW {
            self.end = Some(End::Failing);
        }
    }

    /// Records what later requests and comparisons need of a body.
    fn note(&mut self, asked: &Asked<'a>, body: &Value) {
        let operation = asked.operation;
        let records = records(operation, body);
        for record in &records {
            self.ids.note(operation, record);
        }
        let state = self.states.entry(operation.name()).or_default();
        let ids: BTreeSet<i64> = records.iter().filter_map(|record| record.get("id")?.as_i64()).collect();
        match asked.purpose {
            Purpose::Records => {
                let limit = asked.arguments.get("limit").and_then(Value::as_u64).unwrap_or_default();
                let is_all = (records.len() as u64) < limit && ids.len() == records.len();
                state.all_ids = is_all.then_some(ids);
                state.days = days(operation, &asked.arguments, body);
            }
            Purpose::Inactive => {
                let first = state.all_ids.iter().flatten().copied().collect();
                let hidden = ids.difference(&first).count();
                state.inactive = Some((count(hidden), count(ids.len())));
            }
            Purpose::EmptyPage | Purpose::NextPage => {}
        }
    }

    /// Chooses the next request.
    fn choose(&self) -> Option<Asked<'a>> {
        let reads = || self.catalog.operations().filter(|operation| operation.is_read_only());
        let first = reads().filter(|operation| !operation.returns_list() && needs(operation) == 0);
        let mut lists: Vec<_> = reads().filter(|operation| operation.returns_list()).collect();
        lists.sort_by_key(|operation| needs(operation));
        let single = reads().filter(|operation| !operation.returns_list() && needs(operation) > 0);
        let all = first.chain(lists).chain(single);
        all.filter(|operation| self.wants(operation))
            .find_map(|operation| {
                let candidates = candidates(operation, &self.ids, self.today);
                candidates.into_iter().find_map(|arguments| self.ask(operation, Purpose::Records, arguments))
            })
            .or_else(|| self.further())
    }

    /// Returns whether records of this operation still have to be requested.
    fn wants(&self, operation: &Operation) -> bool {
        let Some(state) = self.states.get(operation.name()) else { return true };
        let may_try_again = operation.returns_list() && needs(operation) > 0 && state.asked.len() < TRIES;
        may_try_again && state.observed.records == 0 && state.refusal.is_none() && state.failed.is_none()
    }

    fn ask(&self, operation: &'a Operation, purpose: Purpose, arguments: Map<String, Value>) -> Option<Asked<'a>> {
        let request = operation.request(&arguments).ok()?;
        let state = self.states.get(operation.name());
        let is_new = state.is_none_or(|state| !state.asked.contains(&request.path_and_query));
        is_new.then_some(Asked { operation, purpose, arguments, request })
    }

    /// Chooses a second request to a list that needs no ids, from the default operations first.
    fn further(&self) -> Option<Asked<'a>> {
        let answered = |operation: &&Operation| {
            let state = self.states.get(operation.name());
            state.is_some_and(|state| state.observed.envelope.responses > 0)
                && operation.returns_list()
                && needs(operation) == 0
        };
        let mut lists: Vec<_> = self.catalog.operations().filter(answered).collect();
        lists.sort_by_key(|operation| !operation.is_default());
        let envelopes = || self.states.values().map(|state| &state.observed.envelope);
        let takes = |operation: &Operation, name: &str| {
            operation.spec().parameters.iter().any(|parameter| parameter.name == name)
        };
        let with = |operation: &Operation, name: &str, value: Value| {
            let mut arguments = candidates(operation, &self.ids, self.today).into_iter().next().unwrap_or_default();
            arguments.insert(name.to_owned(), value);
            arguments
        };
        if !self.has_asked(Purpose::EmptyPage) && envelopes().all(|envelope| envelope.empty_pages == 0) {
            let list = lists.iter().copied().find(|operation| takes(operation, "offset"));
            let asked =
                list.and_then(|list| self.ask(list, Purpose::EmptyPage, with(list, "offset", json!(PAST_THE_END))));
            if asked.is_some() {
                return asked;
            }
        }
        let saw_next = envelopes().flat_map(|envelope| envelope.next_page.keys()).any(|form| form.is_address());
        if !self.has_asked(Purpose::NextPage) && !saw_next {
            let several = |operation: &&Operation| self.records(operation) > 1 && takes(operation, "limit");
            let list = lists.iter().copied().find(several);
            let asked = list.and_then(|list| self.ask(list, Purpose::NextPage, with(list, "limit", json!(1))));
            if asked.is_some() {
                return asked;
            }
        }
        let of_all = |operation: &&Operation| {
            let state = self.states.get(operation.name());
            let is_open =
                state.is_some_and(|state| state.all_ids.is_some() && !state.purposes.contains(&Purpose::Inactive));
            is_open && takes(operation, ACTIVE)
        };
        let list = lists.into_iter().find(of_all)?;
        self.ask(list, Purpose::Inactive, with(list, ACTIVE, json!(false)))
    }

    fn has_asked(&self, purpose: Purpose) -> bool {
        self.states.values().any(|state| state.purposes.contains(&purpose))
    }

    fn records(&self, operation: &Operation) -> u32 {
        self.states.get(operation.name()).map_or(0, |state| state.observed.records)
    }

    /// Returns the report. `credential` is how the requests were authorized.
    pub fn report(&self, credential: ProbeCredential) -> ProbeReport {
        let mut report = ProbeReport {
            gateway: env!("CARGO_PKG_VERSION"),
            day: self.today.to_string(),
            credential,
            requests: self.requests,
            end: self.end.unwrap_or(End::Complete),
            findings: Vec::new(),
            remarks: Vec::new(),
            seen: Vec::new(),
            not_seen: Vec::new(),
        };
        let nothing = State::default();
        for operation in self.catalog.operations().filter(|operation| operation.is_read_only()) {
            let state = self.states.get(operation.name()).unwrap_or(&nothing);
            self.judge(operation, state, &mut report);
            if state.observed.records > 0 {
                report.seen.push(SeenOperation {
                    operation: operation.name().to_owned(),
                    path: operation.path().to_owned(),
                    records: state.observed.records,
                });
            } else {
                report.not_seen.push(self.not_seen(operation, state));
            }
        }
        report
    }

    fn judge(&self, operation: &Operation, state: &State, report: &mut ProbeReport) {
        let name = operation.name();
        let responses = state.observed.envelope.responses;
        for (status, count) in &state.other_successes {
            let entry =
                Entry { status: Some(*status), ..Entry::new(name, ObservationKind::OtherStatus, *count, responses) };
            report.findings.push(entry.expected("200"));
        }
        let asked = count(state.asked.len());
        for (Refusal { status, code }, count) in &state.errors {
            let entry =
                Entry { status: Some(*status), ..Entry::new(name, ObservationKind::OtherStatus, *count, asked) };
            report.findings.push(entry.expected("200").words(code.clone()));
        }
        if state.unanswered > 0 {
            report.findings.push(Entry::new(name, ObservationKind::NoResponse, state.unanswered, asked));
        }
        if let Some((hidden @ 1.., of)) = state.inactive {
            report.remarks.push(Entry::new(name, ObservationKind::InactiveHidden, hidden, of));
        }
        let (added, asked) = (self.added(operation), asked_for(operation));
        let not_asked = not_asked(operation.kind(), &added, &asked, &operation.spec().shows);
        let Judgement { findings, remarks } = Judgement::of(name, &expected(operation), &not_asked, &state.observed);
        report.findings.extend(findings);
        report.remarks.extend(remarks);
        if let Some((there, of)) = state.days.filter(|(there, of)| there < of) {
            report.remarks.push(Entry::new(name, ObservationKind::DaysMissing, of - there, of));
        }
    }

    /// Returns the members that parameters add to records of this operation's kind.
    fn added(&self, operation: &Operation) -> BTreeSet<String> {
        let is_akin = |other: &&Operation| match &operation.spec().record {
            Some(kind) => other.spec().record.as_ref() == Some(kind),
            None => other.group() == operation.group(),
        };
        let akin = self.catalog.operations().filter(|other| other.is_read_only()).filter(is_akin);
        akin.flat_map(|other| added_by(other).map(|(_, member)| member)).collect()
    }

    fn not_seen(&self, operation: &Operation, state: &State) -> NotSeen {
        let has_id = !candidates(operation, &self.ids, self.today).is_empty();
        let why = match state {
            State { refusal: Some(_), .. } => NotSeenReason::Refused,
            State { failed: Some(_), .. } => NotSeenReason::Failed,
            _ if state.observed.envelope.responses > 0 => NotSeenReason::NoRecords,
            _ if !has_id => NotSeenReason::NoId,
            _ => NotSeenReason::NotAsked,
        };
        let Refusal { status, code } =
            state.refusal.clone().unwrap_or(Refusal { status: state.failed.unwrap_or_default(), code: None });
        NotSeen {
            operation: operation.name().to_owned(),
            path: operation.path().to_owned(),
            why,
            status: (status > 0).then_some(status),
            code,
        }
    }
}

fn expected(operation: &Operation) -> Expected<'_> {
    let spec = operation.spec();
    Expected { answer: spec.answer, kind: operation.kind(), page_members: &spec.page_members }
}

/// Returns the records in the body of a success.
fn records<'v>(operation: &Operation, body: &'v Value) -> Vec<&'v Map<String, Value>> {
    let items = if operation.returns_list() { body.get("items").unwrap_or(body) } else { body };
    items.as_array().map_or(std::slice::from_ref(items), Vec::as_slice).iter().filter_map(Value::as_object).collect()
}

/// Returns the parameters that add members to records, with these members.
fn added_by(operation: &Operation) -> impl Iterator<Item = (&str, String)> {
    let parameters =
        operation.spec().parameters.iter().filter(|parameter| parameter.location == ParameterLocation::Query);
    parameters.filter_map(|parameter| {
        let by_name = || {
            let name = snake_case(&parameter.name);
            let member = name.strip_prefix("include").map(|name| name.trim_start_matches('_').to_owned());
            member.filter(|_| is_include(parameter))
        };
        Some((parameter.name.as_str(), parameter.adds.clone().or_else(by_name)?))
    })
}

/// Returns the members that requests of this operation ask for.
fn asked_for(operation: &Operation) -> BTreeSet<String> {
    let asks = |name: &str| {
        let parameter = operation.spec().parameters.iter().find(|parameter| parameter.name == name);
        operation.returns_list() && parameter.is_some_and(is_include)
    };
    added_by(operation).filter(|(name, _)| asks(name)).map(|(_, member)| member).collect()
}

/// Returns whether an error status contradicts the catalogue. An account may lack a kind of record, or the permission for
/// it. But the catalogue allows every request that is sent, a record whose id a list has just returned exists, and a list
/// that has returned records exists.
fn is_finding(asked: &Asked<'_>, status: u16) -> bool {
    match status {
        401..=403 => false,
        404 => asked.purpose != Purpose::Records || asked.operation.path().ends_with("/{id}"),
        _ => true,
    }
}

/// Returns the number of days in a record, and the number of days in its range.
fn days(operation: &Operation, arguments: &Map<String, Value>, body: &Value) -> Option<(u32, u32)> {
    let rows = body.get(operation.kind().rows.as_ref()?)?.as_array()?;
    let range = operation.rules().ranges.first()?;
    let day = |name: &String| arguments.get(name)?.as_str()?.parse::<NaiveDate>().ok();
    let days = (day(&range.to)? - day(&range.from)?).num_days() + 1;
    Some((count(rows.len()), u32::try_from(days).ok()?))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
