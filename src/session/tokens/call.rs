//! Sending a user's calls with valid tokens.

use std::rc::Rc;

use chrono::{DateTime, Utc};

use super::{loaded_tokens::LoadedTokens, refresh::RefreshReason, token_manager::TokenManager};
use crate::{
    session::{answer::Answer, call_error::CallError, messages::CallUpstream},
    upstream::{Reply, TransportError},
};

impl TokenManager {
    /// Sends one request for the user with a token that is valid as far as known, and again with another token if
    /// OwnerRez reports that the token is invalid.
    pub(in crate::session) async fn call(&self, call: &mut CallUpstream) -> Result<Answer, CallError> {
        let loaded = self.ready(call.deadline).await?;
        let reply = match self.send(&loaded, call).await {
            // A read can be repeated without harm (RFC 9110 9.2.2), and a connection rarely breaks twice.
            Err(CallError::Transport { error: TransportError::Broken, .. }) if !call.request.is_write() => {
                self.send(&loaded, call).await?
            }
            outcome => outcome?,
        };
        if reply.status == 401 {
            Box::pin(self.retry_unauthorized(loaded, reply, call)).await
        } else {
            self.to_answer(reply)
        }
    }

    fn to_answer(&self, reply: Reply) -> Result<Answer, CallError> {
        let status = reply.status;
        if (200..500).contains(&status) && status != 429 {
            self.token_succeeded();
        }
        reply.into_result().map(|body| Answer { status, body, from_cache: false }).map_err(CallError::Upstream)
    }

    /// Handles a 401. Only one that may be about the token has consequences: other tokens are tried, those of the row
    /// and those of one refresh.
    async fn retry_unauthorized(
        &self,
        mut loaded: Rc<LoadedTokens>,
        reply: Reply,
        call: &mut CallUpstream,
    ) -> Result<Answer, CallError> {
        let mut error = reply.error();
        for tried in [false, true] {
            if !error.kind.may_concern_token() {
                break;
            }
            let Some(other) = self.other_tokens(&loaded, tried, call.deadline).await? else { break };
            if call.request.is_write() && self.deps.stop.is_cancelled() {
                // OwnerRez rejected the first attempt, so the change was not made, and no write begins during shutdown.
                return Err(CallError::ShuttingDown);
            }
            let reply = self.send(&other, call).await?;
            if reply.status != 401 {
                return self.to_answer(reply);
            }
            (loaded, error) = (other, reply.error());
        }
        if !error.kind.may_concern_token() {
            return Err(CallError::Upstream(error));
        }
        Err(self.record_rejection(&loaded, error).await)
    }

    /// Returns newer tokens after OwnerRez rejected the access token, from the row or from a refresh, if there can be
    /// any. `tried`: this call has tried others already.
    async fn other_tokens(
        &self,
        rejected: &LoadedTokens,
        tried: bool,
        deadline: DateTime<Utc>,
    ) -> Result<Option<Rc<LoadedTokens>>, CallError> {
        let loaded = self.load_fresh().await?;
        if loaded.version != rejected.version || loaded.connection != rejected.connection {
            return Ok(Some(loaded));
        }
        // If OwnerRez rejects tokens that it has just issued, newer tokens do not help.
        let rejected_before = tried || self.has_rejections(loaded.connection);
        if loaded.tokens.refresh.is_none() || (rejected_before && self.is_fresh(&loaded)) {
            return Ok(None);
        }
        self.with_failures(|failures| failures.rejected_version = Some((loaded.connection, loaded.version)));
        self.refresh(loaded, RefreshReason::Unauthorized, deadline).await.map(Some)
    }

    async fn send(&self, loaded: &LoadedTokens, call: &mut CallUpstream) -> Result<Reply, CallError> {
        let acquire = self.deps.allowance.acquire(self.user, self.account(loaded), call.deadline);
        let mut permit = tokio::select! {
            biased;
            permit = acquire => permit.map_err(CallError::Allowance)?,
            () = call.abandoned() => return Err(CallError::Cancelled),
        };
        if !call.send_state.try_commit() {
            return Err(CallError::Cancelled);
        }
        permit.sending();
        let request = call.request.clone();
        let exchange = self.upstream.send(&loaded.tokens, &request);
        let reply = if request.is_write() {
            // If it were cancelled in the middle, it would be unknown whether it was carried out.
            exchange.await
        } else {
            tokio::select! {
                biased;
                reply = exchange => reply,
                () = call.abandoned() => return Err(CallError::Cancelled),
            }
        };
        match reply {
            Ok(reply) => {
                if reply.status == 429 {
                    permit.throttled(reply.retry_after);
                }
                Ok(reply)
            }
            Err(error) => {
                let nothing_sent = matches!(error, TransportError::Unreachable | TransportError::Invalid);
                Err(CallError::Transport { error, write_may_have_happened: request.is_write() && !nothing_sent })
            }
        }
    }
}
