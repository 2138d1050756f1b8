//! Records the last uses of keys and grants in the background, so that no request waits for the write.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};

use super::database::Store;
use crate::domain::{GrantId, KeyId, UserId};

/// A credential that was used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum UsedCredential {
    /// An API key.
    Key(KeyId),
    /// The grant of an OAuth client.
    Grant(GrantId),
}

/// The uses that are not written yet. One task writes them one after the other, so that a burst of uses does not
/// compete with requests for the database. Clones share the same state.
#[derive(Clone)]
pub struct LastUses(Arc<Inner>);

struct Inner {
    store: Store,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    unwritten: BTreeMap<UsedCredential, (UserId, DateTime<Utc>)>,
    /// Whether the task runs.
    is_writing: bool,
}

impl LastUses {
    /// Creates the recorder without uses.
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Inner { store, state: Mutex::default() }))
    }

    /// Records a use, to be written as soon as possible. A killed process loses uses that were not written.
    pub fn note(&self, used: UsedCredential, user: UserId, at: DateTime<Utc>) {
        let mut state = self.0.lock();
        state.unwritten.insert(used, (user, at));
        if !std::mem::replace(&mut state.is_writing, true) {
            let inner = self.0.clone();
            self.0.store.runtime.spawn(async move { inner.write().await });
        }
    }
}

#[cfg(test)]
impl LastUses {
    pub(super) fn unwritten(&self) -> usize {
        self.0.lock().unwritten.len()
    }

    pub(super) fn is_writing(&self) -> bool {
        self.0.lock().is_writing
    }
}

impl Inner {
    async fn write(&self) {
        while let Some((used, (user, at))) = self.next() {
            let written = match used {
                UsedCredential::Key(key) => self.store.touch_key(user, key, at).await,
                UsedCredential::Grant(grant) => self.store.touch_grant(user, grant, at).await,
            };
            if let Err(error) = written {
                log::warn!("cannot record the last use of an API key or grant: {error}");
            }
        }
    }

    fn next(&self) -> Option<(UsedCredential, (UserId, DateTime<Utc>))> {
        let mut state = self.lock();
        let next = state.unwritten.pop_first();
        state.is_writing = next.is_some();
        next
    }

    /// A poisoned lock is safe to use: no critical section leaves the state half-changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
