//! How an answer asks OwnerRez: operations of the catalogue by their names, page after page, within bounds.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    catalog::View,
    domain::{Caller, Scope},
    session::CallError,
    tools::{Parts, Trace},
    upstream::RefusedKind,
};

/// No answer takes more requests: all users of the gateway share what OwnerRez admits in five minutes.
pub(super) const MOST_REQUESTS: usize = 10;
/// Nor does it begin another one after this time. Clients give up after a minute, as a rule.
const MOST_TIME: TimeDelta = TimeDelta::seconds(40);
/// OwnerRez's largest page.
pub(super) const PAGE: usize = 100;
/// As many properties fit into one request.
const PROPERTIES_AT_ONCE: usize = 100;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Stop {
    /// A request has no answer.
    Call {
        /// The operation that was sent.
        operation: String,
        /// What happened.
        error: Box<CallError>,
    },
    /// What was asked for cannot be; in words for a model.
    Told(String),
    /// A mistake in this program.
    Broken(String),
}

/// One question: who asks, and what it has cost so far.
pub(super) struct Asking<'a> {
    parts: &'a Parts,
    caller: &'a Caller,
    view: &'a View,
    cancel: &'a CancellationToken,
    started: DateTime<Utc>,
    requests: usize,
    /// What the answer lacks, and how to ask for it.
    lacks: Vec<String>,
    pub(super) trace: Trace,
}

impl<'a> Asking<'a> {
    pub(super) fn new(parts: &'a Parts, caller: &'a Caller, view: &'a View, cancel: &'a CancellationToken) -> Self {
        let started = parts.links.clock.now();
        Self { parts, caller, view, cancel, started, requests: 0, lacks: Vec::new(), trace: Trace::default() }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.started
    }

    /// Whether the answer is to hold anything of this member: what nobody wants is not asked of OwnerRez.
    pub(super) fn wants(&self, path: &str) -> bool {
        self.view.wants(path)
    }

    /// How many requests may still be sent.
    pub(super) fn left(&self) -> usize {
        if self.parts.links.clock.now() - self.started > MOST_TIME { 0 } else { MOST_REQUESTS - self.requests }
    }

    /// How many were sent.
    pub(super) fn used(&self) -> usize {
        self.requests
    }

    /// The answer is not the whole truth: says what is missing and how to narrow the question.
    pub(super) fn lacks(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.lacks.contains(&what) {
            self.lacks.push(what);
        }
    }

    /// Sends one request.
    pub(super) async fn one(&mut self, operation: &str, arguments: Value) -> Result<Value, Stop> {
        let broken = |what: String| Stop::Broken(format!("{operation}: {what}"));
        let known = self.parts.catalog.get(operation).ok_or_else(|| broken("no such operation".to_owned()))?;
        // Answers are for read keys too.
        if !known.is_within(Scope::Read) {
            return Err(broken("an answer only reads".to_owned()));
        }
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        let request = Arc::new(known.request(&arguments).map_err(|error| broken(error.to_string()))?);
        if self.left() == 0 {
            return Err(Stop::Told(format!(
                "OwnerRez needs too many or too slow requests for this question ({MOST_REQUESTS} at most). Ask for fewer \
                 days or fewer properties at once."
            )));
        }
        let outcome = self.parts.sessions.call(self.caller.user, &request, self.cancel).await;
        self.trace = Trace::of(&outcome);
        if !matches!(&outcome, Ok(answer) if answer.remembered) {
            self.requests += 1;
        }
        outcome.and_then(|answer| Ok(known.answer(&request, answer.status, &answer.body)?)).map_err(|error| {
            self.trace.error = Some(error.code());
            Stop::Call { operation: operation.to_owned(), error: Box::new(error) }
        })
    }

    /// The same where there may be no such record.
    pub(super) async fn if_there(&mut self, operation: &str, arguments: Value) -> Result<Option<Value>, Stop> {
        match self.one(operation, arguments).await {
            Ok(record) => Ok(Some(record)),
            Err(stop) if stop.is(&[RefusedKind::NotFound]) => {
                self.trace.error = None;
                Ok(None)
            }
            Err(stop) => Err(stop),
        }
    }

    /// All records of a list, as far as the bounds allow.
    pub(super) async fn list(&mut self, operation: &str, arguments: Value) -> Result<Vec<Value>, Stop> {
        self.pages(operation, arguments, MOST_REQUESTS).await
    }

    /// The first pages of a list. What is missing is noted.
    pub(super) async fn pages(&mut self, operation: &str, arguments: Value, most: usize) -> Result<Vec<Value>, Stop> {
        let mut arguments = arguments;
        arguments["limit"] = json!(PAGE);
        let mut items = Vec::new();
        for page in 1.. {
            let answer = self.one(operation, arguments.clone()).await?;
            items.extend(answer["items"].as_array().cloned().unwrap_or_default());
            let Some(next) = answer["next_offset"].as_u64() else { break };
            if page >= most || self.left() == 0 {
                self.lacks(format!(
                    "{operation} has more than the {} records that were read: ask for fewer days or fewer properties at \
                     once.",
                    items.len()
                ));
                break;
            }
            arguments["offset"] = json!(next);
        }
        Ok(items)
    }

    /// The bookings of these properties: as many requests as there are hundreds of properties and of bookings.
    pub(super) async fn bookings(&mut self, properties: &[i64], filters: Value) -> Result<Vec<Value>, Stop> {
        let mut found = Vec::new();
        for some in properties.chunks(PROPERTIES_AT_ONCE) {
            if self.left() == 0 {
                self.lacks("Not all properties could be asked for their bookings: give `property_ids`.");
                break;
            }
            let mut arguments = filters.clone();
            arguments["property_ids"] = json!(some);
            found.extend(self.list("list_bookings", arguments).await?);
        }
        Ok(found)
    }

    /// A page of OwnerRez's own application.
    pub(super) fn page(&self, kind: &str, id: i64) -> String {
        page(&self.parts.app_url, kind, id)
    }

    /// The answer with what every answer says.
    pub(super) fn finish(&self, covered: Value, answer: Value) -> Value {
        let mut all = Map::new();
        all.insert("covered".to_owned(), covered);
        all.insert("complete".to_owned(), json!(self.lacks.is_empty()));
        if !self.lacks.is_empty() {
            all.insert("missing".to_owned(), json!(self.lacks));
        }
        all.insert("requests_used".to_owned(), json!(self.requests));
        if let Value::Object(members) = answer {
            all.extend(members);
        }
        Value::Object(all)
    }
}

fn page(app: &Url, kind: &str, id: i64) -> String {
    format!("{}/{kind}/{id}", app.as_str().trim_end_matches('/'))
}

impl Stop {
    /// Whether OwnerRez refused in one of these ways.
    pub(super) fn is(&self, kinds: &[RefusedKind]) -> bool {
        let Stop::Call { error, .. } = self else { return false };
        matches!(error.as_ref(), CallError::Refused(refused) if kinds.contains(&refused.kind))
    }
}
