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
        Parts, Trace,
        by_word::{ByWord, MOST_PAGES},
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
pub(super) enum Stop {
    /// A request failed.
    Call {
        /// The operation of the request.
        operation: String,
        /// The error.
        error: Box<CallError>,
    },
    /// The call cannot be fulfilled; a message for the model.
    Told(String),
    /// A bug in the gateway.
    Broken(String),
}

/// The first records of a list.
pub(super) struct Beginning {
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
pub(super) struct Asking<'a> {
    parts: &'a Parts,
    caller: &'a Principal,
    view: &'a View,
    cancel: &'a CancellationToken,
    started: DateTime<Utc>,
    requests: usize,
    /// What is missing in the response, and how to request it.
    lacks: Vec<String>,
    /// The properties that were omitted because not all of their bookings were read.
    unread: BTreeSet<i64>,
    pub(super) trace: Trace,
}

impl<'a> Asking<'a> {
    pub(super) fn new(parts: &'a Parts, caller: &'a Principal, view: &'a View, cancel: &'a CancellationToken) -> Self {
        let started = parts.links.clock.now();
        let (lacks, unread, trace) = (Vec::new(), BTreeSet::new(), Trace::default());
        Self { parts, caller, view, cancel, started, requests: 0, lacks, unread, trace }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.started
    }

    /// Returns whether any part of this member is requested: other data is not requested from OwnerRez.
    pub(super) fn wants(&self, path: &str) -> bool {
        self.view.wants(path)
    }

    /// Returns how many requests may still be sent.
    pub(super) fn left(&self) -> usize {
        if self.parts.links.clock.now() - self.started > MOST_TIME { 0 } else { MOST_REQUESTS - self.requests }
    }

    /// Returns how many were sent.
    pub(super) fn used(&self) -> usize {
        self.requests
    }

    /// Marks the response as incomplete, with a note about what is missing and how to request it.
    pub(super) fn lacks(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.lacks.contains(&what) {
            self.lacks.push(what);
        }
    }

    /// Adds properties to `missing_properties`, in the format of `property_ids`.
    pub(super) fn lacks_properties(&mut self, unread: &BTreeSet<i64>) {
        self.unread.extend(unread);
    }

    /// Sends one request.
    pub(super) async fn one(&mut self, operation: &str, arguments: Value) -> Result<Value, Stop> {
        let broken = |what: String| Stop::Broken(format!("{operation}: {what}"));
        let known = self.parts.catalog.get(operation).ok_or_else(|| broken("no such operation".to_owned()))?;
        // Read-only keys may use composite tools, too.
        if !known.is_allowed_for(Scope::Read) {
            return Err(broken("an answer only reads".to_owned()));
        }
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        let request = Arc::new(known.request(&arguments).map_err(|error| broken(error.to_string()))?);
        if self.left() == 0 {
            return Err(Stop::Told(format!(
                "This call needs too many or too slow requests to OwnerRez ({MOST_REQUESTS} at most). Ask for fewer days \
                 or fewer properties at once."
            )));
        }
        let outcome = self.parts.sessions.call(self.caller.user, &request, self.cancel).await;
        self.trace = Trace::of(&outcome);
        if !matches!(&outcome, Ok(answer) if answer.from_cache) {
            self.requests += 1;
        }
        outcome.and_then(|answer| Ok(known.normalize(&request, answer.status, &answer.body)?)).map_err(|error| {
            self.trace.error = Some(error.code());
            Stop::Call { operation: operation.to_owned(), error: Box::new(error) }
        })
    }

    /// Sends one request for a record that may not exist.
    pub(super) async fn if_there(&mut self, operation: &str, arguments: Value) -> Result<Option<Value>, Stop> {
        match self.one(operation, arguments).await {
            Ok(record) => Ok(Some(record)),
            Err(stop) if stop.is(&[UpstreamErrorKind::NotFound]) => {
                self.trace.error = None;
                Ok(None)
            }
            Err(stop) => Err(stop),
        }
    }

    /// Returns all records of a list, within the limits.
    pub(super) async fn list(&mut self, operation: &str, arguments: Value) -> Result<Vec<Value>, Stop> {
        self.pages(operation, arguments, MOST_REQUESTS).await
    }

    /// Returns the first pages of a list, and notes if records are missing.
    pub(super) async fn pages(&mut self, operation: &str, arguments: Value, most: usize) -> Result<Vec<Value>, Stop> {
        let some = self.beginning(operation, arguments, most).await?;
        if some.more {
            self.lacks(match some.records.len() {
                0 => format!("{operation} was not called, to limit requests: use `fields`, or ask for fewer properties."),
                read => format!(
                    "{operation} has more than the {read} records that were read: ask for fewer days or fewer properties \
                     at once."
                ),
            });
        }
        Ok(some.records)
    }

    /// Returns the first pages of a list, within the limits, and whether there are more.
    pub(super) async fn beginning(
        &mut self,
        operation: &str,
        arguments: Value,
        most: usize,
    ) -> Result<Beginning, Stop> {
        let mut arguments = arguments;
        arguments["limit"] = json!(PAGE);
        let mut records = Vec::new();
        for _ in 0..most {
            if self.left() == 0 {
                break;
            }
            let answer = self.one(operation, arguments.clone()).await?;
            records.extend(answer["items"].as_array().cloned().unwrap_or_default());
            let Some(next) = answer["next_offset"].as_u64() else { return Ok(Beginning { records, more: false }) };
            arguments["offset"] = json!(next);
        }
        Ok(Beginning { records, more: true })
    }

    /// Returns the guests that match a text. If the whole text finds no guest, searches for one word of it, and also
    /// returns a note about that.
    pub(super) async fn guests(&mut self, text: &str) -> Result<(Vec<Value>, Option<String>), Stop> {
        let arguments = json!({"q": text});
        let found = self.pages("list_guests", arguments.clone(), 1).await?;
        let operation = self.parts.catalog.get("list_guests");
        let again = operation.zip(arguments.as_object()).and_then(|(known, arguments)| ByWord::of(known, arguments));
        let Some(again) = again.filter(|_| found.is_empty()) else { return Ok((found, None)) };
        let one_word = Value::Object(again.page(0));
        let tried = self.beginning("list_guests", one_word, MOST_PAGES).await?;
        let told = again.told(tried.records.len(), tried.more);
        if tried.more {
            self.lacks(told.clone());
        }
        Ok((tried.records.into_iter().filter(|guest| again.fits(guest)).collect(), Some(told)))
    }

    /// Returns the bookings of these properties, with one request for each hundred properties and each hundred
    /// bookings. `expected` is an estimate of the bookings per property. If they exceed the limits, fewer properties
    /// are requested at once, because all bookings of some properties are more useful than some bookings of all.
    pub(super) async fn bookings(
        &mut self,
        properties: &[i64],
        filters: &Value,
        expected: usize,
    ) -> Result<Bookings, Stop> {
        let mut read = Bookings::default();
        let mut arguments = filters.clone();
        let (mut rest, mut expected, mut share) = (properties, expected.max(1), 2);
        while !rest.is_empty() {
            let room = self.left() * PAGE;
            if room == 0 {
                read.unread.extend(rest);
                break;
            }
            let all_fit = rest.len() * expected <= room;
            let fit = if all_fit { rest.len() } else { room / share / expected };
            let (some, others) = rest.split_at(fit.clamp(1, PROPERTIES_AT_ONCE).min(rest.len()));
            arguments["property_ids"] = json!(some);
            let found = self.beginning("list_bookings", arguments.clone(), MOST_REQUESTS).await?;
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
    pub(super) fn page(&self, kind: &str, id: i64) -> String {
        page(&self.parts.app_url, kind, id)
    }

    /// Adds the members that all responses have.
    pub(super) fn finish(&self, covered: Value, answer: Value) -> Value {
        let mut all = Map::new();
        all.insert("covered".to_owned(), covered);
        all.insert("complete".to_owned(), json!(self.lacks.is_empty()));
        if !self.lacks.is_empty() {
            all.insert("missing".to_owned(), json!(self.lacks));
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

fn page(app: &Url, kind: &str, id: i64) -> String {
    format!("{}/{kind}/{id}", app.as_str().trim_end_matches('/'))
}

impl Stop {
    /// Returns whether OwnerRez rejected the request with an error of one of these kinds.
    pub(super) fn is(&self, kinds: &[UpstreamErrorKind]) -> bool {
        let Stop::Call { error, .. } = self else { return false };
        matches!(error.as_ref(), CallError::Upstream(refused) if kinds.contains(&refused.kind))
    }
}
