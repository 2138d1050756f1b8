//! The checks for every write, whatever tool requested it.
//!
//! In this order: a connection that may write; the user's consent, if the write deletes something permanently or
//! reaches a guest; a record in the database, unless the same write was made just now; the request; its outcome in the
//! record. The gateway never retries a write. A record without an outcome, because a process died or a response was
//! lost, is treated as unknown.

use std::sync::Arc;

use rmcp::model::ElicitationAction;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    call_log_info::CallLogInfo,
    client_elicitation::ClientElicitation,
    confirm::{self, ConfirmationKind, Consent, Refusal},
    drafts, error_messages,
    outcome::{LoggedOutcome, Outcome, rejected},
    question,
    request_digests::request_digests,
    tool_deps::ToolDeps,
    tool_search::CALL_OPERATION,
    write_messages as messages,
};
use crate::{
    catalog::{Operation, RenderedResponse, VerificationRead, View, WriteOptions},
    domain::{ErrorCode, Principal, UpstreamRequest, UserId},
    session::{Answer, CallError, WriteOutcome},
    store::{Claim, NewWrite, SettledWrite, WriteRecord},
    upstream::{UpstreamError, UpstreamErrorKind},
};

/// One write to be checked and sent.
pub(super) struct Write<'a> {
    pub deps: &'a Arc<ToolDeps>,
    pub caller: &'a Principal,
    pub operation: &'a Operation,
    pub request: Arc<UpstreamRequest>,
    pub options: WriteOptions,
    /// The draft that the call names.
    pub draft: Option<Consent>,
    pub elicitation: &'a ClientElicitation,
    /// Whether the client called the operation through `call_operation`.
    pub by_call_operation: bool,
    pub cancel: &'a CancellationToken,
}

/// Whether the user agreed.
enum ConsentStatus {
    NotNeeded,
    /// The user agreed; the write is recorded under this permit.
    Agreed(String),
    NotAskedYet,
}

impl Write<'_> {
    /// Checks and sends the write, or returns the reason for a rejection.
    pub(super) async fn execute(self) -> LoggedOutcome {
        match self.try_execute().await {
            Ok(response) => response,
            Err(error) => self.error_response(error).await,
        }
    }

    async fn try_execute(&self) -> Result<LoggedOutcome, CallError> {
        let store = &self.deps.store;
        let connection = match store.connection(self.caller.user).await? {
            None => return Err(CallError::NotConnected),
            Some(connection) if connection.rejected_at.is_some() => return Err(CallError::NeedsReconnect),
            Some(connection) => connection,
        };
        if connection.read_only_at.is_some() {
            return Ok(rejected(ErrorCode::ReadOnlyConnection, messages::read_only_connection(self.operation.name())));
        }
        self.deps.sessions.store_outcomes_of(self.caller.user).await;
        let mut write = self.new_write();
        match self.consent_status(&write.digests) {
            Ok(ConsentStatus::NotNeeded) => {}
            Ok(ConsentStatus::Agreed(permit)) => write.permit = Some(permit),
            Ok(ConsentStatus::NotAskedYet) => {
                let now = self.deps.clock.now();
                return match store.earlier_write(self.caller.user, &write, now).await? {
                    Some(found) => self.conflict_response(&found),
                    None => self.first_step(&write.digests),
                };
            }
            Err(refusal) => return Ok(rejected(refusal.code(), messages::refused(refusal, self.operation))),
        }
        match store.claim_write(self.caller.user, &write, self.deps.clock.now()).await? {
            Claim::Recorded => Ok(self.send(write, connection.id).await),
            found => self.conflict_response(&found),
        }
    }

    fn new_write(&self) -> NewWrite {
        let user = self.caller.user.to_string();
        let key = self.options.idempotency_key.as_deref();
        let mac_key = self.deps.ring.write_mac_key();
        NewWrite {
            id: Uuid::now_v7(),
            tool: self.operation.name().to_owned(),
            digests: request_digests(self.deps, self.caller.user, &self.request),
            idempotency: key.map(|key| mac_key.digests(&[&user, "idempotency key", key])).unwrap_or_default(),
            permit: None,
            touched: self.operation.affected_records(&self.request),
            again: self.options.again,
        }
    }

    /// Checks the consent in the call against this request.
    fn consent_status(&self, digests: &[String]) -> Result<ConsentStatus, Refusal> {
        if !self.operation.needs_consent(&self.request) {
            return Ok(ConsentStatus::NotNeeded);
        }
        let (ring, user, now) = (&self.deps.ring, self.caller.user, self.deps.clock.now());
        let fits = |consent: &Consent| digests.contains(&consent.request);
        if self.draft.as_ref().is_some_and(|draft| !fits(draft)) {
            return Err(Refusal::OtherCall);
        }
        let consent = if self.elicitation.supports_form {
            match &self.elicitation.reply {
                None => return Ok(ConsentStatus::NotAskedYet),
                Some(reply) => match reply.action {
                    ElicitationAction::Accept => {
                        confirm::open(ring, user, ConfirmationKind::Elicited, &reply.state, now)?
                    }
                    ElicitationAction::Decline => return Err(Refusal::Declined),
                    // Cancelled, and any action of a later revision.
                    _ => return Err(Refusal::Cancelled),
                },
            }
        } else if let Some(draft) = &self.draft {
            draft.clone()
        } else if let Some(token) = &self.options.confirm {
            confirm::open(ring, user, ConfirmationKind::TwoStep, token, now)?
        } else {
            return Ok(ConsentStatus::NotAskedYet);
        };
        if !fits(&consent) {
            return Err(Refusal::OtherCall);
        }
        // A draft is sent once, however often the user is asked.
        Ok(ConsentStatus::Agreed(self.draft.as_ref().unwrap_or(&consent).permit.clone()))
    }

    /// Returns the first of two steps: a question to the user, a draft, or a description of the effect.
    fn first_step(&self, digests: &[String]) -> Result<LoggedOutcome, CallError> {
        let Self { deps, caller, operation, .. } = self;
        let arguments = operation.arguments_of(&self.request);
        let digest = digests.first().map_or("", String::as_str);
        let now = deps.clock.now();
        if self.elicitation.supports_form {
            let (state, _) = confirm::seal(&deps.ring, caller.user, ConfirmationKind::Elicited, digest, None, now)?;
            let question = question::question(operation, &arguments);
            return Ok((Outcome::FormElicitation { question, state }, CallLogInfo::default()));
        }
        if operation.draft().is_some() {
            let draft = drafts::draft(deps, caller, operation, &self.request, self.by_call_operation)?;
            return Ok((Outcome::Draft(draft), CallLogInfo::default()));
        }
        let (token, until) = confirm::seal(&deps.ring, caller.user, ConfirmationKind::TwoStep, digest, None, now)?;
        let effect = RenderedResponse::unreduced(&json!({
            "done": false,
            "would": {"tool": operation.name(), "arguments": arguments.clone()},
            "confirm": token.clone(),
            "expires_at": until,
            "next": messages::how_to_confirm(operation, self.by_call_operation),
            "next_call": self.second_step(arguments, token),
        }));
        Ok((Outcome::ConfirmationRequest(effect), CallLogInfo::default()))
    }

    /// Returns the call that makes the write after the user agreed.
    fn second_step(&self, mut arguments: Map<String, Value>, confirm: String) -> Value {
        if self.options.again {
            arguments.insert("again".to_owned(), true.into());
        }
        if let Some(key) = &self.options.idempotency_key {
            arguments.insert("idempotency_key".to_owned(), key.as_str().into());
        }
        let name = self.operation.name();
        if self.by_call_operation {
            let arguments = json!({"name": name, "arguments": arguments, "confirm": confirm});
            return json!({"tool": CALL_OPERATION, "arguments": arguments});
        }
        arguments.insert("confirm".to_owned(), confirm.into());
        json!({"tool": name, "arguments": arguments})
    }

    /// Returns the response for an earlier write that conflicts with this one.
    fn conflict_response(&self, found: &Claim) -> Result<LoggedOutcome, CallError> {
        let ago = |record: &WriteRecord| self.deps.clock.now() - record.recorded_at;
        Ok(match found {
            // Only a user that is being deleted has no row.
            Claim::Recorded | Claim::NoUser => return Err(CallError::NotConnected),
            Claim::Repeats(record) => {
                let read = self.verification_read(record);
                if !record.done {
                    let message = messages::repeats_unknown(record, ago(record), read.as_ref());
                    return Ok(rejected(ErrorCode::OutcomeUnknown, message));
                }
                let mut answer = json!({"done": true, "repeated": true});
                if let Some(id) = record.answer_id {
                    answer["id"] = json!(id);
                }
                answer["note"] = json!(messages::repeats_done(record, ago(record), read.as_ref()));
                (Outcome::answer(&answer), CallLogInfo::default())
            }
            Claim::PermitUsed(record) => {
                rejected(ErrorCode::UsedAlready, messages::permit_used(record, self.draft.is_some(), ago(record)))
            }
            Claim::KeyTaken(record) => rejected(ErrorCode::UsedAlready, messages::key_taken(record, ago(record))),
        })
    }

    fn verification_read(&self, record: &WriteRecord) -> Option<VerificationRead> {
        self.deps.catalog.verification_read(self.operation, &self.request, record.recorded_at)
    }

    /// Sends the recorded write. In a separate task, so that the outcome is recorded even if the client disconnects.
    async fn send(&self, write: NewWrite, connection: Uuid) -> LoggedOutcome {
        let cancel = self.cancel.child_token();
        let _gone = cancel.clone().drop_guard();
        let sent_at = self.deps.clock.now();
        let pending = PendingWrite {
            deps: self.deps.clone(),
            user: self.caller.user,
            id: write.id,
            connection,
            touched: write.touched,
            request: self.request.clone(),
        };
        let outcome = self.deps.sessions.run_write(pending.run(cancel)).await;
        let outcome = outcome.unwrap_or(Err(CallError::SessionLost { write_may_have_happened: true }));
        match outcome {
            Ok(Answer { status, ref body, .. }) => {
                let log_info = CallLogInfo::of(&outcome);
                // The write was made, whatever the response contains.
                let answer = self.operation.render(&View::default(), &self.request, status, body);
                (answer.map_or_else(|_| Outcome::answer(&json!({"done": true})), Outcome::Answer), log_info)
            }
            Err(error) if error.write_may_have_happened() => {
                let read = self.deps.catalog.verification_read(self.operation, &self.request, sent_at);
                let message = messages::unknown(&error, read.as_ref());
                (Outcome::Problem { code: error.code(), message }, CallLogInfo::of(&Err(error)))
            }
            Err(error) => self.error_response(error).await,
        }
    }

    async fn error_response(&self, error: CallError) -> LoggedOutcome {
        let message = error_messages::explain(&self.deps.links, self.caller, self.operation, &error).await;
        (Outcome::Problem { code: error.code(), message }, CallLogInfo::of(&Err(error)))
    }
}

/// A recorded write that is being sent.
struct PendingWrite {
    deps: Arc<ToolDeps>,
    user: UserId,
    id: Uuid,
    connection: Uuid,
    touched: Vec<String>,
    request: Arc<UpstreamRequest>,
}

impl PendingWrite {
    async fn run(self, cancel: CancellationToken) -> Result<Answer, CallError> {
        let outcome = self.deps.sessions.call(self.user, &self.request, &cancel).await;
        self.record_outcome(&outcome).await;
        outcome
    }

    async fn record_outcome(self, outcome: &Result<Answer, CallError>) {
        let settled = match outcome {
            Ok(answer) => {
                let answer_id = answer.body.value().get("id").and_then(Value::as_i64);
                let operation = self.deps.catalog.get(&self.request.operation);
                let created = answer_id.zip(operation).and_then(|(id, operation)| operation.created(id));
                let touched = self.touched.into_iter().chain(created).collect();
                WriteOutcome::Settled(SettledWrite { done: true, answer_id, touched })
            }
            Err(error) if error.write_may_have_happened() => {
                WriteOutcome::Settled(SettledWrite { done: false, answer_id: None, touched: self.touched })
            }
            Err(error) => {
                let (store, now) = (&self.deps.store, self.deps.clock.now());
                if let CallError::Upstream(UpstreamError { kind: UpstreamErrorKind::ReadOnly, .. }) = error
                    && let Err(error) = store.mark_read_only(self.user, self.connection, now).await
                {
                    log::warn!("cannot mark the connection of user {} as read-only: {error}", self.user);
                }
                WriteOutcome::NotMade
            }
        };
        self.deps.sessions.record_outcome(self.user, self.id, settled).await;
    }
}
