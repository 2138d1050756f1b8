//! The registry of sessions. Only the supervisor changes it. All threads may read it, because a request to the
//! supervisor takes two thread switches, and most calls are for existing sessions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actix::{Addr, ArbiterHandle};
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::{call_error::CallError, user_session::UserSession};
use crate::domain::UserId;

/// A caller that waits for a session, and its thread.
pub(super) type WaitingCaller = (ArbiterHandle, oneshot::Sender<Result<Addr<UserSession>, CallError>>);

/// The state of a user's session.
pub(super) enum Entry {
    Live {
        session: Addr<UserSession>,
        last_used: DateTime<Utc>,
    },
    /// Asked to stop, and not yet answered. Callers wait for the answer, because an address that is handed out now may
    /// be of a stopped actor.
    Stopping {
        session: Addr<UserSession>,
        waiting: Vec<WaitingCaller>,
    },
}

impl Entry {
    pub(super) fn session(&self) -> &Addr<UserSession> {
        match self {
            Self::Live { session, .. } | Self::Stopping { session, .. } => session,
        }
    }
}

/// The shared registry.
#[derive(Clone, Default)]
pub(super) struct SessionRegistry(Arc<Mutex<Entries>>);

/// The content of the registry.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) by_user: HashMap<UserId, Entry>,
    /// Whether the registry accepts no more calls.
    pub(super) closed: bool,
}

impl SessionRegistry {
    /// Returns the user's session if it is running, and marks it as used now. It may stop before it reads a message.
    pub(super) fn live(&self, user: UserId, now: DateTime<Utc>) -> Option<Addr<UserSession>> {
        let mut entries = self.lock();
        if entries.closed { None } else { entries.live(user, now) }
    }

    /// Ignores poisoning: a panic under this lock leaves no partial update.
    pub(super) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Like [`SessionRegistry::live`], but also after closing.
    pub(super) fn live(&mut self, user: UserId, now: DateTime<Utc>) -> Option<Addr<UserSession>> {
        match self.by_user.get_mut(&user)? {
            // After a panic the mailbox is closed; actix does not restart an actor that panicked.
            Entry::Live { session, last_used } if session.connected() => {
                *last_used = now;
                Some(session.clone())
            }
            _ => None,
        }
    }
}
