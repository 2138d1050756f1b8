//! `/v2`: authentication, routing, and the operations on the account's records.

use chrono::NaiveDate;
use serde_json::{Map, Value, json};

use super::{
    argument::Argument,
    arguments::Arguments,
    calendar,
    call::Call,
    description::{Body, Gate, ResponseShape},
    guests, messages, notices,
    operations::{Dependent, Filter, Kind, Operation, Operations, Route, WriteRule},
    patches,
    records::{Record, id, number},
    reply::{Code, Reply},
    span::Span,
    spot_rates,
    state::{Account, Shared, State},
    switches::Switches,
    tokens::{Scope, TokenStatus},
    variations::{Variation, Variations},
    view::{View, public},
    writes::{self, Written},
};
use crate::domain::{AccountId, Clock};

/// Responds to a request below `/v2/`.
pub(super) fn answer(shared: &Shared, call: &Call) -> Reply {
    process(shared, call).unwrap_or_else(|refusal| refusal).with("api-supported-versions", "1.0, 2.0")
}

/// Rejects requests without `User-Agent` before their credentials are checked, as OwnerRez does. Without a token of an
/// app they do not even reach the API.
pub(super) fn require_user_agent(call: &Call, state: &State) -> Result<(), Reply> {
    if call.user_agent.is_some() {
        return Ok(());
    }
    let account = state.account_behind(call).and_then(|id| state.account(id));
    let in_front = account.is_none_or(|account| account.variations.has(Variation::UserAgentRefusedInFront));
    if call.bearer().is_none() && in_front {
        return Err(Reply::html(403, "<html><body>Forbidden</body></html>".to_owned()));
    }
    Err(Reply::error(Code::UserAgentRequired, &["A User-Agent header is required.".to_owned()]))
}

fn process(shared: &Shared, call: &Call) -> Result<Reply, Reply> {
    let mut state = shared.lock();
    require_user_agent(call, &state)?;
    let (account, scope) = authenticate(shared, &mut state, call)?;
    let variations = state.account_mut(account).map(|account| {
        account.fill();
        account.variations.clone()
    });
    let variations = variations.unwrap_or_default();
    let (operation, path) = match shared.operations.route(&call.method, &call.path) {
        Route::Found(operation, path) => (operation, path),
        Route::WrongMethod => {
            let message = format!("The method {} is not supported here.", call.method);
            return Err(Reply::error(Code::MethodNotAllowed, &[message]));
        }
        Route::Unknown => return Err(Reply::error(Code::NotFound, &["The resource was not found.".to_owned()])),
    };
    if scope == Scope::Read && !operation.is_read_only() {
        let message = "The application has read-only access.".to_owned();
        return Err(Reply::error(Code::Forbidden, &[message]));
    }
    pass_gate(operation, call, &state.switches, &variations)?;
    if operation.described.refuses_unknown_names
        && let Some(name) = operation.described.unknown_names(&call.query).next()
    {
        // The error of the real service for an unknown parameter, where it does not ignore it.
        let message = format!("The requested resource does not support the parameter '{name}'.");
        return Err(Reply::json(405, &json!({"error": {"code": "UnsupportedApiVersion", "message": message}})));
    }
    let mut arguments =
        operation.described.arguments(&path, &call.query).map_err(|complaints| Reply::invalid(&complaints))?;
    if let Kind::List { filters, .. } = &operation.kind {
        let assumed = filters.iter().filter(|filter| filter.true_with.is_some_and(|with| variations.has(with)));
        assumed.for_each(|filter| arguments.assume(&filter.param, Argument::Boolean(true)));
    }
    let answered = Run { shared, call, operation, arguments, account, variations }.run(&mut state);
    notices::of_changes(shared, &mut state, account);
    answered
}

/// Rejects operations that only apps, or only apps with an agreement, may use.
fn pass_gate(operation: &Operation, call: &Call, switches: &Switches, variations: &Variations) -> Result<(), Reply> {
    let is_app = call.bearer().is_some();
    match operation.described.gate {
        Some(Gate::Messaging) if !is_app || !switches.messaging || variations.has(Variation::MessagingNotEnabled) => {
            let message = "Messaging needs an OAuth app with a messaging agreement.".to_owned();
            Err(Reply::error(Code::MessagingNotEnabled, &[message]))
        }
        Some(Gate::Listings) if variations.has(Variation::ListingsNotEnabled) => {
            let message = "Listings need the Integrated Websites feature or a partnership agreement.";
            Err(Reply::error_without_code(402, message))
        }
        Some(Gate::App) if !is_app => {
            let message = "Webhook subscriptions are available to OAuth apps only.".to_owned();
            Err(Reply::error(Code::Forbidden, &[message]))
        }
        _ => Ok(()),
    }
}

fn authenticate(shared: &Shared, state: &mut State, call: &Call) -> Result<(AccountId, Scope), Reply> {
    let refusal = |code, message: &str| Reply::error(code, &[message.to_owned()]);
    let Some(authorization) = &call.authorization else {
        return Err(refusal(Code::AuthRequired, "Authentication is required.").with("www-authenticate", "Bearer"));
    };
    if let Some(bearer) = call.bearer() {
        let challenge = |detail: &str| format!("Bearer error=\"invalid_token\", error_description=\"{detail}\"");
        return match state.tokens.check(bearer, shared.clock.now()) {
            TokenStatus::Valid(account, scope) => Ok((account, scope)),
            TokenStatus::Expired => Err(refusal(Code::InvalidToken, "The access token has expired.")
                .with("www-authenticate", &challenge("token_expired"))),
            TokenStatus::Unknown => Err(refusal(Code::InvalidToken, "The access token is not valid.")
                .with("www-authenticate", &challenge("token_invalid"))),
        };
    }
    match call.basic() {
        Some((email, token)) => match state.account_by_pat(&email, &token) {
            Some(account) if state.admit_personal(call.peer, account, shared.clock.now()) => Ok((account, Scope::Full)),
            Some(_) => {
                let message =
                    "Personal access tokens of at most 2 accounts may be used from one IP address in 24 hours.";
                Err(Reply::error(Code::Forbidden, &[message.to_owned()]))
            }
            None => Err(refusal(Code::InvalidToken, "The personal access token is not valid.")),
        },
        None if authorization.to_ascii_lowercase().starts_with("basic") => {
            Err(refusal(Code::InvalidRequest, "The Basic authorization header is malformed."))
        }
        None => Err(refusal(Code::AuthRequired, "Authentication is required.")),
    }
}

/// One authenticated request for one operation.
struct Run<'a> {
    shared: &'a Shared,
    call: &'a Call,
    operation: &'a Operation,
    arguments: Arguments,
    account: AccountId,
    variations: Variations,
}

impl Run<'_> {
    fn run(&self, state: &mut State) -> Result<Reply, Reply> {
        match &self.operation.kind {
            Kind::Me => self.me(state),
            Kind::List { collection, filters, rules } => {
                self.check_ranges(filters)?;
                let account = self.account(state)?;
                let found = account.records.select(collection, filters, &self.arguments);
                let shown = |record: &&Record| {
                    let mut view = self.view(state, collection, record);
                    if rules.as_ref().is_some_and(|flag| self.arguments.flag(flag)) {
                        self.add_violations(state, record, &mut view);
                    }
                    view
                };
                Ok(Reply::json(200, &self.page(&found, shown)?.into()))
            }
            Kind::Get { collection } => {
                let id = self.id();
                let record = self.account(state)?.records.get(collection, id);
                let record = record.ok_or_else(|| self.missing(collection, id))?;
                Ok(Reply::json(200, &self.view(state, collection, record)))
            }
            Kind::Create { collection, rule, blank } => {
                let mut members = blank.clone();
                members.extend(self.body()?);
                let record = self.written(state, None, members, *rule)?;
                let status = state.switches.create_status;
                self.store(state, collection, record, status)
            }
            Kind::Update { collection, rule } => {
                let id = self.id();
                let members = self.body()?;
                let current = self.account(state)?.records.get(collection, id).cloned();
                let current = current.ok_or_else(|| self.missing(collection, id))?;
                let record = self.written(state, Some(&current), members, *rule)?;
                self.store(state, collection, record, 200)
            }
            Kind::Delete { collection, with, named_by } => {
                let id = self.id();
                let records = &mut self.account_mut(state)?.records;
                let names = |Dependent { collection, key }: &Dependent| {
                    records.all(collection).any(|record| number(record, key) == Some(id))
                };
                if self.variations.has(Variation::NamedRecordsStay) && named_by.iter().any(names) {
                    return Err(Reply::invalid(&["Other records refer to this one.".to_owned()]));
                }
                if !records.remove(collection, id) {
                    return Err(self.missing(collection, id));
                }
                for Dependent { collection, key } in with {
                    records.remove_all(collection, |record| number(record, key) == Some(id));
                }
                Ok(deleted(id, &state.switches))
            }
            Kind::DeleteMatching { collection, filters } => {
                let records = &mut self.account_mut(state)?.records;
                let found: Vec<i64> =
                    records.select(collection, filters, &self.arguments).into_iter().filter_map(id).collect();
                let first = found.first().copied().ok_or_else(|| self.missing(collection, 0))?;
                records.remove_all(collection, |record| id(record).is_some_and(|id| found.contains(&id)));
                Ok(deleted(first, &state.switches))
            }
            Kind::DeletePart { collection, member, param, entity } => {
                let id = self.id();
                let part = self.arguments.integer(param).unwrap_or_default();
                let records = &mut self.account_mut(state)?.records;
                let record = records.get(collection, id).cloned();
                let mut record = record.ok_or_else(|| self.missing(collection, id))?;
                if !guests::remove_part(&mut record, member, part) {
                    return Err(Reply::missing(entity, part));
                }
                records.put(collection, id, record);
                Ok(deleted(part, &state.switches))
            }
            Kind::Calendar => self.calendar(state),
            Kind::Thread { filters } => self.thread(state, filters),
            Kind::SpotRates => self.spot_rates(state),
            Kind::Fixed { body } => Ok(Reply::json(200, body)),
        }
    }

    fn account<'s>(&self, state: &'s State) -> Result<&'s Account, Reply> {
        state.account(self.account).ok_or_else(|| Reply::missing("User", self.account.0))
    }

    fn account_mut<'s>(&self, state: &'s mut State) -> Result<&'s mut Account, Reply> {
        state.account_mut(self.account).ok_or_else(|| Reply::missing("User", self.account.0))
    }

    /// Returns the id in the path; its presence was checked with the other arguments.
    fn id(&self) -> i64 {
        self.arguments.integer("id").unwrap_or_default()
    }

    fn missing(&self, collection: &str, id: i64) -> Reply {
        Reply::missing(self.shared.operations.entity(collection), id)
    }

    fn body(&self) -> Result<Map<String, Value>, Reply> {
        match &self.operation.described.body {
            None | Some(Body::List(_)) => Ok(Map::new()),
            Some(Body::Object(shape)) => {
                let sent = serde_json::from_slice(&self.call.body).unwrap_or_default();
                let changes = self.operation.described.method == "PATCH";
                let sent = if changes { patches::as_object(sent) } else { Ok(sent) };
                let read = sent.and_then(|sent| self.shared.operations.description.read_object(shape, sent));
                read.map_err(|complaints| Reply::invalid(&complaints))
            }
        }
    }

    fn view(&self, state: &State, collection: &str, record: &Record) -> Value {
        let Operations { description, collections, .. } = &self.shared.operations;
        let kind = self.operation.described.answer.record();
        let (Some(collection), Some(kind), Some(account)) =
            (collections.get(collection), kind, state.account(self.account))
        else {
            return Value::Null;
        };
        let listed = matches!(self.operation.kind, Kind::List { .. } | Kind::Thread { .. });
        let records = &account.records;
        let hidden = self.shared.variations.hidden(&self.variations);
        let view = View { records, description, arguments: &self.arguments, listed, hidden: &hidden };
        let mut shown = view.of(record, collection, kind);
        if self.variations.has(Variation::SpotRateMidnights) && kind == "spot_rate" {
            spot_rates::with_midnight(&mut shown);
        }
        shown
    }

    fn me(&self, state: &State) -> Result<Reply, Reply> {
        let demo = &self.account(state)?.demo;
        let body = json!({
            "id": demo.id.0,
            "username": demo.email,
            "email": demo.email,
            "name": demo.name,
            "time_zone": demo.time_zone,
        });
        Ok(Reply::json(200, &body))
    }

    /// Rejects a range that ends before it begins: it is an error, not an empty list.
    fn check_ranges(&self, filters: &[Filter]) -> Result<(), Reply> {
        let reversed = filters.iter().find_map(|filter| {
            let until = filter.until.as_deref()?;
            let (from, to) = self.arguments.date(&filter.param).zip(self.arguments.date(until))?;
            (to < from).then(|| format!("{until} must not be before {}.", filter.param))
        });
        reversed.map_or(Ok(()), |complaint| Err(Reply::invalid(&[complaint])))
    }

    fn page(&self, found: &[&Record], shown: impl Fn(&&Record) -> Value) -> Result<Map<String, Value>, Reply> {
        let span = Span::asked(&self.arguments).map_err(|complaints| Reply::invalid(&complaints))?;
        let has = |variation| self.variations.has(variation);
        let items: Vec<Value> = found.iter().skip(span.offset).take(span.limit).map(shown).collect();
        let mut page = Map::new();
        let empty = items.is_empty();
        if !empty || !has(Variation::EmptyPageWithoutItems) {
            page.insert("items".into(), items.into());
        }
        page.insert("limit".into(), span.limit.into());
        page.insert("offset".into(), span.offset.into());
        if found.len().saturating_sub(span.offset) > span.limit {
            let origin = if has(Variation::NextPageRelative) { String::new() } else { self.call.origin() };
            let next = span.next_url(&origin, &self.call.path, &self.call.query);
            page.insert("next_page_url".into(), next.into());
        } else if has(Variation::LastPageNull) && !(empty && has(Variation::LastPageEmpty)) {
            page.insert("next_page_url".into(), Value::Null);
        } else if has(Variation::LastPageEmpty) {
            page.insert("next_page_url".into(), "".into());
        }
        if matches!(self.operation.described.answer, ResponseShape::CountedPage(_)) {
            page.insert("count".into(), found.len().into());
        }
        Ok(page)
    }

    fn add_violations(&self, state: &State, property: &Record, view: &mut Value) {
        let dates = self.arguments.date("available_from").zip(self.arguments.date("available_to"));
        if let (Some((from, to)), Some(account), Value::Object(view)) = (dates, state.account(self.account), view) {
            let violations = calendar::violations(&account.records, property, from, to);
            view.insert("rule_violations".into(), violations.into());
        }
    }

    fn written(
        &self,
        state: &mut State,
        current: Option<&Record>,
        members: Map<String, Value>,
        rule: Option<WriteRule>,
    ) -> Result<Record, Reply> {
        let now = self.shared.clock.now();
        let records = &mut self.account_mut(state)?.records;
        let context = Written { account: self.account.0, now, variations: &self.variations };
        let written = writes::write(records, rule, current, members, &context);
        written.map_err(|complaints| Reply::invalid(&complaints))
    }

    fn store(&self, state: &mut State, collection: &str, record: Record, status: u16) -> Result<Reply, Reply> {
        let stored = id(&record);
        let records = &mut self.account_mut(state)?.records;
        if let Some(id) = stored {
            records.put(collection, id, record.clone());
        }
        Ok(Reply::json(status, &self.view(state, collection, &record)))
    }

    /// Returns the messages of a thread, with their common members.
    fn thread(&self, state: &State, filters: &[Filter]) -> Result<Reply, Reply> {
        let records = &self.account(state)?.records;
        let thread_id = self.arguments.integer("threadId").unwrap_or_default();
        let thread = records.get("threads", thread_id).ok_or_else(|| self.missing("threads", thread_id))?;
        let drafts = self.arguments.flag("include_drafts");
        let mut found = records.select("messages", filters, &self.arguments);
        found.retain(|message| drafts || message.get("is_draft") != Some(&Value::Bool(true)));
        let mut page = self.page(&found, |message| self.view(state, "messages", message))?;
        page.extend(messages::thread_and_guest(records, thread));
        Ok(Reply::json(200, &page.into()))
    }

    fn spot_rates(&self, state: &mut State) -> Result<Reply, Reply> {
        let read = match &self.operation.described.body {
            None | Some(Body::Object(_)) => Ok(Vec::new()),
            Some(Body::List(shape)) => self.shared.operations.description.read_list(shape, &self.call.body),
        };
        let records = &mut self.account_mut(state)?.records;
        let stored = read.and_then(|entries| spot_rates::write(records, entries));
        let stored = stored.map_err(|complaints| Reply::invalid(&complaints))?;
        let shown: Vec<Value> = stored.iter().map(|rate| self.view(state, "spot_rates", rate)).collect();
        Ok(Reply::json(200, &shown.into()))
    }

    fn calendar(&self, state: &State) -> Result<Reply, Reply> {
        let property_id = self.arguments.integer("property_id").unwrap_or_default();
        let records = &self.account(state)?.records;
        let property = records.get("properties", property_id);
        let property = property.ok_or_else(|| self.missing("properties", property_id))?;
        let from = self.arguments.date("from").unwrap_or(NaiveDate::MIN);
        let to = self.arguments.date("to").unwrap_or(NaiveDate::MIN);
        if to < from {
            return Err(Reply::invalid(&["to must not be before from.".to_owned()]));
        }
        if (to - from).num_days() > calendar::LONGEST_CALENDAR {
            return Err(Reply::invalid(&["to must be at most 366 days after from.".to_owned()]));
        }
        let mut days = calendar::days(records, property, from, to);
        if self.variations.has(Variation::CalendarMissingNights) {
            days.retain(|day| day.get("_without_data") != Some(&Value::Bool(true)));
        }
        let body = json!({
            "property_id": property_id,
            "currency_code": property.get("currency_code"),
            "days": days,
        });
        let hidden = self.shared.variations.hidden(&self.variations);
        Ok(Reply::json(200, &public(self.shared.operations.description.shown("calendar", body, &hidden))))
    }
}

fn deleted(id: i64, switches: &Switches) -> Reply {
    if switches.delete_answers_204 { Reply::empty(204) } else { Reply::json(200, &json!({"id": id, "success": true})) }
}
