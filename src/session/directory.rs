//! Who has a session, and where. The supervisor alone changes that; everyone may look, because a question to the
//! supervisor takes two changes of threads, and most calls are for sessions that live.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actix::{Addr, ArbiterHandle};
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::{CallError, user_session::UserSession};
use crate::domain::UserId;

/// Who waits for a session, and on which thread.
pub(super) type Waiting = (ArbiterHandle, oneshot::Sender<Result<Addr<UserSession>, CallError>>);

/// What there is of a user.
pub(super) enum Entry {
    Live {
        session: Addr<UserSession>,
        last_used: DateTime<Utc>,
    },
    /// Asked to leave and not yet answered: whoever wants the session waits for the answer, because an address that
    /// is handed out now may be dead on arrival.
    Leaving {
        session: Addr<UserSession>,
        waiting: Vec<Waiting>,
    },
}

impl Entry {
    pub(super) fn session(&self) -> &Addr<UserSession> {
        match self {
            Self::Live { session, .. } | Self::Leaving { session, .. } => session,
        }
    }
}

/// The entries, shared.
#[derive(Clone, Default)]
pub(super) struct Directory(Arc<Mutex<Entries>>);

/// What stands in it.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) of: HashMap<UserId, Entry>,
    /// No calls any more.
    pub(super) closed: bool,
}

impl Directory {
    /// The user's session, if it lives; it counts as used now. It may leave before it reads what is sent to it.
    pub(super) fn live(&self, user: UserId, now: DateTime<Utc>) -> Option<Addr<UserSession>> {
        let mut entries = self.lock();
        if entries.closed { None } else { entries.live(user, now) }
    }

    /// A thread that panicked here left nothing half-done.
    pub(super) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// As [`Directory::live`], closed or not.
    pub(super) fn live(&mut self, user: UserId, now: DateTime<Utc>) -> Option<Addr<UserSession>> {
        match self.of.get_mut(&user)? {
            // After a panic the mailbox is closed; actix does not restart an actor that panicked.
            Entry::Live { session, last_used } if session.connected() => {
                *last_used = now;
                Some(session.clone())
            }
            _ => None,
        }
    }
}
