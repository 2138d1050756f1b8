//! The requests of a composite tool: calls operations of the catalogue by name, page after page, within limits.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    catalog::View,
    domain::{Principal, Scope},
    session::CallError,
    tools::{
        by_word::{ByWord, MOST_PAGES},
        call_log_info::CallLogInfo,
        tool_deps::ToolDeps,
    },
    upstream::UpstreamErrorKind,
};

/// The most requests for one response: all users of the gateway share the rate limit of OwnerRez.
pub(super) const MOST_REQUESTS: usize = 10;
/// The time after which no further request is started. Clients usually time out after a minute.
const MOST_TIME: TimeDelta = TimeDelta::seconds(40);
/// The size of the largest page of OwnerRez.
pub(super) const PAGE: usize = 100;
/// The most properties in one request.
const PROPERTIES_AT_ONCE: usize = 100;

/// Why a composite tool failed.
#[derive(Debug)]
pub(super) enum CompositeError {
    /// A request failed.
    Call {
        /// The operation of the request.
        operation: String,
        /// The error.
        error: Box<CallError>,
    },
    /// The call cannot be fulfilled; a message for the model.
    Rejected(String),
    /// A bug in the gateway.
    Internal(String),
}

/// The first records of a list.
pub(super) struct FirstPages {
    pub(super) records: Vec<Value>,
    /// Whether the list has more records.
    pub(super) more: bool,
}

/// Bookings of properties.
#[derive(Default)]
pub(super) struct Bookings {
    pub(super) records: Vec<Value>,
    /// The properties of which not all bookings were read.
    pub(super) unread: BTreeSet<i64>,
}

/// The context of one call of a composite tool: the caller, and the requests so far.
pub(super) struct QueryContext<'a> {
    deps: &'a ToolDeps,
    caller: &'a Principal,
    view: &'a View,
    cancel: &'a CancellationToken,
    started: DateTime<Utc>,
    requests: usize,
    /// What is missing in the response, and how to request it.
    missing: Vec<String>,
    /// The properties that were omitted because not all of their bookings were read.
    unread: BTreeSet<i64>,
    pub(super) log_info: CallLogInfo,
}

impl<'a> QueryContext<'a> {
    pub(super) fn new(
        deps: &'a ToolDeps,
        caller: &'a Principal,
        view: &'a View,
        cancel: &'a CancellationToken,
    ) -> Self {
        let started = deps.clock.now();
        let (missing, unread, log_info) = (Vec::new(), BTreeSet::new(), CallLogInfo::default());
        Self { deps, caller, view, cancel, started, requests: 0, missing, unread, log_info }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.started
    }

    /// Returns whether any part of this member is requested: other data is not requested from OwnerRez.
    pub(super) fn wants(&self, path: &str) -> bool {
        self.view.wants(path)
    }

    /// Returns how many requests may still be sent.
    pub(super) fn requests_left(&self) -> usize {
        if self.deps.clock.now() - self.started > MOST_TIME { 0 } else { MOST_REQUESTS.saturating_sub(self.requests) }
    }

    /// Returns how many were sent.
    pub(super) fn requests_used(&self) -> usize {
        self.requests
    }

    /// Marks the response as incomplete, with a note about what is missing and how to request it.
    pub(super) fn note_missing(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.missing.contains(&what) {
            self.missing.push(what);
        }
    }

    /// Adds properties to `missing_properties`, in the format of `property_ids`.
    pub(super) fn note_missing_properties(&mut self, unread: &BTreeSet<i64>) {
        self.unread.extend(unread);
    }

    /// Sends one request.
    pub(super) async fn call(&mut self, operation: &str, arguments: Value) -> Result<Value, CompositeError> {
        let broken = |what: String| CompositeError::Internal(format!("{operation}: {what}"));
        let known = self.deps.catalog.get(operation).ok_or_else(|| broken("no such operation".to_owned()))?;
        // Read-only keys may use composite tools, too.
        if !known.is_allowed_for(Scope::Read) {
            return Err(broken("an answer only reads".to_owned()));
        }
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        let request = Arc::new(known.request(&arguments).map_err(|error| broken(error.to_string()))?);
        if self.requests_left() == 0 {
            return Err(CompositeError::Rejected(format!(
                "This call needs too many or too slow requests to OwnerRez ({MOST_REQUESTS} at most). Ask for fewer days \
                 or fewer properties at once."
            )));
        }
        let (outcome, sent) = self.deps.sessions.call_counted(self.caller.user, &request, self.cancel).await;
        self.log_info = CallLogInfo::of(&outcome);
        self.requests = self.requests.saturating_add(usize::try_from(sent).unwrap_or(usize::MAX));
        outcome.and_then(|answer| Ok(known.normalize(&request, answer.status, &answer.body)?)).map_err(|error| {
            self.log_info.error = Some(error.code());
            CompositeError::Call { operation: operation.to_owned(), error: Box::new(error) }
        })
    }

    /// Sends one request for a record that may not exist.
    pub(super) async fn get_optional(
        &mut self,
        operation: &str,
        arguments: Value,
    ) -> Result<Option<Value>, CompositeError> {
        match self.call(operation, arguments).await {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.is(&[UpstreamErrorKind::NotFound]) => {
                self.log_info.error = None;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns all records of a list, within the limits.
    pub(super) async fn list_all(&mut self, operation: &str, arguments: Value) -> Result<Vec<Value>, CompositeError> {
        self.list_pages(operation, arguments, MOST_REQUESTS, "ask for fewer days or fewer properties at once").await
    }

    /// Returns the first pages of a list. If records are missing, the response says so, with the advice how to get them.
    pub(super) async fn list_pages(
        &mut self,
        operation: &str,
        arguments: Value,
        most: usize,
        advice: &str,
    ) -> Result<Vec<Value>, CompositeError> {
        let some = self.first_pages(operation, arguments, most).await?;
        if some.more {
            self.note_missing(match some.records.len() {
                0 => {
                    format!("{operation} was not called, to limit requests: use `fields`, or ask for fewer properties.")
                }
                read => format!("{operation} has more than the {read} records that were read: {advice}."),
            });
        }
        Ok(some.records)
    }

    /// Returns the first pages of a list, within the limits, and whether there are more.
    pub(super) async fn first_pages(
        &mut self,
        operation: &str,
        arguments: Value,
        most: usize,
    ) -> Result<FirstPages, CompositeError> {
        let mut arguments = arguments;
        arguments["limit"] = json!(PAGE);
        let mut records = Vec::new();
        for _ in 0..most {
            if self.requests_left() == 0 {
                break;
            }
            let answer = self.call(operation, arguments.clone()).await?;
            records.extend(answer["items"].as_array().cloned().unwrap_or_default());
            let Some(next) = answer["next_offset"].as_u64() else { return Ok(FirstPages { records, more: false }) };
            arguments["offset"] = json!(next);
        }
        Ok(FirstPages { records, more: true })
    }

    /// Returns the guests that match a text. If the whole text finds no guest, searches for one word of it, and also
    /// returns a note about that.
    pub(super) async fn find_guests(&mut self, text: &str) -> Result<(Vec<Value>, Option<String>), CompositeError> {
        let arguments = json!({"q": text});
        let rarer = "search for a rarer word, an e-mail address or a phone number";
        let found = self.list_pages("list_guests", arguments.clone(), 1, rarer).await?;
        let operation = self.deps.catalog.get("list_guests");
        let retry = operation.zip(arguments.as_object()).and_then(|(known, arguments)| ByWord::of(known, arguments));
        let Some(retry) = retry.filter(|_| found.is_empty()) else { return Ok((found, None)) };
        let one_word = Value::Object(retry.page(0));
        let tried = self.first_pages("list_guests", one_word, MOST_PAGES).await?;
        let note = retry.note(tried.records.len(), tried.more);
        if tried.more {
            self.note_missing(note.clone());
        }
        Ok((tried.records.into_iter().filter(|guest| retry.matches(guest)).collect(), Some(note)))
    }

    /// Returns the bookings of these properties, with one request for each hundred properties and each hundred
    /// bookings. `expected` is an estimate of the bookings per property. If they exceed the limits, fewer properties
    /// are requested at once, because all bookings of some properties are more useful than some bookings of all.
    pub(super) async fn bookings(
        &mut self,
        properties: &[i64],
        filters: &Value,
        expected: usize,
    ) -> Result<Bookings, CompositeError> {
        let mut read = Bookings::default();
        let mut arguments = filters.clone();
        let (mut rest, mut expected, mut share) = (properties, expected.max(1), 2);
        while !rest.is_empty() {
            let capacity = self.requests_left() * PAGE;
            if capacity == 0 {
                read.unread.extend(rest);
                break;
            }
            let all_fit = rest.len() * expected <= capacity;
            let fit = if all_fit { rest.len() } else { capacity / share / expected };
            let (some, others) = rest.split_at(fit.clamp(1, PROPERTIES_AT_ONCE).min(rest.len()));
            arguments["property_ids"] = json!(some);
            let found = self.first_pages("list_bookings", arguments.clone(), MOST_REQUESTS).await?;
            if found.more {
                read.unread.extend(some);
            } else {
                // The number of read bookings replaces the estimate, and needs no safety margin.
                (expected, share) = (found.records.len().div_ceil(some.len()).max(1), 1);
            }
            read.records.extend(found.records);
            rest = others;
        }
        Ok(read)
    }

    /// Returns the URL of a page of the OwnerRez application.
    pub(super) fn record_url(&self, kind: &str, id: i64) -> String {
        record_url(&self.deps.app_url, kind, id)
    }

    /// Adds the members that all responses have.
    pub(super) fn finish(&self, covered: Value, answer: Value) -> Value {
        let mut all = Map::new();
        all.insert("covered".to_owned(), covered);
        all.insert("complete".to_owned(), json!(self.missing.is_empty()));
        if !self.missing.is_empty() {
            all.insert("missing".to_owned(), json!(self.missing));
        }
        if !self.unread.is_empty() {
            all.insert("missing_properties".to_owned(), json!(self.unread));
        }
        all.insert("requests_used".to_owned(), json!(self.requests));
        if let Value::Object(members) = answer {
            all.extend(members);
        }
        Value::Object(all)
    }
}

fn record_url(app: &Url, kind: &str, id: i64) -> String {
    format!("{}/{kind}/{id}", app.as_str().trim_end_matches('/'))
}

impl CompositeError {
    /// Returns whether OwnerRez rejected the request with an error of one of these kinds.
    pub(super) fn is(&self, kinds: &[UpstreamErrorKind]) -> bool {
        let CompositeError::Call { error, .. } = self else { return false };
        matches!(error.as_ref(), CallError::Upstream(refused) if kinds.contains(&refused.kind))
    }
}
