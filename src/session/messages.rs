//! The messages to the actor of one user.

use std::sync::Arc;

use actix::prelude::*;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tokio::sync::oneshot;

use super::{
    answer::Answer, call_error::CallError, connect_credential::ConnectCredential, connect_error::ConnectError,
    connecting::Admitted, resolved_identity::ResolvedIdentity, send_state::SendState, session_stats::SessionStats,
};
use crate::{
    domain::{AccountId, Identity, UpstreamRequest},
    store::SealedGrant,
};

type Reply<T> = oneshot::Sender<T>;

/// One request to OwnerRez.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct CallUpstream {
    pub(super) request: Arc<UpstreamRequest>,
    pub(super) deadline: DateTime<Utc>,
    pub(super) send_state: Arc<SendState>,
    pub(super) reply: Reply<Result<Answer, CallError>>,
}

impl CallUpstream {
    /// Returns whether the caller has gone away.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Completes when the caller has gone away.
    pub(super) async fn abandoned(&mut self) {
        self.reply.closed().await;
    }
}

/// Connects an account with a credential.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Connect {
    pub(super) with: ConnectCredential,
    pub(super) admitted: Admitted,
    pub(super) reply: Reply<Result<Option<AccountId>, ConnectError>>,
}

/// Identifies a user by an authorization code.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SignIn {
    pub(super) code: SecretString,
    pub(super) issuer: Arc<str>,
    pub(super) admits_new: bool,
    pub(super) admitted: Admitted,
    pub(super) reply: Reply<Result<ResolvedIdentity, ConnectError>>,
}

/// Stores a newer grant that the user obtained by signing in.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct StoreConnection {
    pub(super) identity: Identity,
    pub(super) grant: SealedGrant,
    pub(super) reply: Reply<Result<(), ConnectError>>,
}

/// Renews the tokens if they are due. Sent by the background jobs.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Renew {
    pub(super) reply: Reply<Result<(), CallError>>,
}

/// Ends the connection; overtakes waiting jobs.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Disconnect {
    pub(super) reply: Reply<Result<bool, CallError>>,
}

/// Asks whether this session may stop. Sent by the supervisor. The session stops if it agrees.
#[derive(Message)]
#[rtype(result = "bool")]
pub(super) struct StopIfIdle;

/// Completes once no job runs or waits, and all tokens are stored.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct WaitUntilIdle;

/// Requests statistics.
#[derive(Message)]
#[rtype(result = "SessionStats")]
pub(super) struct Observe;

/// Makes the actor panic. Sent by tests.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Panic;
