//! Records of OwnerRez as MCP resources, each with a URI, for clients that attach them to a conversation, and the
//! completion of ids from names. The table is `config/resources.json`.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use lru::LruCache;
use rmcp::model::{Resource, ResourceTemplate};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::{by_word::ByWord, call_log_info::CallLogInfo, error_messages, tool_deps::ToolDeps};
use crate::{
    catalog::{Catalog, CatalogError},
    domain::{ErrorCode, Principal, UserId},
    session::CallError,
    upstream::UpstreamErrorKind,
};

const JSON: &str = "application/json";
/// The placeholder for the id of a record in a URI template.
const ID: &str = "{id}";
/// The size of the largest page of OwnerRez: the number of names that are searched.
const NAMES: u64 = 100;
/// The lifetime of a cached list of names: typing causes a request for each letter.
const NAMES_KEPT_FOR: TimeDelta = TimeDelta::minutes(1);
/// The number of cached lists of names, for all users together.
const LISTS_KEPT: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// The length in characters of texts that OwnerRez is asked to search for.
const SEARCHED: RangeInclusive<usize> = 2..=100;

/// The table, validated and ready.
pub struct Resources {
    records: Vec<Record>,
    names: Mutex<LruCache<NamesKey, (DateTime<Utc>, Names)>>,
}

/// The user, the kind of record, and the searched text.
type NamesKey = (UserId, String, String);
/// Ids and names, in OwnerRez's order.
type Names = Arc<Vec<(i64, String)>>;

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    name: String,
    uri: String,
    title: String,
    description: String,
    /// The operation that reads it.
    operation: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    /// The source of its names, for the completion of ids.
    names: Option<CompletionSource>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompletionSource {
    /// The operation that lists the records.
    operation: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    /// Arguments of a second request, whose records are added.
    also: Option<Map<String, Value>>,
    /// The argument for the typed text, if OwnerRez searches; otherwise the gateway searches one page.
    search: Option<String>,
    changed_within_days: Option<i64>,
    /// The members that form the name.
    members: Vec<String>,
}

/// Why a resource was not read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadError {
    /// There is no resource with this URI; a message.
    Unknown(String),
    /// Reading failed; a message.
    Failed(String),
}

impl Resources {
    /// Returns the resources that are compiled into the program.
    pub fn embedded(catalog: &Catalog) -> Result<Self, CatalogError> {
        let broken = |mistake: String| CatalogError { errors: vec![format!("resources: {mistake}")] };
        let records: Vec<Record> = serde_json::from_str(include_str!("../../config/resources.json"))
            .map_err(|error| broken(error.to_string()))?;
        let listing = records.iter().filter_map(|record| record.names.as_ref()).map(|names| &names.operation);
        for operation in records.iter().map(|record| &record.operation).chain(listing) {
            if catalog.get(operation).is_none_or(|operation| !operation.is_read_only()) {
                return Err(broken(format!("{operation} is not a reading operation")));
            }
        }
        Ok(Self { records, names: Mutex::new(LruCache::new(LISTS_KEPT)) })
    }

    /// Returns the resources with a fixed URI.
    pub fn list(&self) -> Vec<Resource> {
        let fixed = self.records.iter().filter(|record| !record.uri.contains(ID));
        fixed
            .map(|record| {
                Resource::new(&record.uri, &record.name)
                    .with_title(&record.title)
                    .with_description(&record.description)
                    .with_mime_type(JSON)
            })
            .collect()
    }

    /// Returns the resource templates.
    pub fn templates(&self) -> Vec<ResourceTemplate> {
        let many = self.records.iter().filter(|record| record.uri.contains(ID));
        many.map(|record| {
            ResourceTemplate::new(&record.uri, &record.name)
                .with_title(&record.title)
                .with_description(&record.description)
                .with_mime_type(JSON)
        })
        .collect()
    }

    /// Returns the kind of record of a URI template.
    pub fn kind(&self, template: &str) -> Option<&str> {
        self.records.iter().find(|record| record.uri == template).map(|record| record.name.as_str())
    }

    /// Returns whether ids of this kind can be found by names.
    pub(super) fn has_names(&self, kind: &str) -> bool {
        self.records.iter().any(|record| record.name == kind && record.names.is_some())
    }

    /// Reads the record at a URI: one request to OwnerRez. Metrics count it by the operation's name.
    pub(super) async fn read(
        &self,
        deps: &ToolDeps,
        caller: &Principal,
        uri: &str,
        cancel: &CancellationToken,
    ) -> (Result<Value, ReadError>, String, CallLogInfo) {
        let Some((record, arguments)) = self.records.iter().find_map(|record| Some((record, record.at(uri)?))) else {
            let known: Vec<&str> = self.records.iter().map(|record| record.uri.as_str()).collect();
            let words = format!(
                "Unknown resource URI; nothing was sent to OwnerRez. The URIs are {}, with the id of a record.",
                known.join(", ")
            );
            return (
                Err(ReadError::Unknown(words)),
                "resource".to_owned(),
                CallLogInfo::error(ErrorCode::UnknownResource),
            );
        };
        let (outcome, log_info) = read_operation(deps, caller, &record.operation, &arguments, cancel).await;
        let outcome = match outcome {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let words = explain(deps, caller, &record.operation, &error).await;
                let missing =
                    matches!(&error, CallError::Upstream(refused) if refused.kind == UpstreamErrorKind::NotFound);
                Err(if missing { ReadError::Unknown(words) } else { ReadError::Failed(words) })
            }
        };
        (outcome, record.operation.clone(), log_info)
    }

    /// Returns the ids whose names contain the typed text, or that begin with it. Takes at most one request to OwnerRez
    /// a minute for each kind, two for properties, and for guests one or two for each name.
    ///
    /// Completion is optional: if a request fails, the result is empty.
    pub(super) async fn complete(
        &self,
        deps: &ToolDeps,
        caller: &Principal,
        kind: &str,
        typed: &str,
        cancel: &CancellationToken,
    ) -> Vec<String> {
        let typed = typed.trim().to_lowercase();
        let source = self.records.iter().find(|record| record.name == kind).and_then(|record| record.names.as_ref());
        let Some(source) = source else { return Vec::new() };
        let searched = if source.search.is_some() { typed.clone() } else { String::new() };
        if source.search.is_some() && !SEARCHED.contains(&searched.chars().count()) {
            return Vec::new();
        }
        let names = match self.cached_names(deps, caller, kind, &searched) {
            Some(names) => names,
            None => {
                let Some(names) = source.fetch(deps, caller, &searched, cancel).await else { return Vec::new() };
                let key = (caller.user, kind.to_owned(), searched.clone());
                let now = deps.clock.now();
                self.names.lock().unwrap_or_else(PoisonError::into_inner).put(key, (now, names.clone()));
                names
            }
        };
        let fits = |id: &i64, name: &str| {
            source.search.is_some() || name.to_lowercase().contains(&typed) || id.to_string().starts_with(&typed)
        };
        names.iter().filter(|(id, name)| fits(id, name)).map(|(id, _)| id.to_string()).collect()
    }

    fn cached_names(&self, deps: &ToolDeps, caller: &Principal, kind: &str, searched: &str) -> Option<Names> {
        let key = (caller.user, kind.to_owned(), searched.to_owned());
        let mut kept = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, names) = kept.get(&key)?;
        (*at + NAMES_KEPT_FOR > deps.clock.now()).then(|| names.clone())
    }
}

impl Record {
    /// Returns the arguments that read this URI, if it is one of this record.
    fn at(&self, uri: &str) -> Option<Map<String, Value>> {
        let mut arguments = self.arguments.clone();
        let Some((before, after)) = self.uri.split_once(ID) else {
            return (self.uri == uri).then_some(arguments);
        };
        let id = uri.strip_prefix(before)?.strip_suffix(after)?;
        let digits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        let id: i64 = id.parse().ok().filter(|id| digits && *id > 0)?;
        arguments.insert("id".to_owned(), json!(id));
        Some(arguments)
    }
}

impl CompletionSource {
    /// Requests the names, including those of the second request if the table has one.
    async fn fetch(
        &self,
        deps: &ToolDeps,
        caller: &Principal,
        typed: &str,
        cancel: &CancellationToken,
    ) -> Option<Names> {
        let mut found = self.read(deps, caller, typed, &self.arguments, cancel).await?;
        if let Some(also) = &self.also {
            let known: BTreeSet<i64> = found.iter().map(|(id, _)| *id).collect();
            let others = self.read(deps, caller, typed, also, cancel).await?;
            found.extend(others.into_iter().filter(|(id, _)| !known.contains(id)));
        }
        Some(Arc::new(found))
    }

    async fn read(
        &self,
        deps: &ToolDeps,
        caller: &Principal,
        typed: &str,
        arguments: &Map<String, Value>,
        cancel: &CancellationToken,
    ) -> Option<Vec<(i64, String)>> {
        let mut arguments = arguments.clone();
        arguments.insert("limit".to_owned(), json!(NAMES));
        if let Some(argument) = &self.search {
            arguments.insert(argument.clone(), json!(typed));
        }
        if let Some(days) = self.changed_within_days {
            let since = deps.clock.now() - TimeDelta::days(days);
            arguments.insert("since_utc".to_owned(), json!(since.to_rfc3339_opts(SecondsFormat::Secs, true)));
        }
        let (outcome, _) = read_operation(deps, caller, &self.operation, &arguments, cancel).await;
        let mut items = outcome.ok()?["items"].as_array()?.clone();
        let by_word = deps.catalog.get(&self.operation).and_then(|known| ByWord::of(known, &arguments));
        if let Some(by_word) = by_word.filter(|_| items.is_empty()) {
            let (outcome, _) = read_operation(deps, caller, &self.operation, &by_word.page(0), cancel).await;
            items = outcome.ok()?["items"].as_array()?.clone();
            items.retain(|guest| by_word.matches(guest));
        }
        let named = |record: &Value| Some((record["id"].as_i64()?, self.name_in(record)));
        Some(items.iter().filter_map(named).collect())
    }

    fn name_in(&self, record: &Value) -> String {
        let member = |path: &String| record.pointer(&format!("/{}", path.replace('.', "/")))?.as_str();
        self.members.iter().filter_map(member).collect::<Vec<_>>().join(" ")
    }
}

/// Sends one reading operation. Its arguments come from the gateway, so they are valid.
async fn read_operation(
    deps: &ToolDeps,
    caller: &Principal,
    operation: &str,
    arguments: &Map<String, Value>,
    cancel: &CancellationToken,
) -> (Result<Value, CallError>, CallLogInfo) {
    let known = deps.catalog.get(operation);
    let Some((known, request)) = known.and_then(|known| Some((known, Arc::new(known.request(arguments).ok()?)))) else {
        let failure = Some(format!("{operation} does not accept the arguments of the table of resources"));
        let log_info = CallLogInfo { failure, ..CallLogInfo::error(ErrorCode::InternalError) };
        return (Err(CallError::SessionLost { write_may_have_happened: false }), log_info);
    };
    let outcome = deps.sessions.call(caller.user, &request, cancel).await;
    let mut log_info = CallLogInfo::of(&outcome);
    let view = known.view(arguments).uncut();
    let shown = outcome.and_then(|answer| Ok(known.render(&view, &request, answer.status, &answer.body)?.structured()));
    log_info.error = shown.as_ref().err().map(CallError::code);
    (shown, log_info)
}

async fn explain(deps: &ToolDeps, caller: &Principal, operation: &str, error: &CallError) -> String {
    match deps.catalog.get(operation) {
        Some(operation) => error_messages::explain(&deps.links, caller, operation, error).await,
        None => error_messages::FAILED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_read_of_the_table_is_one_its_operation_takes() -> Result<(), CatalogError> {
        let catalog = Catalog::embedded()?;
        for record in Resources::embedded(&catalog)?.records {
            let arguments = record.at(&record.uri.replace(ID, "7")).expect("its own address");
            let takes = |operation: &str, arguments: &Map<String, Value>| {
                catalog.get(operation).is_some_and(|operation| operation.request(arguments).is_ok())
            };
            assert!(takes(&record.operation, &arguments), "{}", record.name);
            if let Some(names) = record.names {
                let mut arguments = names.arguments;
                arguments.extend(names.also.into_iter().flatten());
                arguments.insert("limit".to_owned(), json!(NAMES));
                arguments.extend(names.search.map(|argument| (argument, json!("ann"))));
                arguments
                    .extend(names.changed_within_days.map(|_| ("since_utc".to_owned(), json!("2026-06-01T00:00:00Z"))));
                assert!(takes(&names.operation, &arguments), "names of {}", record.name);
            }
        }
        Ok(())
    }

    #[test]
    fn only_whole_numbers_stand_for_records() -> Result<(), CatalogError> {
        let resources = Resources::embedded(&Catalog::embedded()?)?;
        let known = |uri: &str| resources.records.iter().any(|record| record.at(uri).is_some());
        for uri in ["ownerrez://properties", "ownerrez://properties/5", "ownerrez://bookings/9007199254740993"] {
            assert!(known(uri), "{uri}");
        }
        for uri in [
            "",
            "ownerrez://",
            "ownerrez://properties/",
            "ownerrez://properties/0",
            "ownerrez://properties/-1",
            "ownerrez://properties/+1",
            "ownerrez://properties/1/2",
            "ownerrez://properties/{id}",
            "ownerrez://properties/99999999999999999999",
            "ownerrez://properties/5?x=1",
            "OWNERREZ://properties/5",
            "file:///properties/5",
        ] {
            assert!(!known(uri), "{uri}");
        }
        Ok(())
    }
}
